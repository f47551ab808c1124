"""Write a neutral chat request in the anthropic dialect for one upstream model.

Thinking is requested in one of two ways: models with the flag `thinking_adaptive` get an effort (an
explicit budget is passed on), others a budget of at least 1024 tokens below `max_tokens`. With
thinking enabled, the sampling parameters are omitted; a forced tool, or tool calls whose thinking
is lost, disable it.
"""

import msgspec

from dialects.anthropic.client_tools import declared_tool
from dialects.anthropic.request.message_encode import (
    lacks_own_thinking,
    write_cache,
    write_conversation,
)
from dialects.anthropic.request.schema import fit_schema
from dialects.anthropic.request.thinking import nearest_effort, thinking_budget
from dialects.chat.chat import (
    ChatRequest,
    Encoded,
    Flag,
    FunctionTool,
    JsonObject,
    JsonSchema,
    OwnTool,
    Tool,
    ToolChoice,
    Upstream,
    WebSearch,
)
from dialects.chat.client_names import client_name, dropped_names, lost_of_search, omit_tool
from dialects.chat.reasoning import effort_of, thinks
from dialects.chat.text_only import check_text_only
from dialects.errors.errors import RequestFault

# The output limit used when neither the client nor the catalogue sets one.
OUTPUT_CAP_UNKNOWN = 8_192
ANSWER_TOOL = "json_answer"

