"""A chat request of any dialect as a chat of the playground, in the form of its files."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from content.prompts.settings import Settings
from dialects.chat.chat import (
    Base64,
    ChatRequest,
    File,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from playground.attachments.rules import UnsupportedFile, inspect_file
from playground.chats.export_format import ExportedConversation, ExportedMessage
from playground.panel.parameters import InvalidSetting
from playground.panel.settings import SYSTEM_MAX, TOOLS_MAX, read_schema, read_tools

_INSTRUCTIONS: Final = ("system", "developer")
_SAMPLING: Final = (
    "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip


def exported_chat(model: str, request: ChatRequest) -> ExportedConversation:
    """Return the chat with the model, the settings and the messages of a request."""
    files: dict[str, tuple[str, bytes]] = {}
    messages = request.messages
    first = next((at for at, one in enumerate(messages) if one.role not in _INSTRUCTIONS), None)
    system = "\n\n".join(_text(message.parts) for message in messages[:first])
    turns = list(_turns(() if first is None else messages[first:], files))
    return ExportedConversation(
        title="",
        model=model,
        settings=_settings(request, system).stored(),
        leaf=turns[-1].id if turns else None,
        turns=tuple(turns),
        files=files,
    )


def _turns(
    messages: Sequence[Message], files: dict[str, tuple[str, bytes]]
) -> Iterator[ExportedMessage]:
    """Yield the messages of a chat; consecutive ones of one side are one."""
    parent = None
    for number, (role, side) in enumerate(groupby(messages, key=_role)):
        parts = [part for message in side for part in message.parts]
        id = f"m{number}"
        yield ExportedMessage(
            id=id,
            parent=parent,
            role=role,
            content="" if role == "tool" else _text(parts),
            reasoning=_storable(
                "\n\n".join(part.text for part in parts if isinstance(part, Reasoning))
            ),
            parts=_parts(role, parts, files),
        )
        parent = id


def _role(message: Message) -> str:
    # A system prompt in the middle is a message to the model, which a chat has from its person.
    return message.role if message.role in ("assistant", "tool") else "user"


def _parts(
    role: str, parts: Sequence[Part], files: dict[str, tuple[str, bytes]]
) -> dict[str, list[dict[str, Any]]]:
    if role == "tool":
        results = [part for part in parts if isinstance(part, ToolResult)]
        return {
            "results": [
                {
                    "call_id": _storable(result.call_id),
                    "name": _storable(result.name),
                    "content": _text(result.parts),
                    "failed": result.failed,
                }
                for result in results
            ]
        }
    if role == "assistant":
        calls = [part for part in parts if isinstance(part, ToolCall)]
        asked = [
            {
                "id": _storable(call.id),
                "name": _storable(call.name),
                "arguments": _storable(call.arguments),
            }
            for call in calls
        ]
        return {"calls": asked} if asked else {}
    attached = []
    for part in parts:
        if isinstance(part, Image | File) and isinstance(part.source, Base64):
            name = getattr(part, "name", "") or part.source.media_type
            id = f"f{len(files)}"
            if (data := _readable(part.source)) is not None:
                files[id] = (name, data)
                attached.append({"id": id})
    return {"files": attached} if attached else {}


def _readable(source: Base64) -> bytes | None:
    """Return a file that the playground can attach, or None."""
    try:
        data = b64decode(source.data, validate=True)
        inspect_file(data)
    except (ValueError, UnsupportedFile):
        return None
    return data


def _text(parts: Sequence[Part]) -> str:
    """Return the texts of parts; what the playground has no place for is left out."""
    texts = [
        part.source.text if isinstance(part, File) and isinstance(part.source, PlainText)
        else part.text if isinstance(part, Text | Refusal) else ""
        for part in parts
    ]  # fmt: skip
    return _storable("\n\n".join(text for text in texts if text))


def _storable(text: str) -> str:
    """Return a text without zero bytes, which the database cannot store."""
    return text.replace("\x00", "")


def _settings(request: ChatRequest, system: str) -> Settings:
    """Return the settings that the playground has as well."""
    params = {name: value for name in _SAMPLING if (value := getattr(request, name)) is not None}
    if request.output_cap is not None:
        params["max_output"] = request.output_cap
    if request.reasoning is not None and request.reasoning.effort is not None:
        params["reasoning_effort"] = request.reasoning.effort
    schema = None
    if isinstance(request.output_form, JsonSchema):
        try:
            schema = read_schema(json.dumps(request.output_form.schema))
        except InvalidSetting:
            schema = None
    return Settings(
        params=params, system=system[:SYSTEM_MAX], tools=list(_tools(request)), schema=schema
    )


def _tools(request: ChatRequest) -> Iterator[dict[str, Any]]:
    """Yield the functions that the playground can declare."""
    functions = [tool for tool in request.tools if isinstance(tool, FunctionTool)]
    for tool in functions[:TOOLS_MAX]:
        values = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        declared = {name: value for name, value in values.items() if value is not None}
        try:
            yield from read_tools(json.dumps([declared]))
        except InvalidSetting:
            continue
