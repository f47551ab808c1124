"""A client as plain as can be: one socket, the bytes as they come."""

import json
import socket
from dataclasses import dataclass
from typing import Any

import httptools

from tests.fakes.upstream import FakeUpstream


@dataclass
class Got:
    """What came on the socket until its end, or until the answer was complete."""

    raw: bytes = b""
    status: int | None = None
    headers: list[tuple[str, str]] | None = None
    body: bytes = b""
    complete: bool = False
    reset: bool = False
    broken: bool = False  # the framing could not be read

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers or () if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The JSON of all data lines; `[DONE]` stays a string. ValueError for a broken one."""
        text = self.body.decode().replace("\r\n", "\n")
        data = [line[5:].strip() for line in text.split("\n") if line.startswith("data:")]
        return [line if line == "[DONE]" else json.loads(line) for line in data]

    def deltas(self) -> list[dict[str, Any]]:
        return [
            choice["delta"]
            for event in self.events()
            if event != "[DONE]"
            for choice in event.get("choices", ())
        ]

    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas())

    def usages(self) -> list[Any]:
        return [e["usage"] for e in self.events() if e != "[DONE]" and e.get("usage") is not None]

    def finishes(self) -> list[str]:
        finish_reasons = [
            e["choices"][0]["finish_reason"] for e in self.events()[:-1] if e.get("choices")
        ]
        return [finish for finish in finish_reasons if finish]


class _Reader:
    def __init__(self, got: Got) -> None:
        self.got = got
        self.parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []

    def on_message_begin(self) -> None:
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode().lower(), value.decode()))

    def on_headers_complete(self) -> None:
        self.got.status = self.parser.get_status_code()
        self.got.headers = self._headers

    def on_body(self, body: bytes) -> None:
        self.got.body += body

    def on_message_complete(self) -> None:
        if self.got.status is None or self.got.status >= 200:
            self.got.complete = True


def request_bytes(
    text: str, *, stream: bool = False, key: str = "sk-fake", rid: str = "r1", **fields: Any
) -> bytes:
    """A chat request with one user message."""
    body: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": text}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"authorization": f"Bearer {key}"}
    return post_bytes("/v1/chat/completions", body | fields, headers, rid)


def post_bytes(path: str, body: Any, headers: dict[str, str], rid: str = "r1") -> bytes:
    """Any request with a JSON body."""
    data = json.dumps(body, ensure_ascii=False).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"x-client-request-id: {rid}",
        "content-type: application/json",
        f"content-length: {len(data)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def connect(fake: FakeUpstream) -> socket.socket:
    return socket.create_connection(("127.0.0.1", fake.port), timeout=10)


def read(sock: socket.socket, limit: int | None = None) -> Got:
    """Read an answer to its end; with `limit` stop once that many bytes have come."""
    got = Got()
    reader = _Reader(got)
    while not got.complete and (limit is None or len(got.raw) < limit):
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            got.reset = True
            break
        if not data:
            break
        got.raw += data
        if not got.broken:
            try:
                reader.parser.feed_data(data)
            except httptools.HttpParserError:
                got.broken = True
    return got


def ask(fake: FakeUpstream, text: str, *, stream: bool = False, **fields: Any) -> Got:
    """One request on a connection of its own."""
    with connect(fake) as sock:
        sock.sendall(request_bytes(text, stream=stream, **fields))
        return read(sock)


def post(fake: FakeUpstream, path: str, body: Any, headers: dict[str, str], rid: str = "r1") -> Got:
    """One request of any dialect on a connection of its own."""
    with connect(fake) as sock:
        sock.sendall(post_bytes(path, body, headers, rid))
        return read(sock)
