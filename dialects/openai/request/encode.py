"""Write a neutral chat request in the openai dialect for one upstream model.

The flags of `Upstream` express the differences between providers of this dialect. Without any flag
and for a client of the same dialect, decoding the result returns the same request.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dialects.chat.chat import (
    ChatRequest,
    Encoded,
    File,
    Flag,
    FunctionTool,
    JsonSchema,
    OwnTool,
    SearchForm,
    Tool,
    Upstream,
    WebSearch,
)
from dialects.chat.client_names import client_name, dropped_names, is_set, lost_of_search, omit_tool
from dialects.chat.reasoning import budget_of, effort_of, nearest, thinks
from dialects.chat.turns import urls
from dialects.errors.errors import RequestFault
from dialects.openai.message_encode import write_messages
from dialects.openai.request import mistral
from dialects.openai.request.decode import STOPS_MAX
from dialects.openai.request.quirks import (
    CAP_NAMES,
    JSON_SENTENCE,
    LOGPROBS,
    NOT_PARAMETERS,
    PENALTIES,
    SAMPLING,
)

_OWN_FORMS: frozenset[SearchForm] = frozenset(
    {"web_search_options", "search_parameters", "enable_search", "glm", "kimi"}
)
# Fields that have the same name in the dialect, and are sent unchanged.
_COPIED = (
    *SAMPLING,
    "top_k",
    "seed",
    "verbosity",
    "prediction",
    "user",
    "metadata",
    "service_tier",
    "store",
    "prompt_cache_key",
    "safety_identifier",
)
_FOREIGN = ("truncation", "tool_calls_max", "include")
# A cap must not appear a second time once we have set one.
_CAPS = frozenset(CAP_NAMES)
_NAME_UNSAID = "answer"


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream; its streams always ask for usage. Raises RequestFault
    `unsupported_capability` for a web search that the upstream does not offer, server tools of
    other dialects, and parts that the dialect cannot express.
    """
    return _RequestWriter(request, upstream).encode()


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return the URLs of files. This dialect accepts URLs of pictures, sounds and videos, but not
    of files."""
    return urls(request, lambda part: isinstance(part, File))


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._flags = upstream.flags
        self._same = request.dialect == "openai"
        self._body: dict[str, Any] = {"model": upstream.model}
        self._dropped: list[str] = []
        self._omitted: set[str] = set()
        self._sentence = ""

    def encode(self) -> Encoded:
        self._refuse()
        self._choose_omitted()
        self._copy_fields()
        self._write_caps()
        self._write_reasoning()
        self._write_output()
        self._write_tools()
        self._write_extra()
        messages = write_messages(self._request, self._flags, self._sentence)
        if self._has("mistral_form"):
            messages = [mistral.fit_message(message) for message in messages]
            self._fit_to_mistral()
        self._body = {"model": self._upstream.model, "messages": messages} | self._body
        return Encoded(msgspec.json.encode(self._body), tuple(dict.fromkeys(self._dropped)))

    def _has(self, flag: Flag) -> bool:
        return flag in self._flags

    def _refuse(self) -> None:
        if self._request.previous_response_id is not None:
            raise _unsupported("previous_response_id", "the earlier turns are not stored here")

    def _choose_omitted(self) -> None:
        """Choose the fields that this model does not accept; those that were set are named as
        dropped."""
        request, fields = self._request, list(_FOREIGN)
        if self._has("no_sampling") and not self._effort_is_none():
            fields += SAMPLING
            fields += ["choices"] if (request.choices or 1) > 1 else []
        if self._has("no_penalties_no_stop"):
            fields += PENALTIES
        if self._has("no_parallel_tools"):
            fields.append("parallel_tool_calls")
        if self._has("no_logprobs"):
            fields += LOGPROBS
        if not self._same and not self._has("top_k"):
            fields.append("top_k")
        if self._has("mistral_form"):
            fields += mistral.UNKNOWN_FIELDS
        self._omitted.update(fields)
        marks = self._has("cache_control")
        self._dropped += dropped_names(request, "openai", *fields, marks=marks)

    def _effort_is_none(self) -> bool:
        effort = effort_of(self._request.reasoning)
        return effort is not None and nearest(effort, self._upstream.efforts) == "none"

    def _is_used(self, field: str) -> bool:
        return field not in self._omitted and is_set(self._request, field)

    def _copy_fields(self) -> None:
        request, body = self._request, self._body
        for field in _COPIED:
            if self._is_used(field):
                body[field] = getattr(request, field)
        if self._has("temperature_max_1") and "temperature" in body:
            body["temperature"] = min(body["temperature"], 1)
        if self._is_used("stop"):
            body["stop"] = request.stop[:STOPS_MAX]
            if len(request.stop) > STOPS_MAX:
                self._report_dropped("stop")
        if self._is_used("choices"):
            body["n"] = request.choices
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}

    def _write_caps(self) -> None:
        cap = self._upstream.output_cap or self._request.output_cap
        if cap is not None:
            renamed = self._has("max_completion_tokens_only")
            self._body["max_completion_tokens" if renamed else "max_tokens"] = cap

    def _write_reasoning(self) -> None:
        settings = self._request.reasoning
        if self._has("enable_thinking_switch"):
            self._write_enable_thinking()
        elif self._has("thinking_switch"):
            self._write_thinking()
        elif settings is not None and self._has("no_reasoning_effort"):
            self._report_dropped("reasoning")
        elif settings is not None:
            self._write_effort()

    def _write_effort(self) -> None:
        """Write the reasoning parameters: those that a client of this dialect sent, or the effort
        alone for a client of another dialect."""
        settings = self._request.reasoning
        effort = effort_of(settings)
        if self._same and settings is not None:
            effort = settings.effort
            if settings.switch is not None:
                words = {"on": "enabled", "off": "disabled", "adaptive": "auto"}
                thinking: dict[str, Any] = {"type": words[settings.switch]}
                if settings.budget_tokens is not None:
                    thinking["budget_tokens"] = settings.budget_tokens
                self._body["thinking"] = thinking
            elif settings.budget_tokens is not None:
                self._body["thinking_budget"] = settings.budget_tokens
        if effort is not None:
            self._body["reasoning_effort"] = nearest(effort, self._upstream.efforts)

    def _write_enable_thinking(self) -> None:
        wanted = thinks(self._request)
        if wanted is not None:
            self._body["enable_thinking"] = wanted
        budget = budget_of(
            self._request.reasoning,
            budget_min=self._upstream.budget_min,
            budget_max=self._upstream.budget_max,
        )
        if budget is not None and budget > 0:
            self._body["thinking_budget"] = budget

    def _write_thinking(self) -> None:
        wanted = thinks(self._request)
        if wanted is None and self._has("thinking_default_off"):
            wanted = False
        if wanted is None:
            return
        self._body["thinking"] = {"type": "enabled" if wanted else "disabled"}
        effort = effort_of(self._request.reasoning)
        if not wanted or effort is None or not self._upstream.efforts:
            return
        if self._has("reasoning_content_rule") and effort == "xhigh":
            # DeepSeek has high and max, and treats xhigh as max.
            effort = "max"
        self._body["reasoning_effort"] = nearest(effort, self._upstream.efforts)

    def _write_output(self) -> None:
        request, body = self._request, self._body
        if request.modalities:
            body["modalities"] = request.modalities
        if request.audio is not None:
            own = request.audio.own if self._same else {}
            spoken = {"voice": request.audio.voice, "format": request.audio.format}
            body["audio"] = own or {name: value for name, value in spoken.items() if value}
        form = request.output_form
        if isinstance(form, JsonSchema) and not self._has("json_object_only"):
            body["response_format"] = {"type": "json_schema", "json_schema": _write_schema(form)}
        elif form is not None:
            body["response_format"] = {"type": "json_object"}
            if isinstance(form, JsonSchema):
                schema = msgspec.json.encode(form.schema).decode()
                self._sentence = f"{JSON_SENTENCE} It must fit this JSON Schema: {schema}"
            elif self._has("json_object_only") and not self._mentions_json():
                self._sentence = JSON_SENTENCE

    def _mentions_json(self) -> bool:
        """Return whether a message contains the word JSON, which such models require."""
        texts = (getattr(part, "text", "") for m in self._request.messages for part in m.parts)
        return any("json" in text.lower() for text in texts)

    def _write_tools(self) -> None:
        request, tools = self._request, []
        for tool in request.tools:
            written = self._write_tool(tool)
            if written is not None:
                tools.append(written)
        choice = request.tool_choice
        if self._has("tool_choice_auto_only") and choice is not None and choice.mode != "auto":
            self._report_dropped("tool_choice")
            tools = [] if choice.mode == "none" else tools
            choice = None
        elif self._has("thinking_no_forced_tool") and choice and choice.mode == "required":
            self._switch_thinking_off()
        if tools:
            self._body["tools"] = tools
        elif not self._same:
            # Some clients always send `tool_choice`, which OpenAI and vLLM refuse without tools.
            return
        if choice is not None:
            self._body["tool_choice"] = _write_choice(choice.mode, choice.names)
        if self._is_used("parallel_tool_calls"):
            self._body["parallel_tool_calls"] = request.parallel_tool_calls

    def _switch_thinking_off(self) -> None:
        if self._has("enable_thinking_switch"):
            self._body["enable_thinking"] = False
            self._body.pop("thinking_budget", None)

    def _write_tool(self, tool: Tool) -> dict[str, Any] | None:
        if isinstance(tool, FunctionTool):
            return _write_function(tool, default_strict=self._same)
        if isinstance(tool, OwnTool):
            if tool.dialect == "openai":
                return tool.value
            self._dropped.append(omit_tool(self._request, tool))
            return None
        return self._write_search(tool)

    def _write_search(self, search: WebSearch) -> dict[str, Any] | None:
        """Write a search as a member of the body (returns None) or as a tool."""
        form = self._upstream.search or (search.form if search.form in _OWN_FORMS else None)
        if form is None or form == "kimi" != search.form or self._has("no_web_search_options"):
            self._dropped.append(omit_tool(self._request, search))
            return None
        if search.form != form:
            self._dropped += lost_of_search(search, *_SEARCH_LIMITS.get(form, ()))
        if form in ("web_search_options", "search_parameters"):
            own = search.own if search.form == form else _SEARCHES[form](search)
            self._body[form] = own
            return None
        if form == "enable_search":
            self._body[form] = True
            return None
        if search.form == form:
            return search.own
        return {"type": "web_search", "web_search": {"enable": True}}

    def _write_extra(self) -> None:
        """Write the members that only this dialect has; `parameters` are Qwen's, and override
        everything else.
        """
        extra = dict(self._request.extra) if self._same else {}
        parameters = extra.pop("parameters", None)
        self._body = extra | self._body
        if parameters is None:
            return
        if self._has("params_object") and isinstance(parameters, dict):
            excluded = (
                NOT_PARAMETERS if self._upstream.output_cap is None else NOT_PARAMETERS | _CAPS
            )
            moved_names = [name for name in parameters if name in excluded]
            self._dropped += [f"parameters.{name}" for name in moved_names]
            self._body |= {k: v for k, v in parameters.items() if k not in moved_names}
        elif self._has("parameters_whole"):
            self._body["parameters"] = parameters
        else:
            self._dropped.append("parameters")

    def _fit_to_mistral(self) -> None:
        for name, own_name in mistral.RENAMED.items():
            if name in self._body:
                self._body[own_name] = self._body.pop(name)
        for name in mistral.unknown_members(self._body):
            del self._body[name]
            if name not in mistral.DROPPED_SILENTLY:
                self._dropped.append(name)

    def _report_dropped(self, field: str) -> None:
        self._dropped.append(client_name(self._request, field))


def _write_schema(form: JsonSchema) -> dict[str, Any]:
    written: dict[str, Any] = {"name": form.name or _NAME_UNSAID, "schema": form.schema}
    if form.strict is not None:
        written["strict"] = form.strict
    if form.description is not None:
        written["description"] = form.description
    return written


def _write_function(tool: FunctionTool, *, default_strict: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None and (tool.strict or default_strict):
        # Omit the default (not strict), because some servers do not know the member.
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_choice(mode: str, names: tuple[str, ...]) -> str | dict[str, Any]:
    if not names:
        return mode
    functions = [{"type": "function", "function": {"name": name}} for name in names]
    if mode == "required" and len(names) == 1:
        return functions[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": functions}}


def _write_search_options(search: WebSearch) -> dict[str, Any]:
    place = {
        "city": search.city,
        "region": search.region,
        "country": search.country,
        "timezone": search.timezone,
    }
    known = {name: value for name, value in place.items() if value is not None}
    options: dict[str, Any] = {}
    if search.context_size is not None:
        options["search_context_size"] = search.context_size
    if known:
        options["user_location"] = {"type": "approximate", "approximate": known}
    return options


def _write_search_parameters(search: WebSearch) -> dict[str, Any]:
    web: dict[str, Any] = {"type": "web"}
    if search.allowed_domains:
        web["allowed_websites"] = search.allowed_domains
    if search.blocked_domains:
        web["excluded_websites"] = search.blocked_domains
    if search.country is not None:
        web["country"] = search.country
    return {"mode": "auto", "return_citations": True, "sources": [web]}


# The search limits that each form supports.
_SEARCH_LIMITS: Mapping[SearchForm, tuple[str, ...]] = {
    "web_search_options": ("context_size", "city", "region", "country", "timezone"),
    "search_parameters": ("allowed_domains", "blocked_domains", "country"),
}
_SEARCHES = {
    "web_search_options": _write_search_options,
    "search_parameters": _write_search_parameters,
}


def _unsupported(param: str, what: str) -> RequestFault:
    return RequestFault("unsupported_capability", param, what)
