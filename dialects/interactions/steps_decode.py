"""Decode the steps of the interactions dialect into neutral form.

Consecutive steps of the model (thoughts, outputs, calls) form one turn, as other dialects require.
The signature of a thought is the seal of its reasoning.
"""

from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    File,
    Image,
    JsonObject,
    Message,
    OwnPart,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from dialects.chat.events import Source
from dialects.chat.google_seals import UNSEALED, read_signature
from dialects.interactions.content import CONTENT_TYPES, read_citations, read_content, read_contents
from dialects.json.members import Members
from dialects.json.raw_json import as_text, dicts

# Steps of Google's own tools, which only Google understands.
_OWN_STEPS: Final = frozenset(
    f"{tool}_{step}"
    for tool in (
        "code_execution",
        "file_search",
        "google_maps",
        "google_search",
        "mcp_server_tool",
        "processing",
        "retrieval",
        "url_context",
    )
    for step in ("call", "result")
)


def read_steps(body: Members, previous: str) -> tuple[Message, ...]:
    """Return the conversation in `input`: a text, a content, or a list of contents or steps. Raises
    RequestFault; a result must answer an earlier call unless `previous` names what it continues.
    """
    reader = _Reader(open_history=body.has(previous))
    given = body.value.get("input")
    if isinstance(given, str):
        reader.add("user", [Text(given)])
    elif isinstance(given, dict):
        reader.add("user", [read_content(Members(given, "input"))])
    elif given is not None and not isinstance(given, list):
        body.refuse_type("input", "a string, an object or an array")
    else:
        for member in body.objects("input"):
            reader.read(member)
    return reader.messages()


def thought_text(step: JsonObject) -> str:
    """Return the words of a thought's summary."""
    return "".join(as_text(part.get("text")) for part in dicts(step.get("summary")))


class _Reader:
    """Reads steps one after the other, and remembers the calls so far."""

    def __init__(self, *, open_history: bool) -> None:
        self._open_history = open_history
        self._calls: set[str] = set()
        self._messages: list[tuple[Role, list[Part], list[Source]]] = []

    def messages(self) -> tuple[Message, ...]:
        """Return all messages that were read."""
        return tuple(
            Message(role, tuple(parts), citations=tuple(citations))
            for role, parts, citations in self._messages
        )

    def add(self, role: Role, parts: list[Part], citations: list[Source] | None = None) -> None:
        """Append parts. Consecutive parts of the model, or of the user, form one turn."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last[0] == role and role != "tool":
            last[1].extend(parts)
            last[2].extend(citations or ())
        else:
            self._messages.append((role, parts, citations or []))

    def read(self, step: Members) -> None:
        """Read a step, or a content of the user."""
        kind = step.required("type", step.text("type"))
        match kind:
            case "user_input":
                self.add("user", list(read_contents(step)))
            case "model_output":
                self._add_output(step)
            case "thought":
                self._add_thought(step)
            case "function_call":
                self._add_call(step)
            case "function_result":
                self._add_result(step)
            case _ if kind in CONTENT_TYPES:
                self.add("user", [read_content(step)])
            case _ if kind in _OWN_STEPS:
                self.add("assistant", [OwnPart("interactions", step.value)])
            case _:
                step.refuse_value("type", "must be the type of a step or of a content")

    def _add_output(self, step: Members) -> None:
        for content in step.objects("content"):
            part = read_content(content)
            cites = []
            if isinstance(part, Text):
                base = self._text_length()
                cites = read_citations(content.value.get("annotations"), part.text, base)
            self.add("assistant", [part], cites)

    def _text_length(self) -> int:
        """Return the length of the model's current turn in characters."""
        if not self._messages or self._messages[-1][0] != "assistant":
            return 0
        return sum(len(part.text) for part in self._messages[-1][1] if isinstance(part, Text))

    def _add_thought(self, step: Members) -> None:
        step.objects("summary")
        text, signature = thought_text(step.value), step.text("signature")
        seal = None if signature in (None, "", UNSEALED) else read_signature(signature)
        if text or seal is not None:
            self.add("assistant", [Reasoning(text, seal)])

    def _add_call(self, step: Members) -> None:
        id_ = step.required("id", step.text("id"))
        name = step.required("name", step.text("name"))
        arguments = step.json("arguments")
        self._calls.add(id_)
        text = msgspec.json.encode(arguments).decode() if arguments else ""
        self.add("assistant", [ToolCall(id_, name, text)])

    def _add_result(self, step: Members) -> None:
        id_ = step.required("call_id", step.text("call_id"))
        if id_ not in self._calls and not self._open_history:
            step.refuse("invalid_type", "call_id", "must be that of an earlier call")
        parts = _read_result(step)
        failed = bool(step.boolean("is_error"))
        self.add("tool", [ToolResult(id_, parts, failed, step.text("name") or "")])


def _read_result(step: Members) -> tuple[Text | Image | File, ...]:
    """Return the parts of a result: the items of a list, otherwise its text or its JSON."""
    result: Any = step.required("result", step.value.get("result"))
    if isinstance(result, str):
        return (Text(result),) if result else ()
    if not isinstance(result, list):
        return (Text(msgspec.json.encode(result).decode()),)
    parts = read_contents(step, "result")
    readable = tuple(part for part in parts if isinstance(part, Text | Image | File))
    if len(readable) < len(parts):
        step.refuse_value("result", "must hold text, images and documents only")
    return readable
