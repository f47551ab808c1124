"""The provider behind the picture of the documentation: it says what is written here, streamed at
the pace of a real one. The hub before it is the product itself, with nothing prepared.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple

from tools import pictures


class Answer(NamedTuple):
    """What is said to a question."""

    text: str = ""
    reasoning: str = ""


WEBHOOKS: Final = "Two of a hundred webhooks are lost when the load is high. How do we deliver all?"

_WEBHOOKS = Answer(
    reasoning=(
        "Losses under load point to sending inside the request: a slow receiver times out and "
        "nothing remembers the event. The usual cure is an outbox and a worker that tries again. "
        "Receivers then see some events twice, so they need an id to recognise them by."
    ),
    text="""\
Events are lost because they are sent **inside the request**: when a receiver is slow, the call \
times out and nothing remembers it. Write first, send later.

1. **Outbox.** Save the event in the same transaction as the change that caused it.
2. **Worker.** Send from the table, and mark a row as done only after a `2xx`.
3. **Retries.** Wait twice as long after each failure, with some jitter, for up to a day.

```python
def deliver(event: Event) -> None:
    answer = post(event.url, event.body, headers={"event-id": event.id}, timeout=5)
    if answer.ok:
        event.done()
    else:
        event.try_again(after=min(2**event.tries, 3600))
```

| Guarantee | Lost events | Receiver must |
|---|--:|---|
| At most once (today) | 2 % | do nothing |
| **At least once** | 0 | ignore an `event-id` it knows |
""",
)
_ELSE = Answer("Your parcel left the depot this morning and arrives tomorrow before noon.")

# What it lists to whoever connects it.
_MODELS: Final = (
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4o",
    "o4-mini",
    "text-embedding-3-small",
)

_HUM_S: Final = 14
_HEARD: Final = (
    (0.0, 4.2, "Good morning, this is the depot in Harbour Street."),
    (4.2, 9.0, "Your parcel left this morning and is on its way to you."),
    (9.0, 14.0, "It arrives tomorrow before noon; the driver rings twice."),
)

_BALANCES: Final = [{"currency": "USD", "total_balance": "31.87"}]

# The task of the services of songs and drawings.
_TASK: Final = "1730621718151844"

_FIRST_S = 0.31
_PIECE_S = 0.005
_PIECE = 4


def _tokens(text: str) -> int:
    return max(1, len(text.encode()) // _PIECE)


def _answer(body: dict[str, Any]) -> Answer:
    return _WEBHOOKS if body["messages"][-1].get("content") == WEBHOOKS else _ELSE


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    for field, text in (("reasoning_content", answer.reasoning), ("content", answer.text)):
        for start in range(0, len(text), _PIECE):
            yield {field: text[start : start + _PIECE]}


def _usage(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    prompt = _tokens(json.dumps(body["messages"], ensure_ascii=False))
    thought = _tokens(answer.reasoning) if answer.reasoning else 0
    output = _tokens(answer.text) + thought
    details = {"reasoning_tokens": thought}
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "completion_tokens_details": details}  # fmt: skip


def _media_answer(path: str) -> tuple[str, bytes] | None:
    """What is asked for by a path of images or sound, with its type."""
    if "/images/" in path:
        drawn = base64.b64encode(pictures.draw_boat(warm="edits" not in path)).decode()
        return "application/json", json.dumps(
            {"created": 1, "data": [{"b64_json": drawn}]}
        ).encode()
    if path.startswith("/suno/submit/"):
        return _json({"code": "success", "message": "", "data": _TASK})
    if path.startswith("/mj/submit/"):
        return _json({"code": 1, "description": "Submitted", "result": _TASK})
    if path.endswith("/audio/speech"):
        return "audio/wav", pictures.make_hum(_HUM_S)
    if path.endswith("/audio/transcriptions"):
        segments = [{"start": start, "end": end, "text": text} for start, end, text in _HEARD]
        text = " ".join(text for _, _, text in _HEARD)
        transcription = {
            "text": text,
            "language": "english",
            "duration": _HUM_S,
            "segments": segments,
        }
        return "application/json", json.dumps(transcription).encode()
    return None


def _task_answer(path: str, url: str) -> tuple[str, bytes] | None:
    """What the services of songs and drawings tell of their only task; they are at this address."""
    if path.startswith("/suno/fetch/"):
        clips = [
            {
                "id": f"clip-{number}", "title": "River Town", "audio_url": f"{url}/clip.mp3",
                "metadata": {"tags": "acoustic folk, warm", "duration": length},
            }
            for number, length in enumerate((164.2, 171.9))
        ]  # fmt: skip
        task = {"task_id": _TASK, "status": "SUCCESS", "progress": "100%", "data": clips}
        return _json({"code": "success", "message": "", "data": task})
    if path.startswith("/mj/task/"):
        names = [f"{kind}{number}" for kind in "UV" for number in (1, 2, 3, 4)]
        does = {"U": "upsample", "V": "variation"}
        buttons = [
            {"customId": f"MJ::JOB::{does[name[0]]}::{name[1]}::1", "label": name} for name in names
        ]
        return _json(
            {"id": _TASK, "status": "SUCCESS", "progress": "100%", "buttons": buttons,
             "imageUrl": f"{url}/boat.png"}
        )  # fmt: skip
    if path == "/boat.png":
        return "image/png", pictures.draw_boat()
    return None


def _json(body: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(body).encode()


class _Provider(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if (served := _task_answer(self.path, f"http://{self.headers['host']}")) is not None:
            self._give(*served)
            return
        if self.path == "/user/balance":
            self._give(*_json({"is_available": True, "balance_infos": _BALANCES}))
            return
        listed = [{"id": name, "object": "model", "owned_by": "pictures"} for name in _MODELS]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"object": "list", "data": listed}).encode())

    def _give(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if (media_answer := _media_answer(self.path)) is not None:
            self._give(*media_answer)
            return
        body = json.loads(raw)
        answer = _answer(body)
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        self.send_response(200)
        if body.get("stream"):
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self._stream(body, answer, head | {"object": "chat.completion.chunk"})
            return
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**head, "object": "chat.completion", "choices": [choice],
                 "usage": _usage(body, answer)}  # fmt: skip
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(whole).encode())

    def _stream(self, body: dict[str, Any], answer: Answer, head: dict[str, Any]) -> None:
        def tell(delta: dict[str, Any], reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            self._tell({**head, "choices": [choice]})

        time.sleep(_FIRST_S)
        for delta in _deltas(answer):
            tell(delta)
            time.sleep(_PIECE_S)
        tell({}, "stop")
        self._tell({**head, "choices": [], "usage": _usage(body, answer)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _tell(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: %s\n\n" % json.dumps(event).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[str]:
    """Its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
