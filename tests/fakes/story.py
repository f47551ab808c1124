"""From a question to the steps of its answer, faults included, in any dialect.

A `Talk` is one dialect's side of one request: how it is read, how a refusal looks, how an answer is
written whole or as a `Stream`. Everything else is the same for all and stands here.
"""

import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from itertools import chain, islice
from typing import Any

from tests.fakes.answer import Piece, compact, lie, pieces, seed_of, usage_of
from tests.fakes.bad_bodies import bomb, endless, framed, many_headers
from tests.fakes.books import Row
from tests.fakes.directives import Directives, Fault
from tests.fakes.question import Problem, Question
from tests.fakes.wire import Answer, Emit, Raw, Signal, Step, head, whole

CREATED = 1_767_100_000
SSE = "text/event-stream; charset=utf-8"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Talk(ABC):
    """One dialect's side of one request."""

    dialect = ""
    operation = ""
    prefix = "id-"  # of the ids of its answers
    fields: frozenset[str] = frozenset()  # of a request; others are noted as `unknown`
    json_type = "application/json"
    stream_type = SSE
    spine = b'"text":"'  # a string of a plain answer that F16 spoils
    line = b'data: {"text":"'  # what F17 never ends
    free = False  # nothing is billed
    row_units: Mapping[str, int] = {}  # that are billed beside tokens, or in their place
    streams = True
    blocks_with_200 = False
    question: Question

    # ---- reading

    @abstractmethod
    def credential(
        self, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, str | None]:
        """Which carrier this dialect has, and the key in it."""

    def no_key(self, value: str | None) -> Problem:
        """What is said to a request without a key of ours."""
        return Problem(401, "Incorrect API key provided.", code="invalid_api_key")

    @abstractmethod
    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        """What a body says; Wrong for one that the real provider would refuse."""

    def check(self, body: dict[str, Any], wish: Directives) -> None:  # noqa: B027 - most need none
        """What can only be judged with the directives; Wrong as in `read`."""

    # ---- refusing

    @abstractmethod
    def error(self, problem: Problem) -> Any:
        """The JSON value of an error."""

    def unknown(self, name: str) -> Problem:
        text = f"Unrecognized request argument supplied: {name}"
        return Problem(400, text, code="unknown_parameter", param=name)

    def adapt(self, problem: Problem) -> Problem:
        """A fault of the table in this dialect's own status and words."""
        return problem

    def refusal(self, problem: Problem) -> Answer:
        body = compact(self.error(problem))
        return whole(problem.status, body, self.json_type, **problem.headers)

    def blocked(self, ask: "Ask") -> bytes:
        """The body of a 200 that refuses the prompt (F6:content), where `blocks_with_200`."""
        return b""

    def overloaded(self) -> Any:
        """The error object inside a 200 (F23)."""
        return self.error(Problem(503, "The engine is overloaded.", "server_error", "overloaded"))

    # ---- answering

    def head_fields(self, row: Row) -> dict[str, str]:
        return {"x-request-id": f"req_{row.seq}"}

    @abstractmethod
    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """An honest or a lying usage in this dialect's fields."""

    @abstractmethod
    def plain(self, ask: "Ask", new_plan: "Plan", text: list[Piece]) -> bytes:
        """The whole body of a plain answer."""

    def stream(self, ask: "Ask", new_plan: "Plan") -> "Stream":
        raise NotImplementedError(f"{self.operation} is never streamed")


