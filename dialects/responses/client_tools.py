"""The tools of the responses dialect, offered to models of other dialects.

    declared                     offered as                 called back as
    function                     itself                     function_call
    custom                       a function of one text     custom_tool_call
    namespace                    each of its tools, as      the same, with the tool's own name
                                 `namespace__name`          and its namespace
    tool_search, by the client   a function                 tool_search_call
    local_shell                  a function                 local_shell_call
    shell, by the client         a function                 shell_call
    apply_patch                  a function                 apply_patch_call
    web_search                   the provider's own search, see WebSearch
    any other                    OwnTool: `client_names.omit_tool` says which are omitted

Tools that the client found or added later are in items of the input (tool_search_output,
additional_tools) and are offered like those of `tools`. Sources: the types of OpenAI's Python SDK,
`openai.types.responses`; requests of Codex 0.169.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from dialects.chat.chat import ClientTool, FunctionTool, JsonObject, OwnTool, Tool, WebSearch
from dialects.chat.custom_tools import make_function
from dialects.chat.shared_members import read_place
from dialects.json.members import Members
from dialects.json.not_json import NOT_JSON

_SEARCHES: Final = ("web_search", "web_search_preview")
_TOOL_ITEMS: Final = ("tool_search_output", "additional_tools")
_STRING: Final[JsonObject] = {"type": "string"}
_MILLISECONDS: Final[JsonObject] = {"type": "integer", "description": "Time limit, milliseconds."}


def _describe(properties: JsonObject, *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


# Tools that the provider's models are trained for, and that therefore need no description.
_DESCRIPTIONS: Final[Mapping[str, tuple[str, JsonObject]]] = {
    "local_shell": (
        "Runs a command on the user's machine and returns its output.",
        _describe(
            {
                "command": {
                    "type": "array",
                    "items": _STRING,
                    "description": "The program and its arguments.",
                },
                "working_directory": _STRING,
                "timeout_ms": _MILLISECONDS,
                "env": {
                    "type": "object",
                    "additionalProperties": _STRING,
                    "description": "Environment variables.",
                },
            },
            "command",
        ),
    ),
    "shell": (
        "Runs shell commands on the user's machine and returns their output.",
        _describe(
            {
                "commands": {
                    "type": "array",
                    "items": _STRING,
                    "description": "Shell commands, run one after another.",
                },
                "timeout_ms": _MILLISECONDS,
                "max_output_length": {
                    "type": "integer",
                    "description": "The number of characters of output to return at most.",
                },
            },
            "commands",
        ),
    ),
    "apply_patch": (
        "Creates, updates or deletes one file on the user's machine.",
        _describe(
            {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": _STRING,
                "diff": {
                    "type": "string",
                    "description": "A diff in V4A form: lines of context, and lines that begin "
                    "with - or +. Not for delete_file.",
                },
            },
            "type",
            "path",
        ),
    ),
}


def flat_name(namespace: str, name: str) -> str:
    """Return the name under which a tool of a namespace is offered, however long
    (`tool_names.fit_names`)."""
    return f"{namespace}__{name}" if namespace else name


def client_tools(tools: tuple[Tool, ...]) -> dict[str, ClientTool]:
    """Return the client's tools that functions replace, by the names of the functions."""
    return {
        tool.name: tool.client
        for tool in tools
        if isinstance(tool, FunctionTool) and tool.client is not None
    }


# ---- declarations


def read_tools(body: Members) -> list[Tool]:
    """Return the tools of a request, including those that items of its input add. Raises
    RequestFault. A tool that occurs twice is offered once."""
    tools = [tool for member in body.objects("tools") for tool in _read_tool(member)]
    names = {tool.name for tool in tools if isinstance(tool, FunctionTool)}
    for tool in _read_input_tools(body):
        if isinstance(tool, FunctionTool):
            if tool.name in names:
                continue
            names.add(tool.name)
        tools.append(tool)
    return tools


def _read_input_tools(body: Members) -> Iterator[Tool]:
    if not isinstance(body.value.get("input"), list):
        return
    for item in body.objects("input"):
        if item.value.get("type") in _TOOL_ITEMS:
            for tool in item.objects("tools"):
                yield from _read_tool(tool)


def _read_tool(tool: Members) -> Iterator[Tool]:
    kind = tool.required("type", tool.text("type"))
    if kind == "namespace":
        yield from _read_namespace(tool)
    elif kind in ("function", "custom"):
        yield _read_function(tool)
    elif kind.startswith(_SEARCHES):
        yield _read_search(tool)
    elif kind == "tool_search" and tool.text("execution") == "client":
        yield FunctionTool(
            kind,
            tool.text("description"),
            tool.json("parameters"),
            strict=False,
            client=ClientTool("tool_search_call", kind, declared=tool.value),
        )
    elif kind in _DESCRIPTIONS and not _is_hosted(tool):
        description, schema = _DESCRIPTIONS[kind]
        call = ClientTool(f"{kind}_call", kind, declared=tool.value)
        yield FunctionTool(kind, description, schema, strict=False, client=call)
    else:
        yield OwnTool("responses", tool.value)


