"""Write a neutral chat request in the converse dialect for one upstream model."""

from collections.abc import Mapping

import msgspec

from dialects.chat.chat import (
    ChatRequest,
    Encoded,
    Flag,
    FunctionTool,
    JsonObject,
    JsonSchema,
    ToolCall,
    ToolChoice,
    ToolResult,
    Upstream,
    Url,
)
from dialects.chat.client_names import client_name, dropped_names, omit_tool
from dialects.chat.reasoning import effort_of, nearest
from dialects.chat.text_only import check_text_only
from dialects.chat.turns import call_names, urls
from dialects.converse.request.decode import ADDITIONAL
from dialects.converse.request.message_encode import write_cache, write_conversation

_FOREIGN = (
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "logprobs",
    "top_logprobs",
    "top_k",
    "store",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "prediction",
    "truncation",
    "tool_calls_max",
    "include",
    "verbosity",
    "reasoning",
    "user",
)
# Fields of some models outside the dialect (docs.aws.amazon.com, "Request and response schema" of
# Amazon Nova 2, and "OpenAI models", 2026-11).
_ADDITIONAL: Mapping[str, frozenset[Flag]] = {
    "top_k": frozenset({"nova_top_k"}),
    "reasoning": frozenset({"nova_reasoning", "additional_effort"}),
}
_TOP_K_MAX = 128
_TIERS = ("default", "flex", "priority")
_SENTENCE = "Answer with one JSON object only, without any other text."


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream. Raises RequestFault `unsupported_capability` for audio and
    image output, stored turns, web search, server tools of other dialects, and parts that the
    dialect cannot express.
    """
    return _RequestWriter(request, upstream).encode()


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return the URLs of all media, because Bedrock fetches none."""
    return urls(request, lambda part: isinstance(part.source, Url))


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._marks = "cache_control" in upstream.flags
        self._body: JsonObject = {}
        foreign = [name for name in _FOREIGN if not self._is_additional(name)]
        self._dropped = list(dropped_names(request, "converse", *foreign, marks=self._marks))

    def encode(self) -> Encoded:
        check_text_only(self._request)
        system, messages = write_conversation(self._request, self._sentence(), marks=self._marks)
        self._body["messages"] = messages
        if system:
            self._body["system"] = system
        self._write_sampling()
        self._write_tools()
        self._write_rest()
        self._write_additional()
        return Encoded(msgspec.json.encode(self._body), tuple(dict.fromkeys(self._dropped)))

    def _report_dropped(self, field: str) -> None:
        self._dropped.append(client_name(self._request, field))

    def _is_additional(self, field: str) -> bool:
        """Return whether the dialect lacks a field that the model supports."""
        return not _ADDITIONAL.get(field, frozenset()).isdisjoint(self._upstream.flags)

    def _sentence(self) -> str:
        """Return a sentence that asks for JSON, because few models on Bedrock enforce a schema; ""
        if none is needed."""
        form = self._request.output_form
        if form is None:
            return ""
        if not isinstance(form, JsonSchema):
            return _SENTENCE
        schema = msgspec.json.encode(form.schema).decode()
        return f"{_SENTENCE} It must fit this JSON Schema: {schema}"

    def _write_sampling(self) -> None:
        request, upstream = self._request, self._upstream
        config: JsonObject = {}
        cap = upstream.output_cap or request.output_cap or upstream.output_max
        if cap is not None:
            config["maxTokens"] = cap
        if request.temperature is not None:
            low = "temperature_max_1" in upstream.flags
            config["temperature"] = min(request.temperature, 1) if low else request.temperature
        if request.top_p is not None:
            config["topP"] = request.top_p
        stops = [text for text in request.stop if text]
        if stops:
            config["stopSequences"] = stops
        if config:
            self._body["inferenceConfig"] = config

    # ---- tools

    def _write_tools(self) -> None:
        choice, tools = self._request.tool_choice, self._allowed_tools(self._request.tool_choice)
        if choice is not None and choice.mode == "none" and not self._has_calls():
            tools = []
        elif not tools and self._has_calls():
            # The dialect requires the tools of calls that the history has.
            names = dict.fromkeys(call_names(self._request.messages).values())
            tools = [_write_spec(FunctionTool(name)) for name in names or ("tool",)]
        if not tools:
            return
        self._body["toolConfig"] = {"tools": tools}
        written = _write_choice(choice)
        if written is not None:
            self._body["toolConfig"]["toolChoice"] = written
        elif choice is not None and choice.mode == "none":
            self._report_dropped("tool_choice")
        if self._request.parallel_tool_calls is False:
            self._report_dropped("parallel_tool_calls")

    def _allowed_tools(self, choice: ToolChoice | None) -> list[JsonObject]:
        """Return the tools that the model may call."""
        # The dialect can require one tool only; if the client allows several, only those are
        # offered.
        names = choice.names if choice is not None else ()
        if choice is not None and choice.mode == "required" and len(names) == 1:
            names = ()
        tools: list[JsonObject] = []
        for tool in self._request.tools:
            if not isinstance(tool, FunctionTool):
                self._dropped.append(omit_tool(self._request, tool))
            elif not names or tool.name in names:
                if tool.strict:
                    self._dropped.append("strict")
                tools.append(_write_spec(tool))
                tools += write_cache(tool.cache) if self._marks else []
        return tools

    def _has_calls(self) -> bool:
        parts = (part for message in self._request.messages for part in message.parts)
        return any(isinstance(part, ToolCall | ToolResult) for part in parts)

    # ---- the rest

    def _write_rest(self) -> None:
        request = self._request
        if request.choices is not None and request.choices > 1:
            self._report_dropped("choices")
        if request.service_tier in _TIERS:
            self._body["serviceTier"] = {"type": request.service_tier}
        elif request.service_tier not in (None, "auto"):
            self._report_dropped("service_tier")

    def _write_additional(self) -> None:
        """Write the fields that depend on the model."""
        request, flags = self._request, self._upstream.flags
        fields: JsonObject = {}
        # A value below 0 turns it off, as does leaving the field out.
        if request.top_k is not None and request.top_k >= 0 and "nova_top_k" in flags:
            fields["inferenceConfig"] = {"topK": min(request.top_k, _TOP_K_MAX)}
        effort = effort_of(request.reasoning)
        if effort is not None:
            effort = nearest(effort, self._upstream.efforts)
        if effort is not None and "nova_reasoning" in flags:
            on: JsonObject = {"type": "enabled", "maxReasoningEffort": effort}
            fields["reasoningConfig"] = {"type": "disabled"} if effort == "none" else on
        elif effort is not None and "additional_effort" in flags:
            fields["reasoning_effort"] = effort
        fields |= self._write_own()
        if fields:
            self._body[ADDITIONAL] = fields

    def _write_own(self) -> JsonObject:
        """Write the client's members that only this dialect has; return its additional fields."""
        fields: JsonObject = {}
        own = self._request.extra if self._request.dialect == "converse" else {}
        for name, value in own.items():
            inside = name.removeprefix(f"{ADDITIONAL}.")
            (self._body if inside == name else fields)[inside] = value
        return fields


def _write_spec(tool: FunctionTool) -> JsonObject:
    schema = tool.schema or {"properties": {}}
    spec: JsonObject = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    # The schema of the arguments must describe an object.
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object"} | schema}
    return {"toolSpec": spec}


def _write_choice(choice: ToolChoice | None) -> JsonObject | None:
    """Return the tool choice; None for the default, and for `none`, which the dialect lacks."""
    if choice is None or choice.mode == "none":
        return None
    if choice.mode == "required":
        single = len(choice.names) == 1
        return {"tool": {"name": choice.names[0]}} if single else {"any": {}}
    return {"auto": {}}
