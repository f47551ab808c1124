"""Write neutral events as a streamed answer of the gemini dialect.

    Start          -> nothing, but every frame has the answer's id and model
    deltas         -> one frame each
    tool call      -> one frame when its arguments are complete, never before (F38)
    Gemini's seal  -> with the part that it belongs to, else alone before the end
    foreign seal   -> closes the thought that it belongs to
    Finish, Citation, LogprobsDelta
                   -> the last frame, because reasons, sources and counts belong together
    Usage          -> every frame from then on
    end            -> the last frame

Frames are events with CRLF, or elements of a JSON array.
"""

from typing import Any

import msgspec

from dialects.chat import events as neutral
from dialects.chat.chat import ChatRequest, JsonObject
from dialects.errors.kinds import ErrorKind
from dialects.gemini.answer.encode import (
    SOUND_UNSAID,
    shows_thoughts,
    write_head,
    write_hidden,
    write_logprobs,
    write_seal,
    write_thought,
)
from dialects.gemini.answer.finish_reasons import write_reason
from dialects.gemini.answer.grounding import write_grounding
from dialects.gemini.errors import ARRAY_CLOSE, ARRAY_NEXT, ARRAY_OPEN, error_frame
from dialects.gemini.part_forms import write_address, write_call, write_data
from dialects.gemini.usage import encode as write_usage
from dialects.usage.usage import Counts


class _Choice:
    """The parts of one choice that wait to be sent."""

    __slots__ = ("calls", "citations", "finish", "refused", "seal", "sound", "texts", "tokens")

    def __init__(self) -> None:
        self.calls: dict[int, tuple[neutral.ToolCallStart, list[str]]] = {}
        self.citations: list[neutral.Source] = []
        self.finish: neutral.Finish | None = None
        self.refused = False
        self.texts: list[str] = []
        self.seal: neutral.Seal | None = None
        self.sound = ""
        self.tokens: list[neutral.TokenLogprob] = []


class Encoder:
    """Writes one answer for the client of `request`; with `array` as elements of a JSON array."""

    def __init__(self, request: ChatRequest, *, array: bool = False) -> None:
        self._request = request
        self._array = array
        self._show_thoughts = shows_thoughts(request)
        self._head = write_head(request, "")
        self._choices: dict[int, _Choice] = {}
        self._usage: JsonObject = {}
        self._started = False

    def feed(self, event: neutral.Event) -> bytes:
        """Return the frame of an event; b"" if the event only adds to a later frame."""
        match event:
            case neutral.Start(model=model):
                self._head = write_head(self._request, model)
                return b""
            case neutral.Usage(counts=counts):
                if counts is not None:
                    self._usage = {"usageMetadata": write_usage(counts)}
                return b""
        at = getattr(event, "choice", None)
        if at is None:
            return b""
        choice = self._choices.setdefault(at, _Choice())
        part = self._part(choice, event)
        if part is None:
            return b""
        if choice.seal is not None and not ({"thought", "thoughtSignature"} & part.keys()):
            part["thoughtSignature"] = choice.seal.value
            choice.seal = None
        content = {"parts": [part], "role": "model"}
        return self._frame([{"content": content, "index": at}])

    def end(self) -> bytes:
        """Return the end of a complete answer: a frame with the finish reasons, the sources and the
        counts."""
        last = [_write_last(at, choice) for at, choice in sorted(self._choices.items())]
        self._usage = self._usage or {"usageMetadata": write_usage(Counts())}
        frame = self._frame(last)
        return frame + ARRAY_CLOSE if self._array else frame

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the end of a failed answer. Open calls are never sent."""
        first = not self._started
        return error_frame(
            kind,
            message,
            request_id=self._request.request_id,
            guard_code=guard_code,
            array=self._array,
            first=first,
        )

    def _frame(self, candidates: list[JsonObject]) -> bytes:
        first, self._started = not self._started, True
        body = {"candidates": candidates} | self._usage | self._head
        return _wrap(body, array=self._array, first=first)

    def _part(self, choice: _Choice, event: neutral.Event) -> JsonObject | None:
        """Return the part of an event; None if the event only adds to a later frame."""
        match event:
            case neutral.TextDelta(text=text):
                choice.texts.append(text)
                return {"text": text}
            case neutral.ReasoningDelta(text=text):
                return write_thought(text) if self._show_thoughts else None
            case neutral.ReasoningSeal(seal=seal):
                return self._seal(choice, seal)
            case neutral.RefusalDelta(text=text):
                choice.refused = True
                return {"text": text}
            case neutral.ToolCallStart(index=index):
                choice.calls[index] = (event, [])
            case neutral.ToolArgumentsDelta(index=index, text=text):
                choice.calls[index][1].append(text)
            case neutral.ToolCallEnd(index=index):
                start, arguments = choice.calls.pop(index)
                return write_call(start.name, "".join(arguments), start.id)
            case neutral.ImageOutput(url=url, media_type=media_type) if url:
                return write_address(url, media_type)
            case neutral.ImageOutput(data=data, media_type=media_type):
                return write_data(data, media_type)
            case neutral.AudioDelta(data=data, media_type=media_type):
                choice.sound = media_type or choice.sound
                return write_data(data, choice.sound or SOUND_UNSAID) if data else None
            case neutral.Citation(source=source):
                choice.citations.append(source)
            case neutral.LogprobsDelta(tokens=tokens, refusal=False):
                choice.tokens += tokens
            case neutral.Finish():
                choice.finish = event
        return None

    def _seal(self, choice: _Choice, seal: neutral.Seal) -> JsonObject | None:
        if seal.owner == "gemini":
            earlier, choice.seal = choice.seal, seal
            return None if earlier is None else write_seal(earlier)
        return write_thought("", seal) if self._show_thoughts else write_hidden(seal)


def _write_last(at: int, choice: _Choice) -> JsonObject:
    candidate: JsonObject = {}
    if choice.seal is not None:
        candidate["content"] = {"parts": [write_seal(choice.seal)], "role": "model"}
    reason = None if choice.finish is None else choice.finish.reason
    word = write_reason(reason, refused=choice.refused)
    if word is not None:
        candidate["finishReason"] = word
    candidate["index"] = at
    if grounding := write_grounding(choice.citations, "".join(choice.texts)):
        candidate["groundingMetadata"] = grounding
    if choice.tokens:
        candidate["logprobsResult"] = write_logprobs(choice.tokens)
    return candidate


def write_cut(choices: list[int], *, array: bool, first: bool) -> bytes:
    """Write a last frame that only reports the length limit of these candidates; none has no
    frame."""
    body = {"candidates": [{"finishReason": "MAX_TOKENS", "index": at} for at in choices]}
    last = _wrap(body, array=array, first=first) if choices else b""
    return last + (ARRAY_CLOSE if array else b"")


def _wrap(body: dict[str, Any], *, array: bool, first: bool) -> bytes:
    data = msgspec.json.encode(body)
    if not array:
        return b"data: " + data + b"\r\n\r\n"
    return (ARRAY_OPEN if first else ARRAY_NEXT) + data
