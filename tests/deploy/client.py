"""A client that shows what is on the wire."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

WAIT_SECONDS = 30


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header, however often it came."""
        return [value for result, value in self.headers if result.lower() == name.lower()]

    def one(self, name: str) -> str:
        [value] = self.all(name)
        return value

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own: GET, or POST of `body` as JSON."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    ) as connection:
        if body is None:
            connection.request("GET", path, headers=headers or {})
        else:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request("POST", path, json.dumps(body).encode(), sent)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())


def send_raw(port: int, octets: bytes) -> Answer:
    """Send these very bytes and read one answer to them."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(octets)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())


class Stream(NamedTuple):
    """A streamed answer, read event by event."""

    status: int
    events: Iterator[str]


@contextlib.contextmanager
def stream(port: int, path: str, body: Any, headers: Mapping[str, str]) -> Iterator[Stream]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    ) as connection:
        sent = {"Content-Type": "application/json", **headers}
        connection.request("POST", path, json.dumps(body).encode(), sent)
        response = connection.getresponse()
        yield Stream(response.status, _events(response))


def _events(response: http.client.HTTPResponse) -> Iterator[str]:
    for line in response:
        if line.startswith(b"data:"):
            yield line[5:].strip().decode()


def text_of(event: str) -> str:
    """The text that one event of a chat stream adds."""
    if event == "[DONE]":
        return ""
    choices = json.loads(event)["choices"]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
