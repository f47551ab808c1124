"""Decode a chat completions request of the openai dialect into neutral form. It covers all of
OpenAI's own parameters and those of the providers with this dialect: `thinking` (DeepSeek, GLM,
Doubao, Kimi), `enable_thinking` and `parameters` (Qwen), `search_parameters` (Grok), `functions`
and `function_call` (the old form). Unknown members are kept in `extra`.
"""

from typing import Any, get_args

from dialects.chat.bounds import CHOICES_MAX, OUTPUT_CAP_MAX, TOOLS_MAX
from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    ChatRequest,
    Effort,
    FunctionTool,
    JsonSchema,
    OwnTool,
    ReasoningSettings,
    SearchForm,
    Tool,
    ToolChoice,
    WebSearch,
)
from dialects.chat.custom_tools import make_function
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import (
    INTEGER_MAX,
    check_names,
    read_json_schema,
    read_place,
    read_sampling,
    read_settings,
)
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import Members, read_members
from dialects.openai.message_decode import read_messages

STOPS_MAX = 4

_EFFORTS: tuple[Effort, ...] = get_args(Effort)
_OUTPUT_FORMS = ("text", "json_object", "json_schema")
_MODALITIES = ("text", "audio", "image")
_SWITCHES = {"enabled": "on", "disabled": "off", "auto": "adaptive", "adaptive": "adaptive"}
_CHOICES = ("none", "auto", "required")
_CALLABLE = ("function", "custom")

# `max_cost` and `models` are our own, and we set `stream_options` ourselves; none is forwarded.
_KNOWN = frozenset(
    {
        "model",
        "messages",
        "temperature",
        "top_p",
        "top_k",
        "n",
        "stream",
        "stream_options",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "seed",
        "user",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "modalities",
        "audio",
        "thinking",
        "enable_thinking",
        "thinking_budget",
        "web_search_options",
        "search_parameters",
        "metadata",
        "store",
        "service_tier",
        "prediction",
        "verbosity",
        "prompt_cache_key",
        "safety_identifier",
        "functions",
        "function_call",
        "max_cost",
        "models",
    }
)


def decode(raw: bytes, *, request_id: str, received_at: int) -> ChatRequest:
    """Decode a chat request that will be translated, with checks of every type and value. Raises
    RequestFault. The caller checks whether the model exists.
    """
    read_body(raw)
    body = read_members(raw)
    model = body.required("model", body.text("model") or None)
    messages = read_messages(body, request_id)
    check_sizes(messages, "messages")
    stream = bool(body.boolean("stream"))
    tools, legacy_functions = _read_tools(body)
    return ChatRequest(
        dialect="openai",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=_read_tool_choice(body),
        legacy_functions=legacy_functions,
        output_form=_read_output_form(body),
        verbosity=body.text("verbosity"),
        output_cap=_read_cap(body),
        top_k=body.integer("top_k", -1, INTEGER_MAX),
        choices=body.integer("n", 1, CHOICES_MAX),
        reasoning=_read_reasoning(body),
        logprobs=body.boolean("logprobs"),
        top_logprobs=_read_top_logprobs(body),
        modalities=_read_modalities(body),
        audio=_read_audio(body),
        prediction=body.json("prediction"),
        stream=stream,
        include_usage=stream and _read_include_usage(body),
        extra=_read_extra(body),
        **read_sampling(body, STOPS_MAX),
        **read_settings(body),
    )


def _read_extra(body: Members) -> dict[str, Any]:
    extra = body.rest(_KNOWN)
    search = body.json("search_parameters")
    if search is not None and search.get("mode") == "off":
        extra["search_parameters"] = search
    return extra


def _read_cap(body: Members) -> int | None:
    caps = [
        body.integer(name, 0, OUTPUT_CAP_MAX) for name in ("max_completion_tokens", "max_tokens")
    ]
    # 0 means no cap (source 003, the examples).
    return next((cap for cap in caps if cap), None)


def _read_top_logprobs(body: Members) -> int | None:
    top = body.integer("top_logprobs", 0, 20)
    if top is not None and not body.boolean("logprobs"):
        body.refuse_value("top_logprobs", "needs logprobs to be true")
    return top


def _read_include_usage(body: Members) -> bool:
    options = body.object("stream_options")
    return options is not None and bool(options.boolean("include_usage"))


def _read_modalities(body: Members) -> tuple[str, ...]:
    modalities = body.texts("modalities")
    for i, modality in enumerate(modalities):
        if modality not in _MODALITIES:
            body.refuse_value(f"modalities[{i}]", "must be one of " + ", ".join(_MODALITIES))
    return modalities


def _read_audio(body: Members) -> AudioOutput | None:
    """Read the voice settings; without an audio modality they have no effect (source 004)."""
    audio = body.object("audio")
    if audio is None or "audio" not in body.texts("modalities"):
        return None
    voice = audio.value.get("voice")
    named = voice if isinstance(voice, str) else ""
    return AudioOutput(named, audio.text("format") or "", audio.value)