@dataclass(slots=True)
class Ask:
    """One accepted request with everything its answer is made of."""

    name: str
    talk: Talk
    question: Question
    wish: Directives
    row: Row
    reused: bool  # the connection has served a request before

    @property
    def seed(self) -> str:
        return seed_of(self.name, self.question.user_text)

    @property
    def fault(self) -> Fault | None:
        return self.wish.fault

    def is_fault(self, code: str, *variants: str) -> bool:
        fault = self.wish.fault
        return (
            fault is not None and fault.code == code and (not variants or fault.variant in variants)
        )

    def call_id(self, prefix: str, choice: int, call: int) -> str:
        """Ids go on behind those of the calls that have their results."""
        return f"{prefix}_{self.seed}_{choice}_{call + len(self.question.results)}"

    @property
    def reasoning(self) -> int:
        return self.wish.hidden + self.wish.reasoning * self.question.choices

    def counted(self, completion: int) -> dict[str, Any] | None:
        """The usage to claim after so many tokens, as `#usage` wants it, in OpenAI's shape."""
        row = self.row
        written = row.cache_write_tokens + row.cache_write_1h_tokens
        reasoning = min(self.reasoning, completion)
        honest = usage_of(row.prompt_tokens, completion, row.cached_tokens, reasoning, written)
        return lie(self.wish.usage, honest)

    def report(self, usage: dict[str, Any] | None) -> dict[str, Any] | None:
        """Write down what the answer claims, and put it in the dialect's words."""
        if usage is None:
            return None
        raw = self.talk.usage(usage)
        self.row.reported = usage
        self.row.reported_raw = raw
        self.row.reports += 1
        return raw


@dataclass(slots=True)
class Plan:
    """What will be said: all pieces in order, and how each choice ends."""

    pieces: Iterable[Piece]
    count: int  # of pieces and hidden tokens; -1 = endless
    hidden: int
    finish: list[str]  # stop | length | tool_calls, or the word of `#finish`


def plan(ask: Ask) -> Plan:
    """Cap and order the pieces; the hidden reasoning comes first and counts like the rest."""
    wish, question = ask.wish, ask.question
    if not ask.talk.streams:
        return Plan([], 0, 0, [])
    if ask.is_fault("F18"):
        return Plan(pieces(wish, ask.name, question, 0), -1, 0, ["stop"])
    if ask.is_fault("F34"):
        return Plan([Piece(0, "content", "a" * _big(wish))], 1, 0, ["stop"])
    cap = None if wish.uncapped else question.cap
    hidden = wish.hidden if cap is None else min(wish.hidden, cap)
    lines: list[Piece] = []
    finish: list[str] = []
    for choice in range(question.choices):
        left = None if cap is None else cap - (hidden if choice == 0 else 0)
        mine = list(pieces(wish, ask.name, question, choice))
        kept = mine if left is None else mine[:left]
        natural = "tool_calls" if question.calls(wish) else "stop"
        finish.append(wish.finish or (natural if len(kept) == len(mine) else "length"))
        lines += kept
    return Plan(lines, hidden + len(lines), hidden, finish)


def _big(wish: Directives) -> int:
    return wish.bytes if wish.bytes is not None else 33 * 2**20


def answer(ask: Ask) -> Answer:
    """The answer to a request, its fault included; `ask.row` learns the plan and the status."""
    status = _status_fault(ask)
    if status is not None:
        ask.row.accepted = False
        ask.row.struck = True
        return status
    message = plan(ask)
    ask.row.planned = message.count
    early = _connection_fault(ask)
    if early is not None:
        return early
    as_stream = (ask.question.stream or ask.is_fault("F19", "sse")) and not ask.is_fault(
        "F19", "json"
    )
    created = _stream_answer(ask, message) if as_stream else _plain_answer(ask, message)
    if ask.is_fault("F37", "both", "trailers"):
        created.trailers = b"x-checksum: 0123456789abcdef\r\nx-late: yes\r\n"
    created.close_after = ask.is_fault("F32", "idle")
    return created


# ---- faults that answer with a status