_TOP_P_MIN_THINKING = 0.95
_FOREIGN = (
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "logprobs",
    "top_logprobs",
    "store",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "prediction",
    "truncation",
    "tool_calls_max",
    "include",
    "verbosity",
)
_TIERS = {"auto": "auto", "default": "standard_only"}
_SENTENCE = "Answer with one JSON object only, without any other text."
_SEARCH_TYPE = "web_search_20250305"
_PLACE = ("city", "region", "country", "timezone")


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream. Raises RequestFault `unsupported_capability` for audio
    output, stored turns, server tools of other dialects, `web_search_options`, and parts that the
    dialect cannot express.
    """
    return _RequestWriter(request, upstream).encode()


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return nothing: this dialect accepts URLs of pictures and documents."""
    return ()


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._same = request.dialect == "anthropic"
        self._cap = (
            upstream.output_cap or request.output_cap or upstream.output_max or OUTPUT_CAP_UNKNOWN
        )
        self._body: JsonObject = {}
        self._dropped: list[str] = list(dropped_names(request, "anthropic", *_FOREIGN, marks=True))
        self._sentence = ""
        self._answer_tool = ""

    def encode(self) -> Encoded:
        check_text_only(self._request)
        self._write_output_form()
        self._write_tools()
        self._write_thinking()
        self._write_sampling()
        self._write_rest()
        system, messages = write_conversation(self._request, self._sentence)
        head: JsonObject = {"model": self._upstream.model, "max_tokens": self._cap}
        if system:
            head["system"] = system
        extra = self._request.extra if self._same else {}
        body = extra | head | {"messages": messages} | self._body
        dropped = tuple(dict.fromkeys(self._dropped))
        return Encoded(msgspec.json.encode(body), dropped, self._answer_tool)

    def _has(self, flag: Flag) -> bool:
        return flag in self._upstream.flags

    def _report_dropped(self, field: str) -> None:
        self._dropped.append(client_name(self._request, field))

    # ---- output

    def _write_output_form(self) -> None:
        form = self._request.output_form
        if form is None:
            return
        if not isinstance(form, JsonSchema):
            self._sentence = _SENTENCE
        elif (fitting := self._supported_schema(form)) is not None:
            self._config({"format": {"type": "json_schema", "schema": fitting}})
        elif self._request.tools or thinks(self._request):
            schema = msgspec.json.encode(form.schema).decode()
            self._sentence = f"{_SENTENCE} It must fit this JSON Schema: {schema}"
        else:
            self._answer_tool = ANSWER_TOOL

    def _supported_schema(self, form: JsonSchema) -> JsonObject | None:
        """Return the schema if the model can enforce it, in the provider's form; else None."""
        if self._has("no_json_schema"):
            return None
        return form.schema if self._same else fit_schema(form.schema)

    def _config(self, members: JsonObject) -> None:
        self._body["output_config"] = self._body.get("output_config", {}) | members

    # ---- tools

    def _write_tools(self) -> None:
        form = self._request.output_form
        if self._answer_tool and isinstance(form, JsonSchema):
            tool = {"name": ANSWER_TOOL, "input_schema": _write_schema(form.schema)}
            self._body["tools"] = [tool]
            self._body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
            return
        choice = self._request.tool_choice
        names = choice.names if choice is not None else ()
        if choice is not None and choice.mode == "required" and len(names) == 1:
            names = ()
        # The dialect can require one tool only; if the client allows several, only those are
        # offered.
        offered = (
            self._write_tool(tool)
            for tool in self._request.tools
            if not names or not isinstance(tool, FunctionTool) or tool.name in names
        )
        tools = [tool for tool in offered if tool is not None]
        if tools:
            self._body["tools"] = tools
            self._write_choice(choice)

    def _write_choice(self, choice: ToolChoice | None) -> None:
        parallel = self._request.parallel_tool_calls
        if choice is None and parallel is not False:
            return
        tool_choice: JsonObject = {"type": "auto"}
        if choice is not None and choice.mode == "required":
            single = len(choice.names) == 1
            tool_choice = {"type": "tool", "name": choice.names[0]} if single else {"type": "any"}
        elif choice is not None:
            tool_choice = {"type": choice.mode}
        if parallel is not None and tool_choice["type"] != "none":
            tool_choice["disable_parallel_tool_use"] = not parallel
        self._body["tool_choice"] = tool_choice

    def _write_tool(self, tool: Tool) -> JsonObject | None:
        if isinstance(tool, WebSearch):
            return self._write_search(tool)
        if isinstance(tool, OwnTool):
            if tool.dialect == "anthropic":
                return tool.value
            self._dropped.append(omit_tool(self._request, tool))
            return None
        declared = declared_tool(tool)
        if declared is not None:
            return declared
        body: JsonObject = {"name": tool.name}
        if tool.description is not None:
            body["description"] = tool.description
        body["input_schema"] = _write_schema(tool.schema)
        if tool.strict is not None and self._same:
            body["strict"] = tool.strict
        elif tool.strict:
            self._dropped.append("strict")
        return body | write_cache(tool.cache)

    def _write_search(self, search: WebSearch) -> JsonObject:
        if search.form == "anthropic":
            return search.own
        if search.form == "web_search_options":
            raise _unsupported(
                "web_search_options",
                "web search with this model needs a tool, not web_search_options",
            )
        body: JsonObject = {"type": _SEARCH_TYPE, "name": "web_search"}
        if search.uses_max is not None:
            body["max_uses"] = search.uses_max
        # The dialect accepts only one of the two lists; the allowed domains are stricter.
        domains = "allowed_domains" if search.allowed_domains else "blocked_domains"
        if allowed := getattr(search, domains):
            body[domains] = allowed
        self._dropped += lost_of_search(search, "uses_max", domains, *_PLACE)
        place = {name: getattr(search, name) for name in _PLACE}
        if known := {name: value for name, value in place.items() if value is not None}:
            body["user_location"] = {"type": "approximate"} | known
        return body

    # ---- thinking

    def _write_thinking(self) -> None:
        wanted = thinks(self._request)
        if wanted is None:
            return
        adaptive = self._has("thinking_adaptive")
        thinking: JsonObject | None = None
        if wanted and not self._is_forced() and not lacks_own_thinking(self._request):
            thinking = (
                self._adaptive_thinking()
                if adaptive
                else thinking_budget(self._request.reasoning, self._upstream, self._cap)
            )
        if thinking is not None:
            self._body["thinking"] = thinking
            return
        if wanted:
            self._report_dropped("reasoning")
        if adaptive:
            self._body["thinking"] = {"type": "disabled"}

    def _is_forced(self) -> bool:
        return self._body.get("tool_choice", {}).get("type") in ("any", "tool")

    def _adaptive_thinking(self) -> JsonObject | None:
        settings = self._request.reasoning
        budget = None if settings is None else settings.budget_tokens
        if budget is not None and budget > 0:
            return thinking_budget(self._request.reasoning, self._upstream, self._cap)
        effort = effort_of(settings)
        if effort is not None:
            self._config({"effort": nearest_effort(effort, self._upstream.efforts)})
        return {"type": "adaptive"}

    # ---- sampling and the rest

    def _write_sampling(self) -> None:
        request = self._request
        thinking = self._body.get("thinking", {}).get("type") in ("enabled", "adaptive")
        temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
        both = temperature is not None and not thinking and self._has("one_of_temperature_top_p")
        if temperature is not None and thinking:
            self._report_dropped("temperature")
        elif temperature is not None:
            self._body["temperature"] = min(temperature, 1)
        if top_p is not None and (both or (thinking and top_p < _TOP_P_MIN_THINKING)):
            self._report_dropped("top_p")
        elif top_p is not None:
            self._body["top_p"] = top_p
        if top_k is not None and thinking:
            self._report_dropped("top_k")
        elif top_k is not None and top_k >= 0:
            # Some servers of open models use negative values for "no limit".
            self._body["top_k"] = top_k

    def _write_rest(self) -> None:
        request, body = self._request, self._body
        stops = [text for text in request.stop if text.strip()]
        if stops:
            body["stop_sequences"] = stops
        if len(stops) < len(request.stop):
            self._report_dropped("stop")
        if request.choices is not None and request.choices > 1:
            self._report_dropped("choices")
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        tier = _TIERS.get(request.service_tier or "")
        if tier is not None:
            body["service_tier"] = tier
        elif request.service_tier is not None:
            self._report_dropped("service_tier")
        if request.stream:
            body["stream"] = True


def _write_schema(schema: JsonObject | None) -> JsonObject:
    """Write the schema of the arguments, which must describe an object."""
    if not schema:
        return {"type": "object", "properties": {}}
    return schema if "type" in schema else {"type": "object"} | schema


def _unsupported(param: str, what: str) -> RequestFault:
    return RequestFault("unsupported_capability", param, what)
