"""The tools of the anthropic dialect that the client runs and that are declared without a schema,
because Claude knows it. Models of other dialects are offered functions with that schema; a call has
the same form as that of any function.

    bash_20250124                                 command, restart
    text_editor_20250429, text_editor_20250728    view, create, str_replace, insert
    memory_20250818                               the same, delete and rename

Sources: the pages of these tools in Anthropic's documentation; `BetaMemoryTool20250818Command` of
its Python SDK. Earlier versions have other members and stay tools of the dialect alone.
"""

from collections.abc import Mapping
from typing import Any, Final

from dialects.anthropic.request.message_decode import read_cache
from dialects.chat.chat import ClientTool, FunctionTool, JsonObject
from dialects.json.members import Members

_STRING: Final[JsonObject] = {"type": "string"}
_FILE: Final[Mapping[str, JsonObject]] = {
    "path": _STRING,
    "view_range": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "view: the first and the last line, from 1; -1 is the last line.",
    },
    "file_text": {"type": "string", "description": "create: the content of the file."},
    "old_str": {"type": "string", "description": "str_replace: the text to replace, exactly."},
    "new_str": {"type": "string", "description": "str_replace: the text in its place."},
    "insert_line": {"type": "integer", "description": "insert: the line before it; 0 for none."},
    "insert_text": {"type": "string", "description": "insert: the text to insert."},
}


def _commands(names: str, properties: Mapping[str, JsonObject], *required: str) -> JsonObject:
    command: JsonObject = {"type": "string", "enum": names.split()}
    return _schema({"command": command, **properties}, "command", *required)


def _schema(properties: Mapping[str, Any], *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


_EDITOR: Final = (
    "Views and edits text files on the user's machine.",
    _commands("view create str_replace insert", _FILE, "path"),
)
_TOOLS: Final[Mapping[str, tuple[str, JsonObject]]] = {
    "bash_20250124": (
        "Runs a command in a bash session on the user's machine, which keeps its state.",
        _schema(
            {
                "command": _STRING,
                "restart": {"type": "boolean", "description": "true: start a new session."},
            }
        ),
    ),
    "text_editor_20250429": _EDITOR,
    "text_editor_20250728": _EDITOR,
    "memory_20250818": (
        "Keeps files below /memories, which outlive the conversation.",
        _commands(
            "view create str_replace insert delete rename",
            {**_FILE, "old_path": _STRING, "new_path": _STRING},
        ),
    ),
}


def read_client_tool(kind: str, tool: Members) -> FunctionTool | None:
    """Return a tool of this type as a function; None for a type that is not one of these."""
    known = _TOOLS.get(kind)
    if known is None:
        return None
    description, schema = known
    return FunctionTool(
        name=tool.tool_name(),
        description=description,
        schema=schema,
        cache=read_cache(tool),
        client=ClientTool(kind, tool.required("name", tool.text("name")), declared=tool.value),
    )


def declared_tool(tool: FunctionTool) -> JsonObject | None:
    """Return the declaration of a function that is one of these tools; None for any other."""
    if tool.client is None or tool.client.kind not in _TOOLS:
        return None
    return tool.client.declared
