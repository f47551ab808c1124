"""The members of an openai chat answer that are read, for whole and streamed answers. The parser
skips all other members. Compatible providers differ in types, so a text that does not match these
structs is parsed again, more slowly, and converted.
"""

from typing import Any

import msgspec

from dialects.chat import events as neutral
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


class ChoiceReader(ChoiceProgress):
    """Converts choices to events, one after the other, and collects what a stream splits over
    several frames.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[int, dict[int, str]] = {}

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
        if delta.function_call is not None:
            self._read_call(index, ToolCall(0, None, delta.function_call), events)
        for call in delta.tool_calls or ():
            self._read_call(index, call, events)

    def _read_call(self, index: int, call: ToolCall, events: list[neutral.Event]) -> None:
        ids = self._calls.setdefault(index, {})
        at = call.index if call.index is not None else self._place(ids, call.id)
        function = call.function or _as_function(call.custom)
        if at not in ids:
            ids[at] = call.id or ""
            events.append(neutral.ToolCallStart(index, at, call.id or "", function.name or ""))
            self.text_bytes += size(function.name or "")
        if function.arguments:
            events.append(neutral.ToolArgumentsDelta(index, at, function.arguments))
            self.text_bytes += size(function.arguments)

    @staticmethod
    def _place(ids: dict[int, str], call_id: str | None) -> int:
        """Return the position of a call that was sent without `index`. A new id begins the next
        call."""
        last = max(ids, default=-1)
        if not call_id:
            return max(0, last)
        return next((at for at, known in ids.items() if known == call_id), last + 1)


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
