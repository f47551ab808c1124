"""Build the steps of an interaction from the events of its stream, which ends without them."""

from typing import Any

import msgspec

from dialects.chat.chat import JsonObject
from dialects.chat.open_calls import is_whole
from dialects.interactions.steps_encode import write_arguments
from dialects.json.raw_json import as_text, members_of, object_of


class StepsBuilder:
    """Collects steps by their index."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step] = {}

    def start(self, index: int, step: JsonObject) -> None:
        """Begin a step."""
        self._steps[index] = _Step(step)

    def add(self, index: int, delta: JsonObject) -> None:
        """Add a delta. A delta of a step that never began is ignored."""
        step = self._steps.get(index)
        if step is not None:
            step.add(delta)

    def stop(self, index: int) -> None:
        """End a step."""
        step = self._steps.get(index)
        if step is not None:
            step.stopped = True

    def drop(self, index: int) -> None:
        """Drop a step that was cut."""
        self._steps.pop(index, None)

    def drop_cut_call(self) -> None:
        """Drop the last step if it is a call that the length limit has cut (F38)."""
        last = max(self._steps, default=None)
        if last is not None and self._steps[last].is_cut_call:
            self.drop(last)

    def steps(self) -> list[JsonObject]:
        """Return the steps up to now."""
        return [self._steps[index].whole() for index in sorted(self._steps)]


class _Step:
    def __init__(self, step: JsonObject) -> None:
        self.stopped = False
        self._step = dict(step)
        self._texts: list[str] = []
        self._arguments: list[str] = []

    def add(self, delta: JsonObject) -> None:
        match delta.get("type"):
            case "text":
                self._texts.append(as_text(delta.get("text")))
            case "arguments_delta":
                self._arguments.append(as_text(delta.get("arguments")))
            case "thought_signature":
                self._step["signature"] = delta.get("signature")
            case "thought_summary":
                self._add_summary(object_of(delta.get("content")))
            case "text_annotation_delta":
                self._annotate(delta.get("annotations"))
            case "image" | "audio" | "video" | "document":
                self._close_text()
                self._list("content").append(delta)
            case _:
                self._step |= {name: value for name, value in delta.items() if name != "type"}

    @property
    def is_cut_call(self) -> bool:
        if self._step.get("type") != "function_call":
            return False
        return not self.stopped or bool(self._arguments and not is_whole("".join(self._arguments)))

    def whole(self) -> JsonObject:
        self._close_text()
        if self._arguments:
            self._step["arguments"] = write_arguments("".join(self._arguments))
        return self._step

    def _close_text(self) -> None:
        if self._texts:
            self._list("content").append({"type": "text", "text": "".join(self._texts)})
            self._texts = []

    def _add_summary(self, content: JsonObject) -> None:
        summary = self._list("summary")
        last = summary[-1] if summary else {}
        if content.get("type") == last.get("type") == "text":
            summary[-1] = last | {"text": as_text(last.get("text")) + as_text(content.get("text"))}
        else:
            summary.append(content)

    def _annotate(self, annotations: Any) -> None:
        self._close_text()
        content = self._list("content")
        if content and isinstance(annotations, list):
            earlier = content[-1].get("annotations") or []
            content[-1] = content[-1] | {"annotations": [*earlier, *annotations]}

    def _list(self, name: str) -> list[JsonObject]:
        value = self._step.get(name)
        if not isinstance(value, list):
            value = self._step[name] = []
        return value


def with_steps(interaction: bytes | msgspec.Raw, steps: list[JsonObject]) -> bytes:
    """Return an interaction, as its stream ended, with the steps added."""
    return msgspec.json.encode(members_of(interaction) | {"steps": steps})
