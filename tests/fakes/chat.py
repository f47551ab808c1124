"""POST /v1/chat/completions: a request in, the steps of its answer out."""

import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from itertools import chain, islice
from typing import Any

from tests.fakes.answer import (
    Piece,
    compact,
    lie,
    message_of,
    pieces,
    seed_of,
    text_delta,
    usage_of,
)
from tests.fakes.books import Row
from tests.fakes.directives import Directives, Fault
from tests.fakes.wire import Answer, Emit, Raw, Signal, Step, error_object, head, refusal, whole

CREATED = 1_767_100_000
SSE = "text/event-stream; charset=utf-8"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
OVERLOADED = error_object("The engine is overloaded.", "server_error", "overloaded")


@dataclass(slots=True)
class Ask:
    """One accepted request with everything its answer is made of."""

    name: str
    model: str
    user_text: str
    stream: bool
    include_usage: bool
    choices: int
    cap: int | None
    tools: list[Any]
    wish: Directives
    row: Row
    reused: bool  # the connection has served a request before

    @property
    def seed(self) -> str:
        return seed_of(self.name, self.user_text)

    @property
    def fault(self) -> Fault | None:
        return self.wish.fault

    def is_fault(self, code: str, *variants: str) -> bool:
        fault = self.wish.fault
        return (
            fault is not None and fault.code == code and (not variants or fault.variant in variants)
        )


@dataclass(slots=True)
class Plan:
    """What will be said: all pieces in order, and how each choice ends."""

    pieces: Iterable[Piece]
    count: int  # of pieces and hidden tokens; -1 = endless
    hidden: int
    finish: list[str]


def plan(ask: Ask) -> Plan:
    """Cap and order the pieces; the hidden reasoning comes first and counts like the rest."""
    wish = ask.wish
    if ask.is_fault("F18"):
        return Plan(pieces(wish, ask.name, ask.user_text, 0, ask.tools), -1, 0, ["stop"])
    if ask.is_fault("F34"):
        text = "a" * (wish.bytes if wish.bytes is not None else 33 * 2**20)
        return Plan([Piece(0, "content", text)], 1, 0, ["stop"])
    cap = None if wish.uncapped else ask.cap
    hidden = wish.hidden if cap is None else min(wish.hidden, cap)
    said: list[Piece] = []
    finish: list[str] = []
    for choice in range(ask.choices):
        left = None if cap is None else cap - (hidden if choice == 0 else 0)
        mine = list(pieces(wish, ask.name, ask.user_text, choice, ask.tools))
        kept = mine if left is None else mine[:left]
        natural = "tool_calls" if wish.tools else "stop"
        finish.append(wish.finish or (natural if len(kept) == len(mine) else "length"))
        said += kept
    return Plan(said, hidden + len(said), hidden, finish)


def answer(ask: Ask) -> Answer:
    """The answer to a request, its fault included; `ask.row` learns the plan and the status."""
    status = status_fault(ask)
    if status is not None:
        ask.row.accepted = False
        ask.row.struck = True
        return status
    told = plan(ask)
    ask.row.planned = told.count
    early = connection_fault(ask)
    if early is not None:
        return early
    as_stream = (ask.stream or ask.is_fault("F19", "sse")) and not ask.is_fault("F19", "json")
    made = _stream_answer(ask, told) if as_stream else _plain_answer(ask, told)
    if ask.is_fault("F37", "both", "trailers"):
        made.trailers = b"x-checksum: 0123456789abcdef\r\nx-late: yes\r\n"
    made.close_after = ask.is_fault("F32", "idle")
    return made


# ---- faults that answer with a status