def _is_hosted(tool: Members) -> bool:
    """Return whether a shell is one of the provider's containers."""
    environment = tool.object("environment")
    return environment is not None and environment.text("type") != "local"


def _read_namespace(tool: Members) -> Iterator[Tool]:
    namespace = tool.tool_name()
    about = tool.text("description")
    for inner in tool.objects("tools"):
        named = _read_function(inner)
        kind = "custom_tool_call" if named.freeform is not None else "function_call"
        # The namespace's description is added once, before that of its first tool.
        description = "\n\n".join(text for text in (about, named.description) if text)
        about = None
        yield msgspec.structs.replace(
            named,
            name=flat_name(namespace, named.name),
            description=description or None,
            client=ClientTool(kind, named.name, namespace, tool.value),
        )


def _read_function(tool: Members) -> FunctionTool:
    """Return a function or a custom tool."""
    if tool.word("type", ("function", "custom")) == "function":
        return FunctionTool(
            name=tool.tool_name(),
            description=tool.text("description"),
            schema=tool.json("parameters"),
            strict=tool.boolean("strict") is not False,
        )
    form = tool.object("format") or Members({})
    return make_function(
        tool.tool_name(),
        tool.text("description"),
        tool.value,
        form.text("syntax") or "",
        form.text("definition") or "",
    )


def _read_search(tool: Members) -> WebSearch:
    place = tool.object("user_location")
    filters = tool.object("filters") or Members({})
    return WebSearch(
        "responses",
        tool.value,
        context_size=tool.text("search_context_size"),
        allowed_domains=filters.texts("allowed_domains"),
        blocked_domains=filters.texts("blocked_domains"),
        **read_place(place),
    )


def called_function(tool: Members) -> str | None:
    """Return the function that a tool choice names; None if it names a hosted tool."""
    kind = tool.required("type", tool.text("type"))
    if kind in ("function", "custom"):
        return flat_name(tool.text("namespace") or "", tool.required("name", tool.text("name")))
    return kind if kind in _DESCRIPTIONS or kind == "tool_search" else None


# ---- Calls, as items of the input and of the answer


def read_arguments(item: Members) -> str | None:
    """Return the arguments of a call of local_shell, shell, apply_patch or tool_search; None for a
    call that the provider ran itself.
    """
    kind = item.required("type", item.text("type"))
    if kind == "tool_search_call":
        raw_arguments = item.value.get("arguments")
        return None if item.text("execution") != "client" else _write(raw_arguments or {})
    call = item.required(_CALL_MEMBERS[kind], item.object(_CALL_MEMBERS[kind]))
    return _write(
        {
            name: value
            for name, value in call.value.items()
            if value is not None and (name, kind) != ("type", "local_shell_call")
        }
    )


def read_output(item: Members) -> str:
    """Return the output of such a call, as a text for the model."""
    if item.value.get("type") == "tool_search_output":
        tools = [tool for member in item.objects("tools") for tool in _read_tool(member)]
        function_names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
        return (
            f"Tools found: {', '.join(function_names)}" if function_names else "No tool was found."
        )
    output = item.value.get("output")
    return output if isinstance(output, str) else _write(output or "")


def write_item(kind: str, arguments: str) -> JsonObject:
    """Return the members of an item that calls a client's tool with these arguments. Arguments that
    are not an object become an empty one, which the client refuses.
    """
    try:
        value = msgspec.json.decode(arguments or "{}")
    except NOT_JSON:
        value = {}
    return _WRITERS[kind](value if isinstance(value, dict) else {})


def _write_tool_search(value: JsonObject) -> JsonObject:
    return {"execution": "client", "arguments": value}


def _write_local_shell(value: JsonObject) -> JsonObject:
    return {"action": {"env": {}, "command": []} | value | {"type": "exec"}}


def _write_shell(value: JsonObject) -> JsonObject:
    return {"action": {"commands": [], "timeout_ms": None, "max_output_length": None} | value}


def _write_apply_patch(value: JsonObject) -> JsonObject:
    return {"operation": value}


_WRITERS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "tool_search_call": _write_tool_search,
    "local_shell_call": _write_local_shell,
    "shell_call": _write_shell,
    "apply_patch_call": _write_apply_patch,
}
CLIENT_CALLS: Final = frozenset(_WRITERS)
_CALL_MEMBERS: Final = {
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
}


def _write(value: Any) -> str:
    return msgspec.json.encode(value).decode()
