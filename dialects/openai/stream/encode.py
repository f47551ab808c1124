"""Write neutral events as chunks of the openai dialect.

    first event of a choice  -> role and empty content
    deltas                   -> one chunk each; a call's id, type and name only in its first
    Finish                   -> empty delta with the reason
    end                      -> the usage chunk if requested, then [DONE]

All chunks have one id, time and model. If usage is requested, every other chunk has `usage` null.
"""

from typing import Any

import msgspec

from dialects.chat import events as neutral
from dialects.chat.chat import Base64, ChatRequest, Url
from dialects.chat.custom_tools import InputReader, freeform_names
from dialects.chat.turns import derive_id
from dialects.errors.kinds import ErrorKind
from dialects.openai.answer.encode import ID_PREFIX, write_image, write_logprobs
from dialects.openai.answer.finish_reasons import write_reason
from dialects.openai.errors import error_frame
from dialects.openai.message_encode import SealWriter, write_citation
from dialects.openai.usage import encode as write_usage
from dialects.usage.usage import Counts

_DONE = b"data: [DONE]\n\n"
_ROLE = b'"role":"assistant",'
_NO_TEXT = b'"content":""'
_encode = msgspec.json.Encoder().encode


class Encoder:
    """Writes one answer for the client of `request`. Everything is sent immediately, except seals,
    which wait for their call, and the counts, which wait for the end.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request_id = request.request_id
        self._legacy_functions = request.legacy_functions
        self._freeform = freeform_names(request.tools)
        self._inputs: dict[tuple[int, int], InputReader] = {}
        self._include_usage = request.include_usage
        self._head: dict[str, Any] = {
            "id": derive_id(ID_PREFIX, request.request_id),
            "object": "chat.completion.chunk",
            "created": request.received_at,
            "model": request.model,
        }
        self._started: set[int] = set()
        # The bytes around the text of a choice, which all its chunks with text have in common.
        self._around_text: dict[int, tuple[bytes, bytes]] = {}
        self._unargued: set[tuple[int, int]] = set()
        self._seals: dict[int, SealWriter] = {}
        self._counts: Counts | None = None

    def feed(self, event: neutral.Event) -> bytes:
        """Return the frames of an event; b"" if it has none of its own."""
        match event:
            case neutral.TextDelta(choice=at, text=text):
                before, after = self._around_text.get(at) or self._open_text(at)
                return before + _encode(text) + after
            case neutral.Start():
                self._start(event)
                return b""
            case neutral.Usage(counts=counts):
                self._counts = counts or self._counts
                return b""
            case neutral.LogprobsDelta(choice=at, tokens=tokens, refusal=refusal):
                content = write_logprobs(tokens)
                logprobs = {
                    "content": None if refusal else content,
                    "refusal": content if refusal else None,
                }
                return self._choice(at, {}, logprobs=logprobs)
            case neutral.Finish(choice=at, reason=reason):
                word = write_reason(reason, legacy_functions=self._legacy_functions)
                return self._choice(at, {}, finish_reason=word)
            case neutral.ReasoningSeal(choice=at, seal=seal):
                self._seal_writer(at).add_seal(seal)
                return b""
        delta = self._delta(event)
        return b"" if delta is None else self._choice(event.choice, delta)  # type: ignore[attr-defined]

    def around_text(self, choice: int) -> tuple[bytes, bytes] | None:
        return self._around_text.get(choice)

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        if not self._include_usage:
            return _DONE
        usage = write_usage(self._counts or Counts())
        return self._chunk({"choices": [], "usage": usage}) + _DONE

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end a failed answer; no end marker follows."""
        return error_frame(kind, message, request_id=self._request_id, guard_code=guard_code)

    def _start(self, event: neutral.Start) -> None:
        self._around_text.clear()
        self._head["model"] = event.model or self._head["model"]
        if event.service_tier:
            self._head["service_tier"] = event.service_tier
        if event.fingerprint:
            self._head["system_fingerprint"] = event.fingerprint

    def _delta(self, event: neutral.Event) -> dict[str, Any] | None:
        match event:
            case neutral.ReasoningDelta(choice=at, text=text):
                self._seal_writer(at).add_reasoning(text)
                # The next text closes the reasoning.
                self._around_text.pop(at, None)
                return {"reasoning_content": text}
            case neutral.RefusalDelta(text=text):
                return {"refusal": text}
            case neutral.ToolCallStart():
                return self._open_call(event)
            case neutral.ToolArgumentsDelta(choice=at, index=index) if (at, index) in self._inputs:
                return _input(index, self._inputs[at, index].feed(event.text))
            case neutral.ToolCallEnd(choice=at, index=index) if (at, index) in self._inputs:
                return _input(index, self._inputs.pop((at, index)).end())
            case neutral.ToolArgumentsDelta(choice=at, index=index, text=text):
                self._unargued.discard((at, index))
                return self._write_arguments(index, text)
            case neutral.ToolCallEnd(choice=at, index=index) if (at, index) in self._unargued:
                # Missing arguments are an empty object.
                return self._write_arguments(index, "{}")
            case neutral.AudioDelta():
                return {"audio": _audio(event)}
            case neutral.ImageOutput(url=url) if url:
                return {"images": [write_image(Url(url))]}
            case neutral.ImageOutput(data=data, media_type=media_type):
                return {"images": [write_image(Base64(data, media_type))]}
            case neutral.Citation(source=source):
                return {"annotations": [write_citation(source)]}
            case _:
                return None

    def _open_text(self, at: int) -> tuple[bytes, bytes]:
        """Return the bytes around a text that no other text comes before."""
        self._seal_writer(at).close()
        opening = self._open_choice(at)
        # A quote within a text is escaped, so these members are found where they are.
        empty = opening.replace(_ROLE, b"", 1) or self._choice(at, {"content": ""})
        before, _, after = empty.partition(_NO_TEXT)
        before += _NO_TEXT.removesuffix(b'""')
        self._around_text[at] = before, after
        return opening + before, after

    def _open_call(self, event: neutral.ToolCallStart) -> dict[str, Any] | None:
        function = {"name": event.name, "arguments": ""}
        extra = self._seal_writer(event.choice).next_extra_content()
        call: dict[str, Any] = {"index": event.index, "id": event.id}
        if event.name in self._freeform:
            self._inputs[event.choice, event.index] = InputReader()
            call |= {"type": "custom", "custom": {"name": event.name, "input": ""}}
            return {"tool_calls": [call | {"extra_content": extra} if extra else call]}
        self._unargued.add((event.choice, event.index))
        if self._legacy_functions:
            return {"function_call": function} if event.index == 0 else None
        call |= {"type": "function", "function": function}
        return {"tool_calls": [call | {"extra_content": extra} if extra else call]}

    def _write_arguments(self, index: int, text: str) -> dict[str, Any] | None:
        if not self._legacy_functions:
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
        return {"function_call": {"arguments": text}} if index == 0 else None

    def _seal_writer(self, at: int) -> SealWriter:
        return self._seals.setdefault(at, SealWriter())

    def _choice(self, at: int, delta: dict[str, Any], **more: Any) -> bytes:
        opening = self._open_choice(at)
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": None} | more
        null = {"usage": None} if self._include_usage else {}
        return opening + self._chunk({"choices": [choice]} | null)

    def _open_choice(self, at: int) -> bytes:
        """Return the chunk that begins a choice; b"" if it has begun."""
        if at in self._started:
            return b""
        self._started.add(at)
        return self._choice(at, {"role": "assistant", "content": ""})

    def _chunk(self, body: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode(self._head | body) + b"\n\n"


def _input(index: int, text: str) -> dict[str, Any] | None:
    return {"tool_calls": [{"index": index, "custom": {"input": text}}]} if text else None


def _audio(event: neutral.AudioDelta) -> dict[str, Any]:
    audio: dict[str, Any] = {
        "id": event.id,
        "data": event.data,
        "transcript": event.transcript,
        "expires_at": event.expires_at,
    }
    return {name: value for name, value in audio.items() if value}