def status_fault(ask: Ask) -> Answer | None:
    """F5-F10, F21, F35: an answer with an error status or a redirect; None = no such fault."""
    wish, row = ask.wish, ask.row
    made: tuple[int, Answer] | None = None
    match ask.fault:
        case Fault("F5", variant, _):
            echo = f"Incorrect API key provided: {row.key}."
            code = "invalid_api_key" if variant == "401" else "unsupported_country"
            made = int(variant), refusal(int(variant), echo, code=code)
        case Fault("F6", "context"):
            text = "Input of 130012 tokens exceeds the 128000 token context window."
            made = 400, refusal(400, text, code="context_length_exceeded", param="messages")
        case Fault("F6", "content"):
            text = "The prompt was rejected by the usage policy check."
            made = 400, refusal(400, text, code="invalid_prompt")
        case Fault("F6", variant, _):
            text = "Invalid value for 'temperature'."
            made = int(variant), refusal(int(variant), text, param="temperature")
        case Fault("F7"):
            text = f"No such model for this account: {ask.model}"
            made = 404, refusal(404, text, code="model_not_found")
        case Fault("F8", variant, _):
            headers = _waits(variant, wish.retry_after)
            text = "Rate limit reached for requests."
            limited = refusal(429, text, "requests", "rate_limit_exceeded", None, **headers)
            made = 429, limited
        case Fault("F9", variant, _):
            text, kind = "Account quota is used up.", "insufficient_quota"
            made = int(variant), refusal(int(variant), text, kind, kind)
        case Fault("F10", "502"):
            made = 502, whole(502, HTML, "text/html")
        case Fault("F10", variant, _):
            text = "Unexpected upstream failure."
            made = int(variant), refusal(int(variant), text, "server_error")
        case Fault("F21", variant, _):
            place = wish.location or "/_canary"
            made = int(variant), whole(int(variant), b"", "text/plain", location=place)
        case Fault("F35"):
            made = 413, refusal(413, "Request body too large.", code="body_too_large")
    if made is None:
        return None
    row.status = made[0]
    return made[1]


def _waits(variant: str, seconds: str) -> dict[str, str]:
    match variant:
        case "date":
            return {"retry_after": formatdate(time.time() + float(seconds), usegmt=True)}
        case "junk":
            return {"retry_after": "soon; maybe"}
        case "ms":
            return {"retry_after": "60", "retry_after_ms": str(int(float(seconds) * 1000))}
        case "none":
            return {}
        case "huge":
            return {"retry_after": "99999999999999999999"}
    return {"retry_after": seconds}


# ---- faults of the connection, the head or the whole body


def connection_fault(ask: Ask) -> Answer | None:
    """F17 plain, F19 html, F20 bomb, F22-F24, F32, F33: None = answer with text after all."""
    wish, row = ask.wish, ask.row
    made: Answer | None = None
    status: int | None = 200
    match ask.fault:
        case Fault("F17"):
            body = chain([b'data: {"choices":[{"delta":{"content":"'], _endless(wish.bytes))
            made = _framed(SSE if ask.stream else "application/json", body)
        case Fault("F19", "html"):
            made = whole(200, HTML, "text/html")
        case Fault("F20", "bomb"):
            kind = SSE if ask.stream else "application/json"
            made = _framed(kind, _bomb(wish.bytes or 2**30), content_encoding="gzip")
        case Fault("F22", variant, _):
            made = _many_headers(variant)
        case Fault("F23", variant, None) if variant == "body" or not ask.stream:
            made = whole(200, compact(OVERLOADED))
        case Fault("F24", "204"):
            status = 204
            made = whole(204, b"")
        case Fault("F24", variant, _):
            stream = variant == "stream"
            made = _framed(SSE, iter(())) if stream else whole(200, b"")
        case Fault("F32", "reused") if ask.reused:
            # The server had closed before the request came: nothing was taken in.
            row.accepted = False
            status = None
            made = Answer(iter((Signal.CLOSE,)))
        case Fault("F33", _, None):
            status = None
            made = Answer(iter((Signal.RESET,)))
    if made is not None:
        row.struck = True
        row.status = status
    return made


