"""Write a neutral chat request in the interactions dialect for one upstream model. Google stores
nothing of it unless the client, of this dialect too, asks for it.
"""

from typing import Final

import msgspec

from dialects.chat.chat import (
    ChatRequest,
    Effort,
    Encoded,
    FunctionTool,
    JsonObject,
    JsonSchema,
    OwnTool,
    Upstream,
    Url,
    WebSearch,
)
from dialects.chat.client_names import client_name, dropped_names, is_set, lost_of_search, omit_tool
from dialects.chat.google_addresses import reads_address
from dialects.chat.reasoning import effort_of, nearest, thinks
from dialects.chat.turns import urls
from dialects.errors.errors import RequestFault
from dialects.interactions.request.read import STOPS_MAX
from dialects.interactions.steps_encode import write_conversation

# Fields without a counterpart.
_FOREIGN: Final = (
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "user",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "prediction",
    "verbosity",
    "truncation",
    "tool_calls_max",
    "include",
)
_COPIED: Final = ("temperature", "top_p")
_LEVELS: Final[tuple[Effort, ...]] = ("minimal", "low", "medium", "high", "xhigh")
_SEED_MAX: Final = 2**31 - 1
_MODES: Final = {"auto": "auto", "none": "none", "required": "any"}
_TIERS: Final = {"default": "standard", "flex": "flex", "priority": "priority"}


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream. Raises RequestFault `unsupported_capability` for server
    tools of other dialects and parts that the dialect cannot express.
    """
    return _RequestWriter(request, upstream).encode()


def urls_to_fetch(request: ChatRequest) -> tuple[str, ...]:
    """Return the URLs that Google does not fetch itself: all except gs://, its files and
    YouTube.
    """
    return urls(
        request,
        lambda part: isinstance(part.source, Url) and not reads_address(request, part.source),
    )


def write_level(effort: Effort, efforts: tuple[Effort, ...]) -> Effort:
    """Return the thinking level of a model for an effort."""
    has = tuple(level for level in efforts if level in _LEVELS) or _LEVELS
    return nearest(effort, has)


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._same = request.dialect == "interactions"
        self._config: JsonObject = {}
        self._dropped: list[str] = []

    def encode(self) -> Encoded:
        request = self._request
        if request.previous_response_id is not None:
            what = "previous_response_id: the earlier turns are not stored here"
            raise RequestFault("unsupported_capability", "previous_response_id", what)
        self._drop_foreign()
        seal_due = "thought_seal_needed" in self._upstream.flags
        system, steps = write_conversation(request, seal_due=seal_due)
        body: JsonObject = {"model": self._upstream.model, "input": steps}
        if system is not None:
            body["system_instruction"] = system
        body["store"] = bool(request.store) and self._same
        if request.stream:
            body["stream"] = True
        self._write_tools(body)
        self._write_sampling()
        self._write_reasoning()
        self._write_form(body)
        self._write_tier(body)
        self._write_extra(body)
        if self._config:
            body["generation_config"] = self._config
        return Encoded(msgspec.json.encode(body), tuple(dict.fromkeys(self._dropped)))

    def _report_dropped(self, field: str) -> None:
        self._dropped.append(client_name(self._request, field))

    def _drop_foreign(self) -> None:
        fields = list(_FOREIGN)
        if (self._request.choices or 1) > 1:
            fields.append("choices")
        if self._request.store and not self._same:
            fields.append("store")
        self._dropped += dropped_names(self._request, "interactions", *fields)

    def _write_sampling(self) -> None:
        request, config = self._request, self._config
        for field in _COPIED:
            if is_set(request, field):
                config[field] = getattr(request, field)
        cap = self._upstream.output_cap or request.output_cap
        if cap is not None:
            config["max_output_tokens"] = cap
        if request.stop:
            config["stop_sequences"] = request.stop[:STOPS_MAX]
        if len(request.stop) > STOPS_MAX:
            self._report_dropped("stop")
        if request.seed is not None and -_SEED_MAX <= request.seed <= _SEED_MAX:
            config["seed"] = request.seed
        elif request.seed is not None:
            self._report_dropped("seed")

    def _write_reasoning(self) -> None:
        settings = self._request.reasoning
        effort = effort_of(settings)
        if effort is not None:
            self._config["thinking_level"] = write_level(effort, self._upstream.efforts)
        shown = None if settings is None else settings.shown
        if shown is None and not self._same:
            shown = self._shows_reasoning()
        if shown is not None:
            self._config["thinking_summaries"] = "auto" if shown else "none"

    def _shows_reasoning(self) -> bool | None:
        """Return whether to request summaries, by what each dialect shows its clients: chat always
        shows reasoning, messages if thinking was requested, responses if a summary was."""
        settings, thinking = self._request.reasoning, thinks(self._request)
        if thinking is False:
            return None
        if self._request.dialect == "responses":
            return True if settings is not None and settings.summary is not None else None
        known = "thinking_level" in self._upstream.flags or self._upstream.budget_max is not None
        return True if thinking or (self._request.dialect == "openai" and known) else None

    def _write_form(self, body: JsonObject) -> None:
        request, forms = self._request, []
        form = request.output_form
        modalities = request.modalities
        if "audio" in modalities and not self._same:
            # A speech model returns no text; clients of other dialects must also request text.
            modalities = tuple(word for word in modalities if word != "text")
        if form is not None:
            text: JsonObject = {"type": "text", "mime_type": "application/json"}
            forms.append(text | ({"schema": form.schema} if isinstance(form, JsonSchema) else {}))
        elif "text" in modalities:
            forms.append({"type": "text"})
        forms += [{"type": word} for word in modalities if word != "text"]
        if forms:
            body["response_format"] = forms[0] if len(forms) == 1 else forms
        if request.audio is not None and self._same:
            self._config["speech_config"] = request.audio.own
        elif request.audio is not None and request.audio.voice:
            voice = {"voice": request.audio.voice.capitalize()}
            self._config["speech_config"] = {"speakers": [voice]}

    def _write_tier(self, body: JsonObject) -> None:
        tier = self._request.service_tier
        if tier in _TIERS:
            body["service_tier"] = _TIERS[tier]
        elif tier not in (None, "auto"):
            self._report_dropped("service_tier")

    def _write_tools(self, body: JsonObject) -> None:
        request, tools = self._request, []
        for tool in request.tools:
            match tool:
                case FunctionTool():
                    tools.append(self._function(tool))
                case OwnTool(dialect="interactions", value=value):
                    tools.append(value)
                case OwnTool():
                    self._dropped.append(omit_tool(request, tool))
                case WebSearch(form="interactions", own=own):
                    tools.append(own)
                case _:
                    self._dropped += lost_of_search(tool)
                    tools.append({"type": "google_search"})
        if tools:
            body["tools"] = tools
        choice = request.tool_choice
        if choice is not None and tools:
            mode = _MODES[choice.mode]
            self._config["tool_choice"] = (
                {"allowed_tools": {"mode": mode, "tools": choice.names}} if choice.names else mode
            )
        if request.parallel_tool_calls is False:
            self._report_dropped("parallel_tool_calls")

    def _function(self, tool: FunctionTool) -> JsonObject:
        if tool.strict:
            self._dropped.append("strict")
        function: JsonObject = {"type": "function", "name": tool.name}
        function |= {} if tool.description is None else {"description": tool.description}
        return function if tool.schema is None else function | {"parameters": tool.schema}

    def _write_extra(self, body: JsonObject) -> None:
        """Restore the members that only this dialect has."""
        if not self._same:
            return
        for path, value in self._request.extra.items():
            outer, _, name = path.rpartition(".")
            if outer == "generation_config":
                self._config[name] = value
            elif outer.startswith("response_format"):
                self._restore_form(body, path, value)
            else:
                body[path] = value

    def _restore_form(self, body: JsonObject, path: str, value: object) -> None:
        """Restore a member of the form, if there is only one. The members of several forms cannot
        be told apart."""
        form = body.get("response_format")
        if isinstance(form, dict):
            form[path.rpartition(".")[2]] = value
        else:
            self._dropped.append(path)