def _problem_of(ask: Ask) -> Problem | None:
    """F5-F10, F35, F39 as OpenAI and its compatible servers put them."""
    row, model = ask.row, ask.question.model
    match ask.fault:
        case Fault("F5", variant, _):
            code = "invalid_api_key" if variant == "401" else "unsupported_country"
            return Problem(int(variant), f"Incorrect API key provided: {row.key}.", code=code)
        case Fault("F6", "context"):
            text = "Input of 130012 tokens exceeds the 128000 token context window."
            return Problem(400, text, code="context_length_exceeded", param="messages")
        case Fault("F6", "content"):
            text = "The prompt was rejected by the usage policy check."
            return Problem(400, text, code="invalid_prompt")
        case Fault("F6", variant, _):
            text = "Invalid value for 'temperature'."
            return Problem(int(variant), text, param="temperature")
        case Fault("F7"):
            text = f"No such model for this account: {model}"
            return Problem(404, text, code="model_not_found")
        case Fault("F8", variant, _):
            waits = _waits(variant, ask.wish.retry_after)
            text = "Rate limit reached for requests."
            return Problem(429, text, "requests", "rate_limit_exceeded", headers=waits)
        case Fault("F9", variant, _):
            kind = "insufficient_quota"
            return Problem(int(variant), "Account quota is used up.", kind, kind)
        case Fault("F10", variant, _):
            return Problem(int(variant), "Unexpected upstream failure.", "server_error")
        case Fault("F39", "404", _):
            return Problem(404, "No endpoints found that support image input", code="404")
        case Fault("F39"):
            return Problem(500, "image input is not supported", "server_error")
        case Fault("F35"):
            return Problem(413, "Request body too large.", code="body_too_large")
    return None


def _status_fault(ask: Ask) -> Answer | None:
    """F5-F10, F21, F35, F39: an answer with an error status or a redirect; None = no such fault."""
    row, fault = ask.row, ask.fault
    if fault is not None and fault.code == "F21":
        row.status = int(fault.variant)
        place = ask.wish.location or "/_canary"
        return whole(row.status, b"", "text/plain", location=place)
    if fault is not None and fault.text == "F10:502":
        row.status = 502
        return whole(502, HTML, "text/html")
    problem = _problem_of(ask)
    if problem is None or (ask.is_fault("F6", "content") and ask.talk.blocks_with_200):
        return None
    problem = ask.talk.adapt(replace(problem, fault=fault))
    row.status = problem.status
    return ask.talk.refusal(problem)


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


def _connection_fault(ask: Ask) -> Answer | None:
    """F6:content as a 200, F17, F19 html, F20 bomb, F22-F24, F32, F33: None = answer after all."""
    wish, row, talk = ask.wish, ask.row, ask.talk
    created: Answer | None = None
    status: int | None = 200
    kind = talk.stream_type if ask.question.stream else talk.json_type
    match ask.fault:
        case Fault("F6"):
            created = whole(200, talk.blocked(ask), kind)
        case Fault("F17"):
            created = framed(kind, chain([talk.line], endless(wish.bytes)))
        case Fault("F19", "html"):
            created = whole(200, HTML, "text/html")
        case Fault("F19", "sse") if not talk.streams:
            created = whole(200, b"data: {}\n\ndata: [DONE]\n\n", SSE)
        case Fault("F20", "bomb"):
            created = framed(kind, bomb(wish.bytes or 2**30), content_encoding="gzip")
        case Fault("F22", variant, _):
            created = many_headers(variant)
        case Fault("F23", variant, None) if variant == "body" or not ask.question.stream:
            created = whole(200, compact(talk.overloaded()))
        case Fault("F24", "204"):
            status = 204
            created = whole(204, b"")
        case Fault("F24", variant, _):
            stream = variant == "stream"
            created = framed(talk.stream_type, iter(())) if stream else whole(200, b"")
        case Fault("F32", "reused") if ask.reused:
            # The server had closed before the request came: nothing was taken in.
            row.accepted = False
            status = None
            created = Answer(iter((Signal.CLOSE,)))
        case Fault("F33", _, None):
            status = None
            created = Answer(iter((Signal.RESET,)))
    if created is not None:
        row.struck = True
        row.status = status
    return created


# ---- the plain answer


def _plain_answer(ask: Ask, new_plan: Plan) -> Answer:
    chunked = ask.wish.chunked or ask.is_fault("F37", "both", "trailers")
    return Answer(_plain(ask, new_plan, chunked), chunked=chunked)


