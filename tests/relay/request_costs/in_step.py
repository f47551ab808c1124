"""A provider that streams in step with its client: a piece leaves when a test says so, so that the
hub reads each alone, however busy the machine is."""

import json
import socket
import threading
from contextlib import suppress
from typing import Any, Final, Self

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"


class InStep:
    """Chat streams of `pieces` words; each is sent after a `step`."""

    key: Final = "sk-in-step"

    def __init__(self) -> None:
        self.pieces = 1
        self._steps = threading.Semaphore(0)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/v1"

    def step(self) -> None:
        self._steps.release()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    self._answer_all(connection)

    def _answer_all(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as reading:
            while length := _read_head(reading):
                reading.read(length)
                first = _event({"role": "assistant"})
                connection.sendall(_HEAD + _chunk(first))
                for _ in range(self.pieces):
                    self._steps.acquire()
                    connection.sendall(_chunk(_event({"content": "word "})))
                self._steps.acquire()
                usage = {"prompt_tokens": 5, "completion_tokens": self.pieces}
                last = _event({}, finish_reason="stop") + _event(None, usage=usage)
                connection.sendall(_chunk(last + b"data: [DONE]\n\n") + _END)


def _read_head(reading: Any) -> int:
    """The length of the next request's body; 0 at the connection's end."""
    length = 0
    while (line := reading.readline().strip().lower()) or not length:
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        elif not line:
            return 0
    return length


def _event(delta: Any, **more: Any) -> bytes:
    usage = more.pop("usage", None)
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None} | more]
    data = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
        "choices": choices, "usage": usage,
    }  # fmt: skip
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
