"""What stands behind the end marker of a stream: read for a second, then the connection is cut."""

import socket
import threading
from collections.abc import Iterator

import pytest

from relay.attempts.attempt import REST_S
from tests.relay.asking import ask
from tests.relay.canned import completion_stream
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


class Provider:
    """It answers in chunks, and never says that a body has ended."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.answered = 0
        # Set by each connection that the other end has closed.
        self.closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        body = completion_stream("theirs", USAGE)
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
        with connection:
            connection.recv(1 << 20)
            connection.sendall(f"{head}\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n")
            self.answered += 1
            while connection.recv(1 << 20):
                pass
        self.closed.set()


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    yield one
    one.stop()


def test_provider_that_never_ends_loses_the_connection(hub: Hub, provider: Provider) -> None:
    """The client has its answer meanwhile, and the next request another connection."""
    model, tenant = hub.model(provider.url), hub.tenant()
    for n in (1, 2):
        provider.closed.clear()
        answer = hub.post(tenant, ask(model, "hi", stream=True))
        assert answer.body.rstrip().endswith(b"[DONE]")
        assert provider.closed.wait(REST_S + 10)
        assert provider.answered == n
