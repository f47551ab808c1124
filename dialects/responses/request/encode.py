"""Write a neutral request in the responses dialect.

A client of another dialect stores no response at the provider: `store` is false unless it sets it,
which is that dialect's default. The reasoning of models that have some is requested with its seal,
so that it can be sent back with the next turn. `strict` is always written, because the dialects'
defaults differ.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    AnyJson,
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
from dialects.chat.client_names import client_name, dropped_names, is_set, lost_of_search, omit_tool
from dialects.chat.reasoning import effort_of, nearest, thinks
from dialects.errors.errors import RequestFault
from dialects.responses.items_encode import write_conversation
from dialects.responses.request.decode import LOGPROBS_WORD
from dialects.responses.request.read import OUTPUT_CAP_MIN

_SEALS_WORD: Final = "reasoning.encrypted_content"
_SAMPLING: Final = ("temperature", "top_p", "logprobs", "top_logprobs")
# Fields that have the same name in the dialect, and are sent unchanged.
_COPIED: Final = (
    "temperature",
    "top_p",
    "top_logprobs",
    "parallel_tool_calls",
    "user",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
    "truncation",
)
_FOREIGN: Final = (
    "top_k",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "prediction",
)
_SENTENCE: Final = "Answer with one JSON object only, without any other text."
_NAME_UNSAID: Final = "answer"
# The web search limits that the dialect supports.
_SEARCH_LIMITS: Final = (
    "context_size",
    "allowed_domains",
    "city",
    "region",
    "country",
    "timezone",
)


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream. Raises RequestFault `unsupported_capability` for an
    unresolved earlier response, audio output of a model without it, server tools of other dialects,
    and parts that the dialect cannot express.
    """
    return _RequestWriter(request, upstream).encode()


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return nothing: this dialect accepts URLs of pictures and files."""
    return ()


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._same = request.dialect == "responses"
        self._body: dict[str, Any] = {}
        self._dropped: list[str] = []
        self._omitted: set[str] = set()
        self._sentence = ""

    def encode(self) -> Encoded:
        self._refuse()
        self._choose_omitted()
        self._copy_fields()
        self._write_reasoning()
        self._write_include()
        self._write_text()
        self._write_tools()
        instructions, items = write_conversation(self._request)
        texts = [text for text in (instructions, self._sentence) if text]
        head: dict[str, Any] = {"model": self._upstream.model}
        if texts:
            head["instructions"] = "\n\n".join(texts)
        extra = self._request.extra if self._same else {}
        body = head | {"input": items} | extra | self._body
        return Encoded(msgspec.json.encode(body), tuple(dict.fromkeys(self._dropped)))

    def _has(self, flag: Flag) -> bool:
        return flag in self._upstream.flags

    def _refuse(self) -> None:
        request = self._request
        if request.previous_response_id is not None:
            raise _unsupported("previous_response_id", "the earlier turns are not stored here")
        speaks = request.audio is not None or "audio" in request.modalities
        if speaks and not self._has("audio_output"):
            name = client_name(request, "audio" if request.audio else "modalities")
            raise _unsupported(name, "this model cannot generate audio")

    def _choose_omitted(self) -> None:
        """Choose the fields that this model does not accept; those that were set are named as
        dropped."""
        request, fields = self._request, list(_FOREIGN)
        if (request.choices or 1) > 1:
            fields.append("choices")
        if "image" in request.modalities:
            fields.append("modalities")
        if self._has("no_sampling") and self._effort() != "none":
            fields += _SAMPLING
        if self._has("no_parallel_tools"):
            fields.append("parallel_tool_calls")
        if self._has("no_reasoning_effort"):
            fields.append("reasoning")
        self._omitted.update(fields)
        self._dropped += dropped_names(request, "responses", *fields)

    def _is_used(self, field: str) -> bool:
        return field not in self._omitted and is_set(self._request, field)

    def _effort(self) -> str | None:
        effort = effort_of(self._request.reasoning)
        return None if effort is None else nearest(effort, self._upstream.efforts)

    def _copy_fields(self) -> None:
        request, body = self._request, self._body
        for field in _COPIED:
            if self._is_used(field):
                body[field] = getattr(request, field)
        if self._has("temperature_max_1") and "temperature" in body:
            body["temperature"] = min(body["temperature"], 1)
        if request.store is not None or not self._same:
            body["store"] = bool(request.store)
        if request.tool_calls_max is not None:
            body["max_tool_calls"] = request.tool_calls_max
        cap = self._upstream.output_cap or request.output_cap
        if cap is not None:
            body["max_output_tokens"] = max(cap, OUTPUT_CAP_MIN)
        if request.stream:
            body["stream"] = True
        if self._has("audio_output") and request.modalities:
            body["modalities"] = request.modalities
        if request.audio is not None:
            spoken = {"voice": request.audio.voice, "format": request.audio.format}
            body["audio"] = {name: value for name, value in spoken.items() if value}

    def _write_reasoning(self) -> None:
        settings = self._request.reasoning
        if settings is None or not self._is_used("reasoning"):
            return
        reasoning: dict[str, Any] = {}
        if (effort := self._effort()) is not None:
            reasoning["effort"] = effort
        summary = settings.summary
        if summary is None and self._shows_reasoning():
            summary = "auto"
        if summary is not None:
            reasoning["summary"] = summary
        if reasoning:
            self._body["reasoning"] = reasoning

    def _shows_reasoning(self) -> bool:
        """Return whether the client sees reasoning: gemini's clients must request it, others see
        what they ask for."""
        settings = self._request.reasoning
        if self._same or settings is None or not thinks(self._request):
            return False
        return bool(settings.shown) if self._request.dialect == "gemini" else True

    def _write_include(self) -> None:
        include = list(self._request.include)
        if self._is_used("logprobs") and self._request.logprobs:
            include.append(LOGPROBS_WORD)
        reasons = self._has("no_sampling") or bool(self._upstream.efforts)
        wanted = reasons or thinks(self._request)
        if not self._same and wanted and self._effort() != "none":
            include.append(_SEALS_WORD)
        if include:
            self._body["include"] = list(dict.fromkeys(include))

    def _write_text(self) -> None:
        request = self._request
        text: dict[str, Any] = {}
        form = request.output_form
        if isinstance(form, JsonSchema) and not self._has("json_object_only"):
            text["format"] = write_schema(form)
        elif form is not None:
            text["format"] = {"type": "json_object"}
            if isinstance(form, JsonSchema):
                schema = msgspec.json.encode(form.schema).decode()
                self._sentence = f"{_SENTENCE} It must fit this JSON Schema: {schema}"
            elif not self._mentions_json():
                self._sentence = _SENTENCE
        if request.verbosity is not None:
            text["verbosity"] = request.verbosity
        if text:
            self._body["text"] = text

    def _mentions_json(self) -> bool:
        """Return whether a message contains the word JSON, which the upstream requires."""
        texts = (getattr(part, "text", "") for m in self._request.messages for part in m.parts)
        return any("json" in text.lower() for text in texts)

    def _write_tools(self) -> None:
        tools = []
        for tool in self._request.tools:
            if isinstance(tool, OwnTool) and tool.dialect != "responses":
                self._dropped.append(omit_tool(self._request, tool))
                continue
            tools.append(write_tool(tool))
            if isinstance(tool, WebSearch) and tool.form != "responses":
                self._dropped += lost_of_search(tool, *_SEARCH_LIMITS)
        if tools:
            self._body["tools"] = tools
        if self._request.tool_choice is not None:
            self._body["tool_choice"] = write_choice(self._request.tool_choice)


def write_form(form: AnyJson | JsonSchema | None) -> JsonObject:
    """Return the `text.format` of an output form."""
    if isinstance(form, JsonSchema):
        return write_schema(form)
    return {"type": "text" if form is None else "json_object"}


def write_schema(form: JsonSchema) -> JsonObject:
    """Return the flat form of a JSON schema."""
    written: JsonObject = {"type": "json_schema", "name": form.name or _NAME_UNSAID}
    written["schema"] = form.schema
    if form.strict is not None:
        written["strict"] = form.strict
    if form.description is not None:
        written["description"] = form.description
    return written


def write_tool(tool: Tool) -> JsonObject:
    """Return a tool; server tools are those of this dialect."""
    match tool:
        case FunctionTool():
            return _write_function(tool)
        case OwnTool(value=value):
            return value
        case WebSearch(form="responses", own=own):
            return own
        case _:
            return _write_search(tool)


def _write_function(tool: FunctionTool) -> JsonObject:
    strict = bool(tool.strict)
    schema = tool.schema
    if schema is None:
        schema = {"type": "object", "properties": {}}
        if strict:
            schema |= {"additionalProperties": False}
    written: JsonObject = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    return written | {"parameters": schema, "strict": strict}


def _write_search(search: WebSearch) -> JsonObject:
    written: JsonObject = {"type": "web_search"}
    place: Mapping[str, str | None] = {
        "city": search.city,
        "region": search.region,
        "country": search.country,
        "timezone": search.timezone,
    }
    known = {name: value for name, value in place.items() if value is not None}
    if search.allowed_domains:
        written["filters"] = {"allowed_domains": search.allowed_domains}
    if known:
        written["user_location"] = {"type": "approximate"} | known
    if search.context_size is not None:
        written["search_context_size"] = search.context_size
    return written


def write_choice(choice: ToolChoice) -> str | JsonObject:
    """Return a tool choice."""
    if not choice.names:
        return choice.mode
    functions = [{"type": "function", "name": name} for name in choice.names]
    if choice.mode == "required" and len(functions) == 1:
        return functions[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": functions}


def _unsupported(param: str, what: str) -> RequestFault:
    return RequestFault("unsupported_capability", param, what)
