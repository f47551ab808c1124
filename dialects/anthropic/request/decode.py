"""Decode a request of the anthropic dialect into neutral form. Members that only the provider
itself understands (`container`, `mcp_servers`, ...) are kept in `extra`.
"""

from typing import Literal, get_args

from dialects.anthropic.client_tools import read_client_tool
from dialects.anthropic.request.message_decode import read_cache, read_messages, read_system
from dialects.anthropic.request.thinking import BUDGET_MIN
from dialects.chat.bounds import OUTPUT_CAP_MAX
from dialects.chat.chat import (
    ChatRequest,
    Effort,
    FunctionTool,
    JsonSchema,
    OwnTool,
    ReasoningSettings,
    Tool,
    ToolChoice,
    WebSearch,
)
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import INTEGER_MAX, check_names, read_place
from dialects.json.body import read_body
from dialects.json.members import Members, read_members

_EFFORTS: tuple[Effort, ...] = get_args(Effort)
_SWITCHES: dict[str, Literal["on", "off", "adaptive"]] = {
    "enabled": "on",
    "disabled": "off",
    "adaptive": "adaptive",
}
_MODES: dict[str, Literal["auto", "required", "none"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "required",
    "none": "none",
}
_NO_PARAMETERS = {"type": "object", "properties": {}}
_TIERS = {"auto": "auto", "standard_only": "default"}

# `max_cost` and `models` are our own and are not forwarded.
_KNOWN = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "stream",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
        "max_cost",
        "models",
    }
)


def decode(raw: bytes, *, request_id: str, received_at: int) -> ChatRequest:
    """Decode a request that will be translated, with checks of every type and value. Raises
    RequestFault. The caller checks whether the model exists.
    """
    read_body(raw)
    body = read_members(raw)
    model = body.required("model", body.text("model") or None)
    messages = (*read_system(body), *read_messages(body))
    check_sizes(messages, "messages")
    metadata = body.object("metadata")
    choice = body.object("tool_choice")
    return ChatRequest(
        dialect="anthropic",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=_read_tools(body),
        tool_choice=None if choice is None else _read_choice(choice),
        parallel_tool_calls=None if choice is None else _read_parallel(choice),
        output_form=_read_output_form(body),
        output_cap=body.required("max_tokens", body.integer("max_tokens", 1, OUTPUT_CAP_MAX)),
        temperature=body.number("temperature", 0, 1),
        top_p=body.number("top_p", 0, 1),
        top_k=body.integer("top_k", 0, INTEGER_MAX),
        stop=body.texts("stop_sequences"),
        reasoning=_read_reasoning(body),
        user=None if metadata is None else metadata.text("user_id"),
        service_tier=_TIERS.get(body.word("service_tier", tuple(_TIERS)) or ""),
        stream=bool(body.boolean("stream")),
        extra=body.rest(_KNOWN),
    )


def _read_output_form(body: Members) -> JsonSchema | None:
    """Read the output form; `output_format` is the former name of `output_config.format`."""
    config = body.object("output_config")
    form = None if config is None else config.object("format")
    form = form or body.object("output_format")
    if form is None:
        return None
    form.required("type", form.word("type", ("json_schema",)))
    return JsonSchema(form.required("schema", form.json("schema")))


def _read_reasoning(body: Members) -> ReasoningSettings | None:
    config, thinking = body.object("output_config"), body.object("thinking")
    effort = None if config is None else config.word("effort", _EFFORTS)
    if thinking is None:
        return None if effort is None else ReasoningSettings(effort=effort)
    kind = thinking.required("type", thinking.word("type", tuple(_SWITCHES)))
    return ReasoningSettings(
        effort=effort,
        budget_tokens=thinking.integer("budget_tokens", BUDGET_MIN, OUTPUT_CAP_MAX),
        switch=_SWITCHES[kind],
        shown=False if thinking.value.get("display") == "omitted" else None,
    )


def _read_choice(choice: Members) -> ToolChoice:
    kind = choice.required("type", choice.word("type", tuple(_MODES)))
    names = (choice.required("name", choice.text("name")),) if kind == "tool" else ()
    return ToolChoice(_MODES[kind], names)


def _read_parallel(choice: Members) -> bool | None:
    disabled = choice.boolean("disable_parallel_tool_use")
    return None if disabled is None else not disabled


def _read_tools(body: Members) -> tuple[Tool, ...]:
    tools = tuple(_read_tool(tool) for tool in body.objects("tools"))
    check_names(body, tools)
    return tools


def _read_tool(tool: Members) -> Tool:
    kind = tool.text("type") or "custom"
    if kind == "custom":
        return _read_function(tool)
    if kind.startswith("web_search_"):
        return _read_search(tool)
    return read_client_tool(kind, tool) or OwnTool("anthropic", tool.value)


def _read_function(tool: Members) -> FunctionTool:
    name = tool.tool_name()
    schema = tool.required("input_schema", tool.json("input_schema"))
    return FunctionTool(
        name=name,
        description=tool.text("description"),
        schema=None if schema == _NO_PARAMETERS else schema,
        strict=tool.boolean("strict"),
        cache=read_cache(tool),
    )


def _read_search(tool: Members) -> WebSearch:
    place = tool.object("user_location")
    return WebSearch(
        "anthropic",
        tool.value,
        uses_max=tool.integer("max_uses", 1, OUTPUT_CAP_MAX),
        allowed_domains=tool.texts("allowed_domains"),
        blocked_domains=tool.texts("blocked_domains"),
        **read_place(place),
    )
