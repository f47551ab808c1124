"""Write a streamed text completion from the events of a chat model."""

from typing import Any

import msgspec

from dialects.chat.events import Event, Finish, RefusalDelta, Start, TextDelta, Usage
from dialects.chat.turns import derive_id
from dialects.endpoints.completions.answer_encode import ID_PREFIX, add_counts
from dialects.endpoints.completions.finish_reasons import write_reason
from dialects.endpoints.completions.request_decode import CompletionPlan
from dialects.errors.kinds import ErrorKind
from dialects.openai.errors import error_frame
from dialects.openai.stream.decode import DONE_FRAME
from dialects.openai.usage import encode as write_usage
from dialects.usage.usage import Counts


class Encoder:
    """Writes one stream for the client of `plan` from the events of all its calls.

    The calls may run one after the other or side by side. All chunks have one id, time and model;
    reasoning and tools are left out; the counts of all calls are added and sent at the end.
    """

    def __init__(self, plan: CompletionPlan) -> None:
        request = plan.requests[0]
        self._request_id = request.request_id
        self._choices = plan.choices
        self._include_usage = plan.include_usage
        self._named = False
        self._head: dict[str, Any] = {
            "id": derive_id(ID_PREFIX, request.request_id),
            "object": "text_completion",
            "created": request.received_at,
            "model": request.model,
        }
        self._counts: dict[int, Counts] = {}

    def feed(self, event: Event, prompt: int = 0) -> bytes:
        """Return the frames of an event of the call for prompt number `prompt`; b"" for none."""
        match event:
            case Start(model=model):
                if model and not self._named:
                    self._named, self._head["model"] = True, model
            case Usage(counts=Counts() as counts):
                self._counts[prompt] = counts
            case TextDelta(choice=at, text=text) | RefusalDelta(choice=at, text=text):
                return self._choice(prompt, at, text, None)
            case Finish(choice=at, reason=reason):
                return self._choice(prompt, at, "", write_reason(reason))
        return b""

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        if not self._include_usage:
            return DONE_FRAME
        usage = write_usage(add_counts(self._counts.values()))
        return self._chunk({"choices": [], "usage": usage}) + DONE_FRAME

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end a failed answer; no end marker follows."""
        return error_frame(kind, message, request_id=self._request_id, guard_code=guard_code)

    def _choice(self, prompt: int, at: int, text: str, reason: str | None) -> bytes:
        choice = {
            "text": text,
            "index": prompt * self._choices + at,
            "logprobs": None,
            "finish_reason": reason,
        }
        null = {"usage": None} if self._include_usage else {}
        return self._chunk({"choices": [choice]} | null)

    def _chunk(self, body: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode(self._head | body) + b"\n\n"