def _framed(content_type: str, body: Iterable[bytes], **headers: str) -> Answer:
    fields = {"content-type": content_type, "transfer-encoding": "chunked"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(chain((Raw(head(200, fields)),), body), chunked=True)


def _endless(size: int | None) -> Iterator[bytes]:
    block = b"a" * 16384
    sent = 0
    while size is None or sent < size:
        yield block
        sent += len(block)


def _bomb(size: int) -> Iterator[bytes]:
    """gzip that unpacks to `size` spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 2**20
    for _ in range(max(1, size >> 20)):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()


def _many_headers(variant: str) -> Answer:
    if variant == "giant":
        fields = {"x-giant": "a" * 2**20}
    else:
        fields = {f"x-flood-{i}": "a" * 32 for i in range(5000)}
    body = b"{}"
    fields |= {"content-type": "application/json", "content-length": str(len(body))}
    return Answer(iter((Raw(head(200, fields) + body),)))


# ---- the plain answer


def _report(ask: Ask, usage: dict[str, Any] | None) -> dict[str, Any] | None:
    """Write down what the answer claims."""
    if usage is not None:
        ask.row.reported = usage
        ask.row.reports += 1
    return usage


def _usage(ask: Ask, completion: int, reasoning: int) -> dict[str, Any] | None:
    honest = usage_of(
        ask.row.prompt_tokens, completion, ask.row.cached_tokens, min(reasoning, completion)
    )
    return lie(ask.wish.usage, honest)


def _reasoning(ask: Ask) -> int:
    return ask.wish.hidden + ask.wish.reasoning * ask.choices


def plain_body(ask: Ask, told: Plan) -> bytes:
    """The JSON of a plain answer; F38 loses the end of the last call's arguments."""
    said = list(islice(told.pieces, 4096)) if told.count < 0 else list(told.pieces)
    if ask.is_fault("F38"):
        said = said[:-1]
    choices = [
        {
            "index": i,
            "message": message_of([p for p in said if p.choice == i], ask.seed),
            "logprobs": None,
            "finish_reason": finish,
        }
        for i, finish in enumerate(told.finish)
    ]
    body: dict[str, Any] = {
        "id": ask.row.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
    }
    if ask.wish.usage != "none":
        body["usage"] = _report(ask, _usage(ask, told.hidden + len(said), _reasoning(ask)))
    return compact(body | {"system_fingerprint": "fp_fake"})


def _plain_answer(ask: Ask, told: Plan) -> Answer:
    chunked = ask.wish.chunked or ask.is_fault("F37", "both", "trailers")
    return Answer(_plain(ask, told, chunked), chunked=chunked)


def _plain(ask: Ask, told: Plan, chunked: bool) -> Iterator[Step]:
    wish, row = ask.wish, ask.row
    yield from _before_head(ask)
    if wish.delay_ms:
        yield wish.delay_ms * max(told.count, 1) / 1000
    body = plain_body(ask, told)
    tokens = told.hidden + (4096 if told.count < 0 else told.count - told.hidden)
    if ask.is_fault("F38"):
        tokens -= 1
    broken, body = _break_plain(ask, body)
    fields = {"content-type": "application/json", "x-request-id": f"req_{row.seq}"}
    if ask.is_fault("F20", "gzip", "deflate"):
        body = _pack(ask, [body])
        fields["content-encoding"] = ask.wish.fault.variant if ask.wish.fault else ""
    if chunked:
        fields["transfer-encoding"] = "chunked"
    else:
        missing = 100 if ask.is_fault("F14", "short", "close") else 0
        fields["content-length"] = str(len(body) + missing)
    yield from _head(ask, head(200, fields))
    if ask.is_fault("F13"):
        yield body[: len(body) // 2]
        row.struck = True
        yield wish.wait_ms / 1000
        row.struck = False
        body = body[len(body) // 2 :]
    yield from _limited(ask, _sliced(wish, body, tokens))
    if broken is not None:
        row.struck = True
        yield broken


def _break_plain(ask: Ask, body: bytes) -> tuple[Signal | None, bytes]:
    """What F14-F16 and a reset in the middle make of a plain body, and what follows it."""
    row = ask.row
    half = body[: len(body) // 2]
    match ask.fault:
        case Fault("F14", "eof"):
            row.struck = True
            return None, half
        case Fault("F14"):
            return Signal.CLOSE, half
        case Fault("F15"):
            row.struck = True
            return None, body.replace(b'"choices":[', b'"choices":[,,', 1)
        case Fault("F16"):
            row.struck = True
            return None, body.replace(b'"content":"', b'"content":"\xff\xfe', 1)
        case Fault("F33"):
            return Signal.RESET, half
    return None, body


def _pack(ask: Ask, parts: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31 if ask.is_fault("F20", "gzip") else 15)
    return b"".join(packer.compress(part) for part in parts) + packer.flush()


# ---- what both kinds of answers share


def _before_head(ask: Ask) -> Iterator[Step]:
    if ask.wish.first_ms:
        yield ask.wish.first_ms / 1000
    if ask.is_fault("F11", "headers"):
        ask.row.struck = True
        yield ask.wish.wait_ms / 1000
        ask.row.struck = False
    if ask.is_fault("F37", "both", "1xx"):
        yield Raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        yield Raw(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
        yield Signal.FLUSH


def _head(ask: Ask, data: bytes) -> Iterator[Step]:
    ask.row.status = 200
    if not ask.is_fault("F12"):
        yield Raw(data)
        return
    ask.row.struck = True
    for i in range(len(data)):
        yield Raw(data[i : i + 1])
        yield ask.wish.every_ms / 1000
    ask.row.struck = False


def _sliced(wish: Directives, data: bytes, tokens: int) -> Iterator[Step]:
    """Cut a body into writes of `#chunk_bytes`; the last piece carries the count."""
    size = wish.chunk_bytes
    if not size:
        yield Emit(data, tokens)
        return
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        yield Emit(piece, tokens if start + size >= len(data) else 0)
        yield wish.gap_ms / 1000 if wish.gap_ms else Signal.FLUSH


def _limited(ask: Ask, steps: Iterator[Step]) -> Iterator[Step]:
    """`#cut=N` / `#rst=N`: the connection ends after exactly N bytes of the body."""
    left = ask.wish.cut if ask.wish.cut is not None else ask.wish.rst
    if left is None:
        yield from steps
        return
    for step in steps:
        if isinstance(step, Emit | bytes):
            data, tokens = (step.data, step.tokens) if isinstance(step, Emit) else (step, 0)
            if len(data) > left:
                if left:
                    yield data[:left]
                break
            left -= len(data)
            yield Emit(data, tokens)
        else:
            yield step
    else:
        if left:
            return
    ask.row.struck = True
    yield Signal.CLOSE if ask.wish.cut is not None else Signal.RESET


# ---- the stream


_UNFINISHED = b',"logprobs":null,"finish_reason":null}]'


class _Stream:
    """Makes the frames of one stream; `events` is the whole story in order."""

    def __init__(self, ask: Ask, told: Plan) -> None:
        self.ask = ask
        self.told = told
        wish = ask.wish
        self.eol = b"\r\n" if wish.crlf else b"\n"
        self.end = self.eol * 2
        lead = b"data:" if wish.nospace else b"data: "
        if ask.is_fault("F31"):
            lead = self.eol.join((b"event: message_stop", b"id: 5", b"retry: 1", lead))
        self.lead = lead
        top = {
            "id": ask.row.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": ask.model,
            "system_fingerprint": "fp_fake",
        }
        self.top = compact(top)[:-1] + b',"choices":['
        self.starts = [
            self.lead + self.top + b'{"index":%d,"delta":' % i for i in range(ask.choices)
        ]
        self.running = wish.usage == "cumulative"
        with_null = ask.include_usage and wish.usage == "auto"
        self.tail = (b',"usage":null}' if with_null else b"}") + self.end
        self.count = 0

    def frame(self, data: bytes) -> bytes:
        return self.lead + data + self.end

    def usage_now(self) -> bytes:
        """The tail of a chunk that carries usage (or its null)."""
        if self.running:
            usage = _report(self.ask, _usage(self.ask, self.count, _reasoning(self.ask)))
            return b',"usage":' + compact(usage) + b"}" + self.end
        return self.tail

    def delta(self, choice: int, delta: bytes, finish: str | None = None) -> bytes:
        if finish is None:
            return self.starts[choice] + delta + _UNFINISHED + self.usage_now()
        reason = b',"logprobs":null,"finish_reason":' + compact(finish) + b"}]"
        return self.starts[choice] + delta + reason + self.usage_now()

    def usage_frame(self, usage: dict[str, Any] | None) -> bytes:
        return self.frame(self.top + b'],"usage":' + compact(_report(self.ask, usage)) + b"}")

    def final_usage(self) -> dict[str, Any] | None:
        return _usage(self.ask, self.count, _reasoning(self.ask))

    def opening(self) -> Iterator[Step]:
        ask, told = self.ask, self.told
        if ask.wish.comments:
            yield b": connected" + self.end
        if ask.wish.usage == "early":
            early = usage_of(ask.row.prompt_tokens, 1, ask.row.cached_tokens, 0)
            yield self.frame(self.top + b'],"usage":' + compact(_report(ask, early)) + b"}")
        self.count = told.hidden
        for choice in range(ask.choices):
            role = self.delta(choice, b'{"role":"assistant","content":""}')
            yield from _sliced(ask.wish, role, told.hidden if choice == 0 else 0)

    def struck_now(self) -> bool:
        """Whether the fault falls before the next token."""
        fault = self.ask.fault
        return (
            fault is not None
            and _strikes_inside(fault)
            and self.count - self.told.hidden == (fault.at or 0)
        )

    def content(self) -> Iterator[Step]:
        """Every token of the answer; returns early only where a fault ends the stream."""
        ask, wish = self.ask, self.ask.wish
        pause = wish.delay_ms / 1000
        seed = ask.seed
        batch = wish.batch
        last = self.told.count - self.told.hidden - 1
        kept_back = last if ask.is_fault("F38") else None
        watched = ask.fault is not None and _strikes_inside(ask.fault)
        gathered, tokens = b"", 0
        for i, piece in enumerate(self.told.pieces):
            striking = watched and self.struck_now()
            if tokens and (striking or wish.hold == i or kept_back == i):
                yield from _sliced(wish, gathered, tokens)
                gathered, tokens = b"", 0
            if striking:
                yield from self.strike()
            if wish.hold == i:
                yield Signal.HOLD
            if kept_back == i:
                return
            self.count += 1
            if piece.kind in ("content", "reasoning_content"):
                gathered += self.delta(piece.choice, text_delta(piece.kind, piece.text))
            else:
                gathered += self.delta(piece.choice, compact(piece.delta(seed)))
            tokens += 1
            if wish.comments and i % 3 == 2:
                gathered += (b":" if i % 2 else b": keep-alive") + self.end
            if tokens >= batch:
                if wish.chunk_bytes:
                    yield from _sliced(wish, gathered, tokens)
                else:
                    yield Emit(gathered, tokens)
                gathered, tokens = b"", 0
                if pause:
                    yield pause
        if tokens:
            yield from _sliced(wish, gathered, tokens)
        if wish.hold is not None and wish.hold > last:
            yield Signal.HOLD

    def strike(self) -> Iterator[Step]:
        """F11-F23 inside a stream. What ends the stream raises _Over."""
        ask, wish = self.ask, self.ask.wish
        ask.row.struck = True
        match ask.fault:
            case Fault("F11"):
                yield wish.wait_ms / 1000
                ask.row.struck = False
            case Fault("F13", "comments"):
                for _ in range(wish.wait_ms // max(wish.every_ms, 1)):
                    yield b": keep-alive" + self.end
                    yield wish.every_ms / 1000
                ask.row.struck = False
            case Fault("F13"):
                yield wish.wait_ms / 1000
                ask.row.struck = False
            case Fault("F14", "eof"):
                raise _Over
            case Fault("F14", "close" | "short"):
                yield Signal.CLOSE
            case Fault("F14", "chunk"):
                yield Raw(b"zz\r\nthis is no chunk\r\n")
                yield Signal.FLUSH
                yield Signal.CLOSE
            case Fault("F15"):
                yield self.frame(self.top + b'{"index":0,"delta":{"content":"cut')
            case Fault("F16"):
                yield self.delta(0, b'{"content":" \xff\xfe\xc3("}')
            case Fault("F23"):
                yield self.frame(compact(OVERLOADED))
                raise _Over
            case Fault("F33"):
                yield Signal.RESET

    def closing(self) -> Iterator[Step]:
        ask, wish = self.ask, self.ask.wish
        if ask.is_fault("F38", "eof"):
            ask.row.struck = True
            raise _Over
        at_finish = wish.usage == "finish"
        for choice, finish in enumerate(self.told.finish):
            data = self.delta(choice, b"{}", finish)
            if at_finish and choice == len(self.told.finish) - 1:
                usage = _report(ask, self.final_usage())
                data = data[: -len(self.end) - 1] + b',"usage":' + compact(usage) + b"}" + self.end
            yield from _sliced(wish, data, 0)
        if ask.is_fault("F30"):
            yield self.delta(0, b"{}", "length")
        silent = wish.usage in ("none", "finish", "cumulative") or not (
            ask.include_usage or wish.usage not in ("auto", "early")
        )
        if not silent:
            usage = self.final_usage()
            yield from _sliced(wish, self.usage_frame(usage), 0)
            if wish.usage == "twice":
                yield from _sliced(wish, self.usage_frame(usage), 0)
        if not wish.nodone:
            yield from _sliced(wish, self.frame(b"[DONE]"), 0)
        if ask.is_fault("F30"):
            yield self.delta(0, b'{"content":" after the end"}')
            yield self.frame(b"[DONE]")

    def events(self) -> Iterator[Step]:
        try:
            if not (
                self.ask.is_fault("F23") and self.ask.wish.fault == Fault("F23", "error", None)
            ):
                yield from self.opening()
            yield from self.content()
            if self.ask.fault and not self.ask.row.struck and self.late():
                yield from self.strike()
            yield from self.closing()
        except _Over:
            return

    def late(self) -> bool:
        """A fault placed at or behind the last token strikes before the finish."""
        fault = self.ask.fault
        said = self.count - self.told.hidden
        return fault is not None and _strikes_inside(fault) and (fault.at or 0) >= said


class _Over(Exception):
    """The stream ends here, in good HTTP order but without its terminal marker."""


def _strikes_inside(fault: Fault) -> bool:
    if fault.code == "F11":
        return fault.variant == "content"
    return fault.code in ("F13", "F14", "F15", "F16", "F23", "F33")


def _stream_answer(ask: Ask, told: Plan) -> Answer:
    short = ask.is_fault("F14", "short")
    return Answer(_stream(ask, told, short), chunked=not short)


def _stream(ask: Ask, told: Plan, short: bool) -> Iterator[Step]:
    yield from _before_head(ask)
    fields = {
        "content-type": SSE,
        "cache-control": "no-cache",
        "x-request-id": f"req_{ask.row.seq}",
    }
    if short:
        fields["content-length"] = "10000000"
    else:
        fields["transfer-encoding"] = "chunked"
    steps = _Stream(ask, told).events()
    if ask.is_fault("F20", "gzip", "deflate"):
        fields["content-encoding"] = ask.wish.fault.variant if ask.wish.fault else ""
        steps = _packed(ask, steps)
    yield from _head(ask, head(200, fields))
    yield from _limited(ask, steps)


def _packed(ask: Ask, steps: Iterator[Step]) -> Iterator[Step]:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31 if ask.is_fault("F20", "gzip") else 15)
    for step in steps:
        if isinstance(step, Emit | bytes):
            data, tokens = (step.data, step.tokens) if isinstance(step, Emit) else (step, 0)
            yield Emit(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH), tokens)
        else:
            yield step
    yield packer.flush()
