"""Decode a converse request into neutral form. The model and whether to stream are in the path.

Members of `additionalModelRequestFields` that Amazon documents for several models are read: those
for reasoning and for top_k. Others are kept in `extra` by their path, for an upstream of this
dialect.
"""

from typing import Any, Final

import msgspec

from dialects.chat.bounds import OUTPUT_CAP_MAX
from dialects.chat.chat import (
    ChatRequest,
    Effort,
    FunctionTool,
    JsonObject,
    JsonSchema,
    OwnTool,
    ReasoningSettings,
    Tool,
    ToolChoice,
)
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import INTEGER_MAX, check_names, read_stops
from dialects.converse.request.message_decode import add_cache, read_messages, read_system
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import Members, read_members
from dialects.json.not_json import NOT_JSON

ADDITIONAL: Final = "additionalModelRequestFields"
GUARDRAIL: Final = "guardrailConfig"
STOPS_MAX: Final = 2_500
_TIERS: Final = ("default", "flex", "priority", "reserved")
_EFFORTS: Final[tuple[Effort, ...]] = (
    "none", "minimal", "low", "medium", "high", "xhigh", "max",
)  # fmt: skip
_SWITCHES: Final[dict[str, Any]] = {"enabled": "on", "disabled": "off", "adaptive": "adaptive"}
_THINKING: Final = ("thinking", "reasoning_config")
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}
_KNOWN: Final = frozenset(
    {
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "outputConfig",
        "serviceTier",
        ADDITIONAL,
        # Our own; the model is in the path.
        "model",
        "modelId",
        "max_cost",
        "models",
    }
)


def decode(
    raw: bytes, *, model: str, stream: bool, request_id: str, received_at: int
) -> ChatRequest:
    """Decode a request that will be translated, with checks of every type and value. `model` and
    `stream` come from the path. Raises RequestFault. The caller checks whether the model exists.
    """
    read_body(raw)
    body = read_members(raw)
    refuse_guardrail(body.value)
    messages = (*read_system(body), *read_messages(body))
    check_sizes(messages, "messages")
    config = body.object("inferenceConfig") or Members({}, "inferenceConfig")
    output = body.object("outputConfig") or Members({}, "outputConfig")
    more = body.object(ADDITIONAL) or Members({}, ADDITIONAL)
    extra, rest = body.rest(_KNOWN), dict(more.rest(()))
    tools, choice = _read_tools(body)
    tier = body.object("serviceTier")
    return ChatRequest(
        dialect="converse",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        output_form=_read_output_form(output),
        output_cap=config.integer("maxTokens", 1, OUTPUT_CAP_MAX),
        temperature=config.number("temperature", 0, 2),
        top_p=config.number("topP", 0, 1),
        top_k=_read_top_k(more, rest),
        stop=read_stops(config, "stopSequences", STOPS_MAX),
        reasoning=_read_reasoning(output, more, rest),
        service_tier=None if tier is None else tier.word("type", _TIERS),
        stream=stream,
        include_usage=stream,
        extra=extra | {f"{ADDITIONAL}.{name}": value for name, value in rest.items()},
    )


def refuse_guardrail(members: JsonObject) -> None:
    """Refuse a guardrail: it is stored in one account of Amazon's, and an answer without it could
    be taken for a guarded one. Raises RequestFault.
    """
    if members.get(GUARDRAIL) is not None:
        what = (
            f"{GUARDRAIL} names a guardrail of one AWS account, which not every channel has: leave "
            "it out, and ask the operator to set it for the channel"
        )
        raise RequestFault("unsupported_capability", GUARDRAIL, what)


def _read_output_form(output: Members) -> JsonSchema | None:
    form = output.object("textFormat")
    if form is None:
        return None
    form.required("type", form.word("type", ("json_schema",)))
    structure = form.required("structure", form.object("structure"))
    named = structure.required("jsonSchema", structure.object("jsonSchema"))
    text = named.required("schema", named.text("schema"))
    try:
        schema = msgspec.json.decode(text, type=dict[str, Any])
    except NOT_JSON:
        named.refuse("invalid_type", "schema", "must be a JSON object as a string")
    return JsonSchema(schema, named.text("name") or "", None, named.text("description"))


def _read_top_k(more: Members, rest: JsonObject) -> int | None:
    """Read Claude's top_k, or Nova's."""
    nova = more.object("inferenceConfig")
    if nova is not None and nova.value.keys() <= {"topK"}:
        rest.pop("inferenceConfig", None)
        return nova.integer("topK", 0, INTEGER_MAX)
    if rest.pop("top_k", None) is None:
        return None
    return more.integer("top_k", 0, INTEGER_MAX)


def _read_reasoning(output: Members, more: Members, rest: JsonObject) -> ReasoningSettings | None:
    """Read the effort of this dialect, of Claude, Nova and gpt-oss, and Claude's budget."""
    effort = output.word("effort", _EFFORTS)
    inner = more.object("output_config")
    if inner is not None and inner.value.keys() <= {"effort"}:
        rest.pop("output_config", None)
        effort = inner.word("effort", _EFFORTS) or effort
    if rest.pop("reasoning_effort", None) is not None:
        effort = more.word("reasoning_effort", _EFFORTS) or effort
    nova = more.object("reasoningConfig")
    if rest.pop("reasoningConfig", None) is not None and nova is not None:
        on = nova.word("type", ("enabled", "disabled")) == "enabled"
        return ReasoningSettings(nova.word("maxReasoningEffort", _EFFORTS) if on else "none")
    name = next((name for name in _THINKING if more.has(name)), None)
    if name is None:
        return None if effort is None else ReasoningSettings(effort)
    rest.pop(name, None)
    thinking = more.required(name, more.object(name))
    kind = thinking.required("type", thinking.word("type", tuple(_SWITCHES)))
    budget = thinking.integer("budget_tokens", 1, OUTPUT_CAP_MAX)
    return ReasoningSettings(effort=effort, budget_tokens=budget, switch=_SWITCHES[kind])


def _read_tools(body: Members) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    config = body.object("toolConfig")
    if config is None:
        return (), None
    tools: list[Tool] = []
    for tool in config.objects("tools"):
        if add_cache(tool, tools):
            continue
        spec = tool.object("toolSpec")
        tools.append(OwnTool("converse", tool.value) if spec is None else _read_function(spec))
    check_names(config, tools)
    return tuple(tools), _read_choice(config)


def _read_function(spec: Members) -> FunctionTool:
    name = spec.tool_name()
    schema = spec.required("inputSchema", spec.object("inputSchema"))
    parameters = schema.required("json", schema.json("json"))
    return FunctionTool(
        name=name,
        description=spec.text("description"),
        schema=None if parameters == _NO_PARAMETERS else parameters,
        strict=spec.boolean("strict"),
    )


def _read_choice(config: Members) -> ToolChoice | None:
    choice = config.object("toolChoice")
    if choice is None:
        return None
    if choice.has("any"):
        return ToolChoice("required")
    tool = choice.object("tool")
    if tool is not None:
        return ToolChoice("required", (tool.required("name", tool.text("name")),))
    choice.required("auto", choice.object("auto"))
    return ToolChoice("auto")
