"""An upstream that answers every request with the bytes that it was given."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.aws_stream import event_message


class Canned:
    """`answer` is the next answer's body: an object, or the bytes of an event stream; `status` is
    its status."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | bytes = {}
        self.headers: dict[str, str] = {}
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                outer.asked.append(json.loads(self.rfile.read(length)))
                answer = outer.answer
                streamed = isinstance(answer, bytes)
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(outer.status)
                kind = "text/event-stream" if streamed else "application/json"
                for name, value in {"content-type": kind, **outer.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def canned() -> Iterator[Canned]:
    upstream = Canned()
    try:
        yield upstream
    finally:
        upstream.stop()


def message(model: str, usage: Any, *, text: str = "Hello.") -> dict[str, Any]:
    """A whole answer of the anthropic dialect."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def message_stream(model: str, first: Any, last: Any) -> bytes:
    """The same as a stream that tells `first` at its beginning and `last` at its end."""
    start = message(model, first) | {"content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": last,
        },
        {"type": "message_stop"},
    ]
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), json.dumps(event).encode())
        for event in events
    )


def completion(model: str, usage: Any, **over: Any) -> dict[str, Any]:
    """A whole answer of the openai dialect."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello."},
        "finish_reason": "stop",
    }
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [choice], "usage": usage, **over,
    }  # fmt: skip


def completion_stream(model: str, usage: Any, **over: Any) -> bytes:
    """The same as a stream, whose last chunk tells the usage."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    fields = {
        "index": 0,
        "delta": {"role": "assistant", "content": "Hello."},
        "finish_reason": None,
    }
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [
        chunk | {"choices": [fields], "usage": None} | over,
        chunk | {"choices": [end], "usage": None} | over,
        chunk | {"choices": [], "usage": usage} | over,
    ]
    lines = [b"data: %s\n\n" % json.dumps(one).encode() for one in chunks]
    return b"".join(lines) + b"data: [DONE]\n\n"


def response(model: str, usage: Any, **over: Any) -> dict[str, Any]:
    """A whole answer of the responses dialect."""
    item = {
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
    }  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": model,
        "status": "completed", "output": [item], "usage": usage, "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls":
        True, "temperature": 1, "tool_choice": "auto", "tools": [], "top_p": 1, **over,
    }  # fmt: skip


def response_stream(model: str, usage: Any, **over: Any) -> bytes:
    """The same as a stream, whose last event is the whole."""
    whole = response(model, usage, **over)
    (item,) = whole["output"]
    (part,) = item["content"]
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0,
         "item": item | {"status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        {"type": "response.output_text.delta", **place, "delta": part["text"], "logprobs": []},
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]  # fmt: skip
    return b"".join(
        b"event: %s\ndata: %s\n\n"
        % (event["type"].encode(), json.dumps(event | {"sequence_number": number}).encode())
        for number, event in enumerate(events)
    )


def converse(usage: Any) -> dict[str, Any]:
    """A whole answer of the converse dialect."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
        "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 9},
    }  # fmt: skip


def converse_stream(usage: Any) -> bytes:
    """The same as a stream, whose last event tells the usage."""
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "Hello."}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 9}}),
    ]
    return b"".join(event_message(kind, json.dumps(body).encode()) for kind, body in events)


def content_stream(usage: Any) -> bytes:
    """A stream of the gemini dialect, whose last chunk tells the usage."""
    last = content(usage)
    (candidate,) = last["candidates"]
    first = {"candidates": [{name: candidate[name] for name in ("content", "index")}]}
    return b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in (first, last))


def content(usage: Any) -> dict[str, Any]:
    """A whole answer of the gemini dialect."""
    candidate = {
        "content": {"role": "model", "parts": [{"text": "Hello."}]},
        "finishReason": "STOP",
        "index": 0,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"}
