"""Write neutral events as the events of the interactions dialect.

    START   first event  -> interaction.created, interaction.status_update
    STEP    step.start -> its step.delta -> step.stop; one open at a time
    END     end          -> interaction.completed, [DONE]
            fail         -> error

A foreign seal is the signature of a thought too, with its owner's mark.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from dialects.chat import events as neutral
from dialects.chat.chat import ChatRequest, JsonObject
from dialects.chat.google_seals import write_signature
from dialects.chat.turns import derive_id
from dialects.errors.kinds import ErrorKind
from dialects.interactions.answer.finish_reasons import status_of
from dialects.interactions.answer.steps_builder import StepsBuilder
from dialects.interactions.content import write_citation
from dialects.interactions.errors import DONE, error_frame
from dialects.interactions.usage import encode as write_usage
from dialects.streams.call_order import CallOrder
from dialects.usage.usage import Counts

ID_PREFIX: Final = "v1_"
# The media type of sound if the upstream does not name it.
_SOUND_UNSAID: Final = "audio/wav"
_TIERS: Final = {"default": "standard"}


class Encoder(CallOrder):
    """Writes one answer for the client of `request`; only its first choice, because the dialect has
    one. `response` is the whole interaction, for storage.
    """

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self._request = request
        settings = request.reasoning
        self._shows_thoughts = settings is None or settings.shown is not False
        self._writer = _StepWriter()
        self._reason: neutral.FinishReason | None = None
        self._counts: Counts | None = None
        self._started = False
        self.response: JsonObject = _open_interaction(request)

    def feed(self, event: neutral.Event) -> bytes:
        """Return the events for the client; b"" if they must wait."""
        if getattr(event, "choice", 0) != 0:
            return b""
        match event:
            case neutral.Start(model=model, service_tier=tier):
                if not self._started:
                    self.response["model"] = model or self.response["model"]
                    if tier:
                        self.response["service_tier"] = _TIERS.get(tier, tier)
                return self._begin()
            case neutral.Usage(counts=counts):
                self._counts = counts or self._counts
                return b""
            case _:
                return self._begin() + self._write_in_turn(event)

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        written = self._begin() + self._write_held(last=True) + self._writer.close()
        self.response |= status_of(self._reason)
        self.response["usage"] = write_usage(self._counts or Counts())
        last = write_event("interaction.completed", {"interaction": self.response})
        # As at Google, the event has no steps: they have all been sent.
        self.response["steps"] = self._writer.steps.steps()
        return written + last + DONE

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the end of a failed answer."""
        return error_frame(
            kind, message, request_id=self._request.request_id, guard_code=guard_code
        )

    def _begin(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        names = ("id", "status", "object", "model")
        head = {name: self.response[name] for name in names}
        update = {"interaction_id": head["id"], "status": head["status"]}
        created = write_event("interaction.created", {"interaction": head})
        return created + write_event("interaction.status_update", update)

    def _write(self, event: neutral.Event) -> bytes:
        writing = self._writer
        match event:
            case neutral.TextDelta(text=text) | neutral.RefusalDelta(text=text):
                return writing.write_text(text)
            case neutral.ToolArgumentsDelta(text=text):
                return writing.write_arguments(text)
            case neutral.ReasoningDelta(text=text):
                return writing.write_thought(text) if self._shows_thoughts else b""
            case neutral.ReasoningSeal(seal=seal):
                return writing.write_signature(write_signature(seal))
            case neutral.ToolCallStart(id=id_, name=name):
                return writing.open_call(id_, name)
            case neutral.ToolCallEnd():
                return writing.close(whole=True)
            case neutral.Finish(reason=reason):
                self._reason = self._reason or reason
                return b""
            case neutral.Citation(source=source):
                return writing.add_citation(source)
            case neutral.ImageOutput(media_type=media_type, data=data, url=url):
                return writing.write_media("image", media_type, data, url)
            case neutral.AudioDelta(media_type=media_type, data=data) if data:
                return writing.write_media("audio", media_type or _SOUND_UNSAID, data)
            case _:
                return b""


def _open_interaction(request: ChatRequest) -> JsonObject:
    """Return the interaction as it begins, with our id and time."""
    at = datetime.fromtimestamp(request.received_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    interaction: JsonObject = {
        "id": derive_id(ID_PREFIX, request.request_id),
        "object": "interaction",
        "status": "in_progress",
        "model": request.model,
        "created": at,
        "updated": at,
    }
    previous = request.continues or request.previous_response_id
    return interaction | ({"previous_interaction_id": previous} if previous else {})


class _StepWriter:
    """Writes the steps, and builds them for the whole interaction."""

    def __init__(self) -> None:
        self.steps = StepsBuilder()
        self._index = -1
        self._kind = ""
        self._characters = 0
        self._base = 0
        self._texts: list[str] = []

    def write_text(self, text: str) -> bytes:
        """Return a piece of text."""
        head = self._open_output()
        self._characters += len(text)
        self._texts.append(text)
        return head + self._delta({"text": text, "type": "text"})

    def add_citation(self, source: neutral.Source) -> bytes:
        """Write a citation of the open text. A citation of an earlier text gets no position."""
        if self._kind != "model_output":
            return b""
        annotation = write_citation(source, "".join(self._texts), self._base)
        return self._delta({"annotations": [annotation], "type": "text_annotation_delta"})

    def write_media(self, kind: str, media_type: str, data: str, url: str = "") -> bytes:
        """Return a whole picture, or a piece of sound."""
        head = self._open_output()
        typed = {"mime_type": media_type} if media_type else {}
        source = {"data": data} if data else {"uri": url}
        self._texts, self._base = [], self._characters
        return head + self._delta({"type": kind, **typed, **source})

    def write_thought(self, text: str) -> bytes:
        """Return a piece of reasoning, as a summary."""
        head = self._open("thought", {})
        content = {"text": text, "type": "text"}
        return head + self._delta({"content": content, "type": "thought_summary"})

    def write_signature(self, signature: str) -> bytes:
        """Return the seal that ends the open thought, or an empty one."""
        head = self._open("thought", {})
        return (
            head + self._delta({"signature": signature, "type": "thought_signature"}) + self.close()
        )

    def open_call(self, id_: str, name: str) -> bytes:
        """Begin a call."""
        return self.close() + self._open(
            "function_call", {"id": id_, "name": name, "arguments": {}}
        )

    def write_arguments(self, text: str) -> bytes:
        """Return a piece of arguments. Arguments of a call that is not open are dropped."""
        if self._kind != "function_call" or not text:
            return b""
        return self._delta({"arguments": text, "type": "arguments_delta"})

    def close(self, *, whole: bool = False) -> bytes:
        """Close the open step; b"" without one. A call that is not `whole` was cut: it stays open,
        and the whole interaction is without it (F38)."""
        kind, self._kind = self._kind, ""
        if kind == "function_call" and not whole:
            self.steps.drop(self._index)
            return b""
        if not kind:
            return b""
        return write_event("step.stop", {"index": self._index})

    def _open_output(self) -> bytes:
        if self._kind == "model_output":
            return b""
        self._texts, self._base = [], self._characters
        return self._open("model_output", {})

    def _open(self, kind: str, members: JsonObject) -> bytes:
        if self._kind == kind:
            return b""
        written = self.close()
        self._index, self._kind = self._index + 1, kind
        step = {"type": kind} | members
        self.steps.start(self._index, step)
        return written + write_event("step.start", {"index": self._index, "step": step})

    def _delta(self, delta: JsonObject) -> bytes:
        self.steps.add(self._index, delta)
        return write_event("step.delta", {"index": self._index, "delta": delta})


def write_event(kind: str, members: JsonObject) -> bytes:
    """Return one event."""
    body = msgspec.json.encode(members | {"event_type": kind})
    return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"