def _read_output_form(body: Members) -> AnyJson | JsonSchema | None:
    form = body.object("response_format")
    if form is None:
        return None
    kind = form.required("type", form.word("type", _OUTPUT_FORMS))
    if kind != "json_schema":
        return AnyJson() if kind == "json_object" else None
    schema = form.required("json_schema", form.object("json_schema"))
    return read_json_schema(schema)


def _read_reasoning(body: Members) -> ReasoningSettings | None:
    switch, budget = None, body.integer("thinking_budget", 0, OUTPUT_CAP_MAX)
    on = body.boolean("enable_thinking")
    if on is not None:
        switch = "on" if on else "off"
    thinking = body.object("thinking")
    if thinking is not None:
        switch = _SWITCHES[thinking.required("type", thinking.word("type", tuple(_SWITCHES)))]
        tokens = thinking.integer("budget_tokens", 0, OUTPUT_CAP_MAX)
        budget = budget if tokens is None else tokens
    settings = ReasoningSettings(
        effort=body.word("reasoning_effort", _EFFORTS),
        budget_tokens=budget,
        switch=switch,  # type: ignore[arg-type]
    )
    return None if settings == ReasoningSettings() else settings


def _read_tools(body: Members) -> tuple[tuple[Tool, ...], bool]:
    tools = [_read_tool(tool) for tool in body.objects("tools")]
    functions = [_read_function(function) for function in body.objects("functions")]
    old = not tools and (bool(functions) or body.has("function_call"))
    tools += functions if old else []
    if len(tools) > TOOLS_MAX:
        body.refuse_value("tools", f"must have at most {TOOLS_MAX} items")
    check_names(body, tools)
    if options := body.object("web_search_options"):
        tools.append(_read_search_options(options))
    if (search := body.object("search_parameters")) and search.value.get("mode") != "off":
        tools.append(_read_search_parameters(search))
    return tuple(tools), old


def _read_tool(tool: Members) -> Tool:
    kind = tool.required("type", tool.text("type"))
    if kind == "function":
        return _read_function(tool.required("function", tool.object("function")))
    if kind == "custom":
        return _read_freeform(tool)
    if kind == "web_search":
        return WebSearch("glm", tool.value)
    function = tool.value.get("function")
    if kind == "builtin_function" and function == {"name": "$web_search"}:
        return WebSearch("kimi", tool.value)
    return OwnTool("openai", tool.value)


def _read_freeform(tool: Members) -> FunctionTool:
    custom = tool.required("custom", tool.object("custom"))
    form = custom.object("format") or Members({})
    grammar = form.object("grammar") or Members({})
    return make_function(
        custom.tool_name(),
        custom.text("description"),
        tool.value,
        grammar.text("syntax") or "",
        grammar.text("definition") or "",
    )


def _read_function(function: Members) -> FunctionTool:
    return FunctionTool(
        name=function.tool_name(),
        description=function.text("description"),
        schema=function.json("parameters"),
        strict=function.boolean("strict"),
    )


def _read_search_options(options: Members) -> WebSearch:
    location = options.object("user_location")
    place = Members({}) if location is None else location.object("approximate") or location
    return _search("web_search_options", options, place)


def _read_search_parameters(search: Members) -> WebSearch:
    own: dict[str, Any] = next(
        (source.value for source in search.objects("sources") if source.value.get("type") == "web"),
        {},
    )
    web = Members(own, search.at("sources"))
    return WebSearch(
        "search_parameters",
        search.value,
        allowed_domains=web.texts("allowed_websites"),
        blocked_domains=web.texts("excluded_websites"),
        country=web.text("country"),
    )


def _search(form: SearchForm, options: Members, place: Members) -> WebSearch:
    return WebSearch(
        form,
        options.value,
        context_size=options.text("search_context_size"),
        **read_place(place),
    )


def _read_tool_choice(body: Members) -> ToolChoice | None:
    name = "tool_choice" if body.has("tool_choice") else "function_call"
    value = body.value.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        for mode in _CHOICES:
            if value == mode:
                return ToolChoice(mode)  # type: ignore[arg-type]
        body.refuse_value(name, "must be one of " + ", ".join(_CHOICES) + ", or an object")
    choice = body.required(name, body.object(name))
    if name == "function_call":
        return ToolChoice("required", (choice.required("name", choice.text("name")),))
    return _read_named_choice(choice)


def _read_named_choice(choice: Members) -> ToolChoice:
    kind = choice.required("type", choice.word("type", (*_CALLABLE, "allowed_tools")))
    if kind in _CALLABLE:
        function = choice.required(kind, choice.object(kind))
        return ToolChoice("required", (function.required("name", function.text("name")),))
    allowed = choice.required("allowed_tools", choice.object("allowed_tools"))
    names = [
        function.required("name", function.text("name"))
        for function in map(_callable, allowed.objects("tools"))
        if function is not None
    ]
    if not names:
        raise RequestFault(
            "invalid_value", allowed.at("tools"), f"{allowed.at('tools')} must name a function"
        )
    mode = allowed.word("mode", ("auto", "required")) or "auto"
    return ToolChoice(mode, tuple(names))  # type: ignore[arg-type]


def _callable(tool: Members) -> Members | None:
    return tool.object("function") or tool.object("custom")