def _plain(ask: Ask, new_plan: Plan, chunked: bool) -> Iterator[Step]:
    wish, row, talk = ask.wish, ask.row, ask.talk
    yield from _before_head(ask)
    if wish.delay_ms:
        yield wish.delay_ms * max(new_plan.count, 1) / 1000
    lines = list(islice(new_plan.pieces, 4096)) if new_plan.count < 0 else list(new_plan.pieces)
    if ask.is_fault("F38"):
        lines = lines[:-1]
    tokens = new_plan.hidden + len(lines)
    body = talk.plain(ask, new_plan, lines)
    if ask.is_fault("F34") and not talk.streams:
        body += b" " * _big(wish)
    broken, body = _break_plain(ask, body)
    fields = {"content-type": talk.json_type} | talk.head_fields(row)
    if ask.is_fault("F20", "gzip", "deflate"):
        body = _pack(ask, [body])
        fields["content-encoding"] = wish.fault.variant if wish.fault else ""
    if chunked:
        fields["transfer-encoding"] = "chunked"
    else:
        missing = 100 if ask.is_fault("F14", "short", "close") else 0
        fields["content-length"] = str(len(body) + missing)
    if wish.hold is not None:
        yield Signal.HOLD
    yield from _head(ask, head(200, fields))
    if ask.is_fault("F13"):
        yield body[: len(body) // 2]
        row.struck = True
        yield wish.wait_ms / 1000
        row.struck = False
        body = body[len(body) // 2 :]
    yield from _limited(ask, sliced(wish, body, tokens, last=True))
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
            place = b":[" if b":[" in body else b":"
            return None, body.replace(place, place + b",,", 1)
        case Fault("F16"):
            row.struck = True
            place = ask.talk.spine if ask.talk.spine in body else b'"'
            return None, body.replace(place, place + b"\xff\xfe", 1)
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


def sliced(wish: Directives, data: bytes, tokens: int, *, last: bool = False) -> Iterator[Step]:
    """Cut a body into writes of `#chunk_bytes`; the last piece carries the count.

    With `last` nothing waits behind it: the client may leave as soon as it has all.
    """
    size = wish.chunk_bytes
    if not size or not data:
        yield Emit(data, tokens)
        return
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        ending = start + size >= len(data)
        yield Emit(piece, tokens if ending else 0)
        if last and ending:
            return
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


class Over(Exception):
    """The stream ends here, in good HTTP order but without its terminal marker."""


class Stream(ABC):
    """Makes the frames of one stream; `events` is the whole story in order."""

    def __init__(self, ask: Ask, new_plan: Plan) -> None:
        self.ask = ask
        self.told = new_plan
        wish = ask.wish
        self.eol = b"\r\n" if wish.crlf else b"\n"
        self.end = self.eol * 2
        self.data = b"data:" if wish.nospace else b"data: "
        self.count = 0  # tokens made so far, hidden ones too
        self.held = 0  # of these, those that wait for an event of their own

    # ---- what each dialect says in its own way

    @abstractmethod
    def opening(self) -> Iterator[Step]:
        """Before the first token; sets `count` to the hidden tokens and emits them."""

    @abstractmethod
    def write(self, piece: Piece) -> bytes:
        """The events of one token; b"" keeps it back for a later one."""

    @abstractmethod
    def closing(self) -> Iterator[Step]:
        """Finish, usage, terminal marker; emits what is held."""

    @abstractmethod
    def broken(self) -> bytes:
        """An event that is no JSON (F15)."""

    @abstractmethod
    def garbled(self) -> bytes:
        """An event with text that is no UTF-8 (F16)."""

    @abstractmethod
    def failure(self) -> bytes:
        """The in-stream error (F23)."""

    def cut_call(self) -> Iterator[Step]:
        """What is seen of a call that is cut before its end (F38:eof)."""
        return iter(())

    def comment(self, number: int) -> bytes:
        return (b":" if number % 2 else b": keep-alive") + self.end

    # ---- what is the same for all

    def emit(self, data: bytes, tokens: int = 0) -> Iterator[Step]:
        return sliced(self.ask.wish, data, tokens)

    def usage_now(self) -> dict[str, Any] | None:
        """The usage up to this token, reported."""
        return self.ask.report(self.ask.counted(self.count))

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
        batch, hold, comments, in_cuts = wish.batch, wish.hold, wish.comments, wish.chunk_bytes
        write = self.write
        last = self.told.count - self.told.hidden - 1
        kept_back = last if ask.is_fault("F38") else None
        watched = ask.fault is not None and _strikes_inside(ask.fault)
        gathered, tokens = b"", 0
        for i, piece in enumerate(self.told.pieces):
            striking = watched and self.struck_now()
            if tokens and (striking or hold == i or kept_back == i):
                yield from self.emit(gathered, tokens)
                gathered, tokens = b"", 0
            if hold == i:
                yield Signal.HOLD
            if striking:
                yield from self.strike()
            if kept_back == i:
                return
            self.count += 1
            data = write(piece)
            if not data:
                self.held += 1
                continue
            gathered += data
            tokens += 1 + self.held
            self.held = 0
            if comments and i % 3 == 2:
                gathered += self.comment(i)
            if tokens >= batch:
                if in_cuts:
                    yield from self.emit(gathered, tokens)
                else:
                    yield Emit(gathered, tokens)
                gathered, tokens = b"", 0
                if pause:
                    yield pause
        if tokens:
            yield from self.emit(gathered, tokens)
        if hold is not None and hold > last:
            yield Signal.HOLD

    def strike(self) -> Iterator[Step]:
        """F11-F23 inside a stream. What ends the stream raises Over."""
        ask, wish = self.ask, self.ask.wish
        ask.row.struck = True
        match ask.fault:
            case Fault("F11"):
                yield wish.wait_ms / 1000
                ask.row.struck = False
            case Fault("F13", "comments"):
                for _ in range(wish.wait_ms // max(wish.every_ms, 1)):
                    yield self.comment(0)
                    yield wish.every_ms / 1000
                ask.row.struck = False
            case Fault("F13"):
                yield wish.wait_ms / 1000
                ask.row.struck = False
            case Fault("F14", "eof"):
                raise Over
            case Fault("F14", "close" | "short"):
                yield Signal.CLOSE
            case Fault("F14", "chunk"):
                yield Raw(b"zz\r\nthis is no chunk\r\n")
                yield Signal.FLUSH
                yield Signal.CLOSE
            case Fault("F15"):
                yield self.broken()
            case Fault("F16"):
                yield self.garbled()
            case Fault("F23"):
                yield self.failure()
                raise Over
            case Fault("F33"):
                yield Signal.RESET

    def events(self) -> Iterator[Step]:
        ask = self.ask
        try:
            if ask.fault != Fault("F23", "error", None):
                yield from self.opening()
            yield from self.content()
            if ask.fault and not ask.row.struck and self.late():
                yield from self.strike()
            if ask.is_fault("F38", "eof"):
                ask.row.struck = True
                yield from self.cut_call()
                raise Over
            yield from self.closing()
        except Over:
            return

    def late(self) -> bool:
        """A fault placed at or behind the last token strikes before the finish."""
        fault = self.ask.fault
        count = self.count - self.told.hidden
        return fault is not None and _strikes_inside(fault) and (fault.at or 0) >= count


def _strikes_inside(fault: Fault) -> bool:
    if fault.code == "F11":
        return fault.variant == "content"
    return fault.code in ("F13", "F14", "F15", "F16", "F23", "F33")


def _stream_answer(ask: Ask, new_plan: Plan) -> Answer:
    short = ask.is_fault("F14", "short")
    return Answer(_stream(ask, new_plan, short), chunked=not short)


def _stream(ask: Ask, new_plan: Plan, short: bool) -> Iterator[Step]:
    yield from _before_head(ask)
    fields = {"content-type": ask.talk.stream_type, "cache-control": "no-cache"}
    fields |= ask.talk.head_fields(ask.row)
    if short:
        fields["content-length"] = "10000000"
    else:
        fields["transfer-encoding"] = "chunked"
    steps = ask.talk.stream(ask, new_plan).events()
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
