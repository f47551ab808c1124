"""Convert the steps of an interactions answer to neutral events, for whole and streamed answers.

model_output      its texts, pictures and sounds; url_citation annotations
thought           reasoning, which its signature closes at the end of the step
function_call     a tool call
other steps       the provider's own: content for a client of the same dialect only
"""

from typing import Any

import msgspec

from dialects.chat import events as neutral
from dialects.chat.google_seals import read_signature
from dialects.chat.open_calls import OpenCalls
from dialects.interactions.answer.finish_reasons import read_reason
from dialects.interactions.answer.wire import (
    Delta,
    Interaction,
    raw_steps,
    read_delta,
    text_of_content,
)
from dialects.interactions.content import read_citations
from dialects.interactions.usage import quantities
from dialects.json.raw_json import as_text, dicts, members_of, size, value_bytes, value_of
from dialects.usage.usage import Counts

_MEDIA = frozenset({"image", "audio", "video", "document"})


class _Step:
    """A step that is still arriving."""

    __slots__ = ("arguments", "base", "call", "signature", "streamed", "texts")

    def __init__(self, base: int) -> None:
        self.call: int | None = None
        self.arguments: Any = None
        self.streamed = False
        self.signature = ""
        self.base = base
        self.texts: list[str] = []


class StepReader:
    """Reads the steps of one answer; with `translate` the events are complete. `text_bytes` and
    `reasoning_bytes` count UTF-8 bytes.
    """

    def __init__(self, *, translate: bool) -> None:
        self.text_bytes = 0
        self.reasoning_bytes = 0
        self._translate = translate
        self._started = False
        self._steps: dict[int, _Step] = {}
        self._open_calls = OpenCalls()
        self._calls = 0
        self._characters = 0

    @property
    def seen(self) -> int:
        """Return how many steps have begun."""
        return len(self._steps)

    def begin(self, interaction: Interaction) -> list[neutral.Event]:
        """Return the Start event, once."""
        if self._started or not self._translate:
            return []
        self._started = True
        tier = interaction.service_tier
        tier = "default" if tier == "standard" else tier
        return [neutral.Start(interaction.id, interaction.model, service_tier=tier)]

    def finish(self, interaction: Interaction) -> list[neutral.Event]:
        """Return the remaining events of a complete interaction: steps that were not streamed,
        reason and usage.
        """
        events = self.begin(interaction)
        steps = () if self._steps else raw_steps(interaction.steps) or ()
        for index, raw in enumerate(steps):
            events += self.start(index, raw)
            events += self.stop(index)
        events += [event for index in list(self._steps) for event in self.stop(index)]
        reason = read_reason(interaction, called=self._calls > 0)
        if self._translate:
            events += self._open_calls.close_all(reason)
        if reason is not None:
            events.append(neutral.Finish(0, reason))
        if (usage := value_bytes(interaction.usage)) is not None:
            events.append(self.usage(usage))
        return events

    def usage(self, raw: bytes) -> neutral.Usage:
        """Return the event of a usage object."""
        if not self._translate:
            return neutral.Usage(raw)
        meters = quantities(raw).meters
        return neutral.Usage(raw, Counts.of(meters) if meters else None)

    # ---- steps

    def start(self, index: int, raw: msgspec.Raw) -> list[neutral.Event]:
        """Return the events of a step that begins, including its initial content."""
        events = [] if self._started else self.begin(Interaction())
        if self._translate:
            events += self._open_calls.go_on()
        step = self._steps[index] = _Step(self._characters)
        members = members_of(raw)
        match members.get("type"):
            case "function_call":
                return [*events, self._call(step, members)]
            case "thought":
                step.signature = as_text(members.get("signature"))
                for part in dicts(members.get("summary")):
                    events += self._think(as_text(part.get("text")))
                return events
            case "model_output":
                for content in dicts(members.get("content")):
                    events += self._content(step, content)
                return events
            case "user_input":
                return events
            case _:
                return [*events, neutral.OpaqueDelta(0, bytes(raw))]

    def add(self, index: int, delta: Delta, raw: msgspec.Raw) -> list[neutral.Event]:
        """Return the events of a delta."""
        step = self._steps.get(index)
        if step is None:
            step = self._steps[index] = _Step(self._characters)
        match delta.type:
            case "text":
                return self._text(step, delta.text or "")
            case "thought_summary":
                return self._think(text_of_content(delta.content))
            case "thought_signature":
                step.signature = delta.signature or step.signature
                return []
            case "arguments_delta":
                return self._arguments(step, as_text(value_of(delta.arguments)))
            case "text_annotation_delta":
                return self._cite(step, value_of(delta.annotations))
            case kind if kind in _MEDIA:
                return self._media(delta, raw)
            case _:
                return [neutral.OpaqueDelta(0, bytes(raw))]

    def stop(self, index: int) -> list[neutral.Event]:
        """Return the events of the end of a step, once."""
        step = self._steps.get(index)
        if step is None:
            return []
        events: list[neutral.Event] = []
        if step.call is not None:
            if not step.streamed and step.arguments:
                events += self._arguments(step, msgspec.json.encode(step.arguments).decode())
            if self._translate:
                events += self._open_calls.close(step.call)
            step.call = None
        if step.signature and self._translate:
            events.append(neutral.ReasoningSeal(0, read_signature(step.signature)))
        step.signature = ""
        return events

    # ---- their parts

    def _call(self, step: _Step, members: dict[str, Any]) -> neutral.Event:
        step.call, self._calls = self._calls, self._calls + 1
        if self._translate:
            self._open_calls.open(step.call)
        step.arguments = members.get("arguments")
        name = as_text(members.get("name"))
        self.text_bytes += size(name)
        return neutral.ToolCallStart(0, step.call, as_text(members.get("id")), name)

    def _arguments(self, step: _Step, text: str) -> list[neutral.Event]:
        """Read a piece of arguments. The arguments of a call that never began are ignored, because
        it has no name."""
        if not text or step.call is None:
            return []
        step.streamed = True
        self.text_bytes += size(text)
        self._open_calls.add(step.call, text)
        return [neutral.ToolArgumentsDelta(0, step.call, text)]

    def _think(self, text: str) -> list[neutral.Event]:
        if not text:
            return []
        self.reasoning_bytes += size(text)
        return [neutral.ReasoningDelta(0, text)]

    def _text(self, step: _Step, text: str) -> list[neutral.Event]:
        if not text:
            return []
        self.text_bytes += size(text)
        if self._translate:
            self._characters += len(text)
            step.texts.append(text)
        return [neutral.TextDelta(0, text)]

    def _content(self, step: _Step, content: dict[str, Any]) -> list[neutral.Event]:
        """Return the events of a whole content."""
        kind = content.get("type")
        if kind == "text":
            step.base, step.texts = self._characters, []
            events = self._text(step, as_text(content.get("text")))
            return events + self._cite(step, content.get("annotations"))
        raw = msgspec.Raw(msgspec.json.encode(content))
        return self._media(read_delta(raw), raw)

    def _media(self, media: Delta, raw: msgspec.Raw) -> list[neutral.Event]:
        media_type, data, url = media.mime_type or "", media.data or "", media.uri or ""
        if self._translate and media.type == "audio" and data:
            return [neutral.AudioDelta(0, media_type, data)]
        if self._translate and media.type == "image" and (data or url):
            return [neutral.ImageOutput(0, media_type, data, "" if data else url)]
        return [neutral.OpaqueDelta(0, bytes(raw))]

    def _cite(self, step: _Step, annotations: Any) -> list[neutral.Event]:
        if not self._translate:
            return []
        sources = read_citations(annotations, "".join(step.texts), step.base)
        return [neutral.Citation(0, source) for source in sources]
