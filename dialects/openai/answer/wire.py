"""The members of an openai chat answer that are read, for whole and streamed answers. The parser
skips all other members. Compatible providers differ in types, so a text that does not match these
structs is parsed again, more slowly, and converted.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from dialects.chat import events as neutral
from dialects.chat.open_calls import is_whole
from dialects.json.raw_json import (
    ABSENT,
    ReadFault,
    parser,
    size,
    top_members,
    value_bytes,
    value_of,
)
from dialects.openai.answer.content_chunks import read_chunks
from dialects.openai.answer.finish_reasons import FINISH_REASONS
from dialects.streams.stream import ChoiceProgress


class Function(msgspec.Struct, gc=False):
    """The name and arguments of a tool call, or a piece of them."""

    name: str | None = None
    arguments: str | None = None


class Custom(msgspec.Struct, gc=False):
    """The name and input of a freeform call, or a piece of them."""

    name: str | None = None
    input: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Delta(msgspec.Struct, gc=False):
    """A `delta` of a chunk or the `message` of a whole answer."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    audio: msgspec.Raw = ABSENT


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk or of a whole answer."""

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = ABSENT


class Answer(msgspec.Struct, gc=False):
    """A chunk or a whole answer. An error is in `error`, or at the top level. Groq may send the
    usage in `x_groq` alone."""

    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    object: str | None = None


class FullDelta(Delta, gc=False):
    """A `delta` or `message` with the members that only a translation needs."""

    images: Any = None
    annotations: Any = None


class FullChoice(Choice, gc=False):
    """A choice with the members that only a translation needs."""

    delta: FullDelta | None = None
    message: FullDelta | None = None
    logprobs: Any = None


class FullChunk(Answer):
    """A chunk or a whole answer with the members that only a translation needs."""

    choices: list[FullChoice] | None = None  # type: ignore[assignment]
    id: Any = None
    model: Any = None
    created: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    citations: Any = None
    search_info: Any = None
    web_search: Any = None

    @property
    def is_plain(self) -> bool:
        """Whether it has at most one choice, without calls, pictures and likelihoods, and no
        sources."""
        if self.citations or self.search_info or self.web_search:
            return False
        if not self.choices:
            return True
        choice = self.choices[0]
        delta, message = choice.delta, choice.message
        if len(self.choices) > 1 or choice.logprobs or not (delta is None or message is None):
            return False
        delta = message if delta is None else delta
        return delta is None or not (delta.tool_calls or delta.images or delta.annotations)


def groq_usage(answer: Answer) -> bytes | None:
    """Return the raw usage of an answer that has it in `x_groq`; None without any."""
    try:
        return value_bytes(top_members(answer.x_groq).get("usage", ABSENT))
    except ReadFault:
        return None


def error_of(answer: Answer, data: bytes) -> bytes | None:
    """Return the raw error object; None if the answer is not an error."""
    if answer.error is not ABSENT and (error := value_bytes(answer.error)) is not None:
        return error
    return data if answer.object == "error" and not answer.choices else None


class _Call:
    """A call that has begun, and its arguments so far."""

    __slots__ = ("id", "name", "pieces")

    def __init__(self, id_: str, name: str) -> None:
        self.id, self.name = id_, name
        self.pieces: list[str] = []

    def is_followed_by(self, piece: ToolCall, name: str | None, arguments: str | None) -> bool:
        """Return whether a piece with this call's `index`, or without one, begins the next call.
        Some servers send the same index with every call, and others repeat a call's id and name.
        """
        if not name:
            return False
        if piece.id and self.id:
            return piece.id != self.id
        # Joined only where they may be whole: some servers repeat the name with each piece.
        if not self.pieces or not self.pieces[-1].rstrip().endswith(("}", "]")):
            return False
        return is_whole("".join(self.pieces)) and (name != self.name or bool(arguments))


class ChoiceReader(ChoiceProgress):
    """Converts choices to events, one after the other, and collects what a stream splits over
    several frames. In a `whole` answer, every item is a call of its own.
    """

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__()
        self._whole = whole
        # The calls of each choice, and their positions by `index`.
        self._calls: dict[int, dict[int, _Call]] = {}
        self._places: dict[int, dict[int, int]] = {}

    def read(self, choice: Choice, events: list[neutral.Event]) -> None:
        """Append the events of one choice, and count the bytes of its text."""
        index = choice.index
        self._seen.add(index)
        delta = choice.delta or choice.message
        if delta is not None:
            self._read_delta(index, delta, events)
        if choice.finish_reason and index not in self._finished:
            self._finished.add(index)
            reason = FINISH_REASONS.get(choice.finish_reason, "stop")
            if reason == "stop" and index in self._calls:
                reason = "tool_calls"
            events.append(neutral.Finish(index, reason))

    def _read_delta(self, index: int, delta: Delta, events: list[neutral.Event]) -> None:
        if delta.content:
            events.append(neutral.TextDelta(index, delta.content))
            self.text_bytes += size(delta.content)
        # Some servers send the same reasoning in both members.
        if reasoning := delta.reasoning_content or delta.reasoning:
            events.append(neutral.ReasoningDelta(index, reasoning))
            self.reasoning_bytes += size(reasoning)
        if delta.refusal:
            events.append(neutral.RefusalDelta(index, delta.refusal))
            self.text_bytes += size(delta.refusal)
        if delta.audio is not ABSENT and (audio := value_bytes(delta.audio)) is not None:
            events.append(neutral.OpaqueDelta(index, audio))
        if delta.function_call is not None and not delta.tool_calls:
            self._read_call(index, ToolCall(0, None, delta.function_call), events)
        for call in delta.tool_calls or ():
            self._read_call(index, call, events)

    def _read_call(self, index: int, call: ToolCall, events: list[neutral.Event]) -> None:
        calls = self._calls.setdefault(index, {})
        function = call.function or _as_function(call.custom)
        at = len(calls) if self._whole else self._place(index, calls, call, function)
        opened = calls.get(at)
        if opened is None:
            opened = calls[at] = _Call(call.id or "", function.name or "")
            events.append(neutral.ToolCallStart(index, at, opened.id, opened.name))
            self.text_bytes += size(opened.name)
        if function.arguments:
            opened.pieces.append(function.arguments)
            events.append(neutral.ToolArgumentsDelta(index, at, function.arguments))
            self.text_bytes += size(function.arguments)

    def _place(
        self, index: int, calls: dict[int, _Call], piece: ToolCall, function: Function
    ) -> int:
        """Return the position of the call that a piece belongs to."""
        following = max(calls, default=-1) + 1
        if piece.index is None:
            if piece.id:
                # A new id begins the next call.
                return next((at for at, call in calls.items() if call.id == piece.id), following)
            at = max(0, following - 1)
        else:
            places = self._places.setdefault(index, {})
            free = following if piece.index in calls else piece.index
            at = places.setdefault(piece.index, free)
        call = calls.get(at)
        if call is None or not call.is_followed_by(piece, function.name, function.arguments):
            return at
        if piece.index is not None:
            self._places[index][piece.index] = following
        return following


def _read_loosely(data: bytes) -> Answer:
    """Read valid JSON of unexpected types: keep what can be understood, ignore the rest."""
    top = top_members(data)
    raw_choices = value_of(top.get("choices"))
    choices = raw_choices if isinstance(raw_choices, list) else []
    return Answer(
        choices=[_loose_choice(item) for item in choices if isinstance(item, dict)],
        usage=top.get("usage", ABSENT),
        x_groq=top.get("x_groq", ABSENT),
        error=top.get("error", ABSENT),
        object=_text(value_of(top.get("object"))),
    )


def _loose_choice(item: dict[str, Any]) -> Choice:
    reason = item.get("finish_reason")
    return Choice(
        index=_integer(item.get("index")) or 0,
        delta=_loose_delta(item.get("delta")),
        message=_loose_delta(item.get("message")),
        finish_reason=reason if isinstance(reason, str) else None,
        usage=_encode_raw(item.get("usage")),
    )


def _loose_delta(item: Any) -> Delta | None:
    if not isinstance(item, dict):
        return None
    calls, content = item.get("tool_calls"), item.get("content")
    thought, text = read_chunks(content) or ("", _text(content))
    return Delta(
        content=text,
        reasoning_content=_text(item.get("reasoning_content")) or thought,
        reasoning=_text(item.get("reasoning")),
        refusal=_text(item.get("refusal")),
        tool_calls=[_loose_call(call) for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else None,
        function_call=_loose_function(item.get("function_call")),
        audio=_encode_raw(item.get("audio")),
    )


def _as_function(custom: Custom | None) -> Function:
    return Function() if custom is None else Function(custom.name, custom.input)


def _loose_call(item: dict[str, Any]) -> ToolCall:
    custom = item.get("custom")
    return ToolCall(
        _integer(item.get("index")),
        _text(item.get("id")),
        _loose_function(item.get("function")),
        Custom(_text(custom.get("name")), _text(custom.get("input")))
        if isinstance(custom, dict)
        else None,
    )


def _loose_function(item: Any) -> Function | None:
    if not isinstance(item, dict):
        return None
    return Function(_text(item.get("name")), _text(item.get("arguments")))


def _text(value: Any) -> str | None:
    """Return a text; content of another type is kept as JSON, so that it is still counted and
    sent."""
    if not value or isinstance(value, str):
        return value or None
    return msgspec.json.encode(value).decode()


def _encode_raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _integer(value: Any) -> int | None:
    """Return an index: small and not negative, otherwise unknown."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 1_000 else None


# Parse one chunk or answer. Raises ReadFault when it is no JSON object.
read_answer = parser(Answer, _read_loosely)
# A number out of range in a member that only a translation needs costs no text.
read_chunk: Callable[[bytes], Answer] = parser(FullChunk, read_answer)
