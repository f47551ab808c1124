"""A provider that streams in step with its client: a piece leaves when a test says so, so that the
hub reads each alone, however busy the machine is. The head leaves with the first piece."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"


class Form(NamedTuple):
    """How a dialect streams: its first event, the event of the n-th word, and its end after n
    words."""

    first: bytes
    word: Callable[[int], bytes]
    end: Callable[[int], bytes]


class InStep:
    """Streams of `pieces` words in the form of a dialect; each is sent after a `step`."""

    key: Final = "sk-in-step"

    def __init__(self, dialect: str = "openai") -> None:
        self.pieces = 1
        self._form = FORMS[dialect]
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
                waiting = _HEAD + _chunk(self._form.first)
                for n in range(self.pieces):
                    self._steps.acquire()
                    connection.sendall(waiting + _chunk(self._form.word(n)))
                    waiting = b""
                self._steps.acquire()
                connection.sendall(_chunk(self._form.end(self.pieces)) + _END)


def _read_head(reading: Any) -> int:
    """The length of the next request's body; 0 at the connection's end."""
    length = 0
    while (line := reading.readline().strip().lower()) or not length:
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        elif not line:
            return 0
    return length


def _openai(delta: Any, **more: Any) -> bytes:
    usage = more.pop("usage", None)
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None} | more]
    data = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
        "choices": choices, "usage": usage,
    }  # fmt: skip
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _end_of_openai(words: int) -> bytes:
    usage = {"prompt_tokens": 5, "completion_tokens": words}
    last = _openai({}, finish_reason="stop") + _openai(None, usage=usage)
    return last + b"data: [DONE]\n\n"


def _anthropic(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _first_of_anthropic() -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip
    block = {"type": "text", "text": ""}
    return _anthropic("message_start", message=message) + _anthropic(
        "content_block_start", index=0, content_block=block
    )


def _word_of_anthropic(_: int) -> bytes:
    delta = {"type": "text_delta", "text": "word "}
    return _anthropic("content_block_delta", index=0, delta=delta)


def _end_of_anthropic(words: int) -> bytes:
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _anthropic("content_block_stop", index=0)
        + _anthropic("message_delta", delta=delta, usage={"output_tokens": words})
        + _anthropic("message_stop")
    )


def _gemini(text: str, words: int, **more: Any) -> bytes:
    """An event, which counts the words up to it."""
    content = {"parts": [{"text": text}], "role": "model"}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": words, "totalTokenCount": 5 + words}
    data = {
        "candidates": [{"content": content, "index": 0, **more}], "usageMetadata": usage,
        "modelVersion": "fake", "responseId": "r1",
    }  # fmt: skip
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


FORMS: Final = {
    "openai": Form(
        _openai({"role": "assistant"}), lambda _: _openai({"content": "word "}), _end_of_openai
    ),
    "anthropic": Form(_first_of_anthropic(), _word_of_anthropic, _end_of_anthropic),
    "gemini": Form(
        _gemini("", 0),
        lambda n: _gemini("word ", n + 1),
        lambda words: _gemini("", words, finishReason="STOP"),
    ),
}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
