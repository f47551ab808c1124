"""The provider behind the pictures of the documentation: it says what is written here, streamed at
the pace of a real one. The hub before it is the product itself, with nothing prepared.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple


class Answer(NamedTuple):
    """What is said to a question; `calls` are calls of tools, (name, arguments)."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


WEBHOOKS: Final = "Two of a hundred webhooks are lost when the load is high. How do we deliver all?"
RIVERS: Final = "Explain in two sentences why rivers bend."
ORDERS: Final = "Where are the orders 1284 and 1301?"
INVOICE: Final = "Extract the invoice: 3 sensor kits at $49.00, 1 gateway at $310.00."
WEIR_ZH: Final = "堰是怎样测量流量的？请给出公式和一张小表。"

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
_ORDERS = Answer(calls=(("find_order", {"number": "1284"}), ("find_order", {"number": "1301"})))
_INVOICE = Answer(
    json.dumps(
        {
            "currency": "USD",
            "lines": [
                {"item": "Sensor kit", "quantity": 3, "unit_price": "49.00"},
                {"item": "Gateway", "quantity": 1, "unit_price": "310.00"},
            ],
            "total": "457.00",
        }
    )
)
_WEIR_ZH = Answer("""\
堰把水面抬高，水从**堰顶**漫过。只要量出堰上水头 $h$，就能算出流量：

$$Q = C_d \\, b \\, \\sqrt{2 g} \\, h^{3/2}$$

| 水头 h | 流量 Q（每米宽） |
|--:|--:|
| 0.1 m | 0.06 m³/s |
| 0.2 m | 0.16 m³/s |
| 0.4 m | 0.47 m³/s |

水头加倍，流量约增至 **2.8 倍**：读数误差会被放大，所以水尺要装在堰上游、水面平静的地方。
""")
_BENDS = {
    "support-chat": Answer(
        "Water runs faster along the outside of a bend and wears that bank away, while it drops "
        "sand on the slower inside. Each small curve therefore feeds itself, until the loops grow "
        "so wide that the river cuts through one of them."
    ),
    "summaries": Answer(
        "Rivers bend because fast water erodes the outer bank and slow water builds up the inner "
        "one. Small curves grow into meanders."
    ),
    "code-review": Answer(
        reasoning=(
            "Helical flow in bends, erosion outside, deposition inside: a feedback. "
            "A straight channel is unstable. Two sentences."
        ),
        text=(
            "A straight river is unstable: any small curve sends the faster water against its "
            "outer bank, where it erodes, and lets sediment settle on the inner bank. That makes "
            "the curve larger, so meanders grow until a flood takes the short way through."
        ),
    ),
}
_SHORT: Final = {
    "How do I return a pair of shoes?": Answer(
        "Open **Orders**, choose the pair and then *Return*. You get a label at once, and the "
        "money within three days of the parcel's arrival."
    ),
    "Review: def head(level): return level - crest": Answer(
        "`crest` is not defined in this function. Pass it as an argument, and give both a type:\n\n"
        "```python\ndef head(level: float, crest: float) -> float:\n    return level - crest\n```"
    ),
}
_ELSE = Answer("Your parcel left the depot this morning and arrives tomorrow before noon.")
_WHOLE = {WEBHOOKS: _WEBHOOKS, ORDERS: _ORDERS, INVOICE: _INVOICE, WEIR_ZH: _WEIR_ZH, **_SHORT}

_FIRST_S = 0.31
_PIECE_S = 0.005
_PIECE = 4


def _tokens(text: str) -> int:
    return max(1, len(text.encode()) // _PIECE)


def _answer(body: dict[str, Any]) -> Answer:
    said = body["messages"][-1].get("content")
    if said == RIVERS:
        return _BENDS.get(body["model"], _ELSE)
    return _WHOLE.get(said, _ELSE)


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    for field, text in (("reasoning_content", answer.reasoning), ("content", answer.text)):
        for start in range(0, len(text), _PIECE):
            yield {field: text[start : start + _PIECE]}
    for index, (name, arguments) in enumerate(answer.calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        yield {"tool_calls": [call]}


def _usage(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    asked = _tokens(json.dumps(body["messages"], ensure_ascii=False))
    thought = _tokens(answer.reasoning) if answer.reasoning else 0
    said = _tokens(answer.text + json.dumps(answer.calls) * bool(answer.calls)) + thought
    details = {"reasoning_tokens": thought}
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said,
            "completion_tokens_details": details}  # fmt: skip


class _Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = _answer(body)
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        finish = "tool_calls" if answer.calls else "stop"
        self.send_response(200)
        if body.get("stream"):
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self._stream(body, answer, head | {"object": "chat.completion.chunk"}, finish)
            return
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        whole = {**head, "object": "chat.completion", "choices": [choice],
                 "usage": _usage(body, answer)}  # fmt: skip
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(whole).encode())

    def _stream(
        self, body: dict[str, Any], answer: Answer, head: dict[str, Any], finish: str
    ) -> None:
        def tell(delta: dict[str, Any], reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            self._tell({**head, "choices": [choice]})

        time.sleep(_FIRST_S)
        for delta in _deltas(answer):
            tell(delta)
            time.sleep(_PIECE_S)
        tell({}, finish)
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
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()
