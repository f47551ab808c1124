"""Clients on bare sockets, which can leave at any moment and in any way, and OpenAI's own.

They are closed at the end of the test, also of one that fails: a socket that it left open is else
found by whichever test comes later.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from openai import OpenAI

from lib.ids import id_text
from tests.support.hub import Hub, Tenant

OpenAIClient = Callable[[str], OpenAI]


class Client:
    """A client on a bare socket, which can go at any moment and in any way."""

    def __init__(self, hub: Hub, tenant: Tenant, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: hub\r\n"
            f"authorization: Bearer {tenant.key}\r\ncontent-length: {len(raw)}\r\n\r\n"
        )
        self.socket = socket.create_connection(("127.0.0.1", hub.port), timeout=20)
        self.request = head.encode() + raw
        self.seen = b""

    def read_until(self, marker: bytes) -> None:
        while marker not in self.seen:
            piece = self.socket.recv(65536)
            assert piece, self.seen
            self.seen += piece

    @property
    def request_id(self) -> str:
        head = self.seen.split(b"\r\n\r\n")[0].decode().lower()
        (line,) = [line for line in head.split("\r\n") if line.startswith("x-request-id: ")]
        return line.removeprefix("x-request-id: ").upper()

    def leave(self, how: str) -> int:
        """Go, by FIN or by RST; the monotonic instant, in nanoseconds."""
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        at = time.monotonic_ns()
        self.socket.close()
        return at


class Clients:
    """Makes clients, and closes what is still open at the end of the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def ask(self, hub: Hub, tenant: Tenant, body: dict[str, Any]) -> Client:
        """Send a chat request and read nothing yet."""
        client = Client(hub, tenant, body)
        self._stack.enter_context(client.socket)
        client.socket.sendall(client.request)
        return client

    def connect(self, hub: Hub) -> http.client.HTTPConnection:
        """A connection on which a test asks by itself."""
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        return self._stack.enter_context(closing(connection))


@pytest.fixture
def clients() -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(stack)


@pytest.fixture
def openai_client(hub: Hub) -> Iterator[OpenAIClient]:
    """OpenAI's client with a key."""
    with ExitStack() as stack:

        def client_with(key: str) -> OpenAI:
            client = OpenAI(base_url=f"{hub.url}/v1", api_key=key, max_retries=0)
            return stack.enter_context(client)

        yield client_with


def attempt_of(hub: Hub, tenant: Tenant) -> str:
    """The id of the tenant's only attempt, as it goes upstream."""
    query = "SELECT id FROM usage_attempt WHERE organisation_id = %s"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no attempt")
    (row,) = hub.rows(query, tenant.organisation_id)
    return id_text(row["id"])


def final_record(hub: Hub, tenant: Tenant) -> dict[str, Any]:
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no final record")
    (row,) = hub.rows(query, tenant.organisation_id)
    return row
