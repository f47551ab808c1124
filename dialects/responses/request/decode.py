"""Decode a responses request into neutral form. State that only a provider stores cannot be
translated: the items of an earlier response are inserted before the input before it is read here;
`conversation`, `background` and a stored `prompt` are refused. Unknown members are kept in `extra`.
"""

from typing import Any, Final, get_args

from dialects.chat.bounds import OUTPUT_CAP_MAX, TOOLS_MAX
from dialects.chat.chat import (
    AnyJson,
    ChatRequest,
    Effort,
    JsonSchema,
    Message,
    ReasoningSettings,
    Text,
    Tool,
    ToolChoice,
)
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import check_names, read_json_schema, read_settings
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import Members, read_members
from dialects.responses.client_tools import called_function, read_tools
from dialects.responses.items_decode import read_items
from dialects.responses.request.read import OUTPUT_CAP_MIN

TOOL_CALLS_MAX: Final = 1_000_000
LOGPROBS_WORD: Final = "message.output_text.logprobs"

_EFFORTS: Final[tuple[Effort, ...]] = get_args(Effort)
_OUTPUT_FORMS: Final = ("text", "json_object", "json_schema")
_CHOICES: Final = ("none", "auto", "required")

# `max_cost` and `models` are our own; `stream_options` has no meaning in other dialects.
_KNOWN: Final = frozenset(
    {
        "model",
        "input",
        "instructions",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tool_calls",
        "reasoning",
        "text",
        "include",
        "previous_response_id",
        "conversation",
        "store",
        "background",
        "prompt",
        "truncation",
        "metadata",
        "user",
        "service_tier",
        "prompt_cache_key",
        "safety_identifier",
        "max_cost",
        "models",
    }
)


def decode(raw: bytes, *, request_id: str, received_at: int) -> ChatRequest:
    """Decode a request that will be translated, with checks of every type and value. The items of
    an earlier response must be in the input (`state.continue_body`): otherwise its id stays in the
    request, and encoders refuse it. Raises RequestFault. The caller checks whether the model
    exists.
    """
    read_body(raw)
    body = read_members(raw)
    model = body.required("model", body.text("model") or None)
    _refuse_state(body)
    messages = _read_messages(body)
    include = body.texts("include")
    logprobs, top_logprobs = _read_logprobs(body, include)
    text = body.object("text") or Members({}, "text")
    return ChatRequest(
        dialect="responses",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=_read_tools(body),
        tool_choice=_read_tool_choice(body),
        output_form=_read_output_form(text),
        verbosity=text.text("verbosity"),
        output_cap=body.integer("max_output_tokens", OUTPUT_CAP_MIN, OUTPUT_CAP_MAX),
        temperature=body.number("temperature", 0, 2),
        top_p=body.number("top_p", 0, 1),
        reasoning=_read_reasoning(body),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        truncation=body.text("truncation"),
        tool_calls_max=body.integer("max_tool_calls", 1, TOOL_CALLS_MAX),
        include=tuple(word for word in include if word != LOGPROBS_WORD),
        previous_response_id=body.text("previous_response_id"),
        stream=bool(body.boolean("stream")),
        extra=body.rest(_KNOWN),
        **read_settings(body),
    )


def _read_messages(body: Members) -> tuple[Message, ...]:
    if not body.has("input", "previous_response_id"):
        body.refuse("missing_parameter", "input", "is required")
    messages = read_items(body)
    if not messages and not body.has("previous_response_id"):
        body.refuse_value("input", "must have at least 1 item")
    check_sizes(messages, "input")
    instructions = body.text("instructions")
    if instructions:
        # Instructions apply to this call only, and precede the earlier conversation.
        return (Message("system", (Text(instructions),)), *messages)
    return messages


def _refuse_state(body: Members) -> None:
    for name in ("conversation", "prompt"):
        if body.has(name):
            body.refuse("unsupported_capability", name, "is not known to this model's provider")
    if body.boolean("background"):
        body.refuse("unsupported_capability", "background", "is not offered for this model")


def _read_logprobs(body: Members, include: tuple[str, ...]) -> tuple[bool | None, int | None]:
    """Return whether `include` asks for likelihoods, and their number; the number alone does not
    ask for them.
    """
    top = body.integer("top_logprobs", 0, 20)
    if LOGPROBS_WORD in include:
        return True, top
    return (True, top) if top else (None, None)


def _read_output_form(text: Members) -> AnyJson | JsonSchema | None:
    form = text.object("format")
    if form is None:
        return None
    kind = form.required("type", form.word("type", _OUTPUT_FORMS))
    if kind != "json_schema":
        return AnyJson() if kind == "json_object" else None
    return read_json_schema(form)


def _read_reasoning(body: Members) -> ReasoningSettings | None:
    reasoning = body.object("reasoning")
    if reasoning is None:
        return None
    settings = ReasoningSettings(
        effort=reasoning.word("effort", _EFFORTS),
        summary=reasoning.text("summary") or reasoning.text("generate_summary"),
    )
    return None if settings == ReasoningSettings() else settings


def _read_tools(body: Members) -> tuple[Tool, ...]:
    tools = read_tools(body)
    if len(tools) > TOOLS_MAX:
        body.refuse_value("tools", f"must have at most {TOOLS_MAX} items")
    check_names(body, tools)
    return tuple(tools)


def _read_tool_choice(body: Members) -> ToolChoice | None:
    value: Any = body.value.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        for mode in _CHOICES:
            if value == mode:
                return ToolChoice(mode)
        body.refuse_value("tool_choice", "must be none, auto, required, or an object")
    choice = body.required("tool_choice", body.object("tool_choice"))
    if choice.value.get("type") != "allowed_tools":
        name = called_function(choice)
        if name is None:
            choice.refuse("unsupported_capability", "type", "a server tool cannot be called for")
        return ToolChoice("required", (name,))
    tools = choice.objects("tools")
    named = tuple(name for tool in tools if (name := called_function(tool)) is not None)
    if not named or len(named) < len(tools):
        raise RequestFault(
            "unsupported_capability", choice.at("tools"), "only functions can be allowed here"
        )
    required = choice.word("mode", ("auto", "required")) == "required"
    return ToolChoice("required" if required else "auto", named)
