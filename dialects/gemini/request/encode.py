"""Write a neutral chat request in the gemini dialect for one upstream model. The path contains the
model and whether the answer is streamed.
"""

import re
from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    AudioOutput,
    ChatRequest,
    Encoded,
    Flag,
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
from dialects.chat.turns import urls
from dialects.errors.errors import RequestFault
from dialects.gemini.request.contents_encode import write_contents
from dialects.gemini.request.decode import STOPS_MAX, is_nested_member
from dialects.gemini.request.schema import cut_schema
from dialects.gemini.request.thinking import write_thinking

# Gemini 2 refuses the two together; Gemini 3 requires an answer that no other dialect can express.
_NO_SEARCH: Final = "tools: this model does not search the web beside functions of the client"
# Fields without a counterpart.
_FOREIGN: Final = (
    "logit_bias",
    "user",
    "service_tier",
    "store",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "prediction",
    "verbosity",
    "truncation",
    "tool_calls_max",
    "include",
)
# Fields that are sent unchanged, with their names in this dialect.
_COPIED: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "choices": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_SEED_MAX: Final = 2**31 - 1
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# The voices that a client may name; any other name lets the model choose.
_VOICES: Final = re.compile(
    "Achernar|Achird|Algenib|Algieba|Alnilam|Aoede|Autonoe|Callirrhoe|Charon|Despina|Enceladus"
    "|Erinome|Fenrir|Gacrux|Iapetus|Kore|Laomedeia|Leda|Orus|Puck|Pulcherrima|Rasalgethi|Sadachbia"
    "|Sadaltager|Schedar|Sulafat|Umbriel|Vindemiatrix|Zephyr|Zubenelgenubi"
)
_NO_PARAMETERS: Final = frozenset({"type", "properties", "required", "additionalProperties"})


def encode(request: ChatRequest, upstream: Upstream) -> Encoded:
    """Return the body for the upstream. Raises RequestFault `unsupported_capability` for server
    tools of other dialects and parts that the dialect cannot express, `invalid_type` for results of
    calls that are not in the history.
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


class _RequestWriter:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._upstream = upstream
        self._same = request.dialect == "gemini"
        self._body: JsonObject = {}
        self._config: JsonObject = {}
        self._dropped: list[str] = []

    def encode(self) -> Encoded:
        request, body = self._request, self._body
        if request.previous_response_id is not None:
            what = "previous_response_id: the earlier turns are not stored here"
            raise RequestFault("unsupported_capability", "previous_response_id", what)
        self._dropped += dropped_names(request, "gemini", *_FOREIGN)
        system, contents = write_contents(request, self._upstream)
        if system is not None:
            body["systemInstruction"] = system
        body["contents"] = contents
        self._write_tools()
        self._write_sampling()
        self._write_output()
        thinking = write_thinking(request, self._upstream)
        if thinking:
            self._config["thinkingConfig"] = thinking
        self._write_extra()
        if self._config:
            body["generationConfig"] = self._config
        return Encoded(msgspec.json.encode(body), tuple(dict.fromkeys(self._dropped)))

    def _has(self, flag: Flag) -> bool:
        return flag in self._upstream.flags

    def _report_dropped(self, field: str) -> None:
        self._dropped.append(client_name(self._request, field))

    def _write_sampling(self) -> None:
        request, config = self._request, self._config
        for field, name in _COPIED.items():
            if is_set(request, field):
                config[name] = getattr(request, field)
        cap = self._upstream.output_cap or request.output_cap
        if cap is not None:
            config["maxOutputTokens"] = cap
        if request.stop:
            config["stopSequences"] = request.stop[:STOPS_MAX]
        if len(request.stop) > STOPS_MAX:
            self._report_dropped("stop")
        if request.seed is not None and -_SEED_MAX <= request.seed <= _SEED_MAX:
            config["seed"] = request.seed
        elif request.seed is not None:
            self._report_dropped("seed")

    def _write_output(self) -> None:
        request, config = self._request, self._config
        form = request.output_form
        if form is not None:
            config["responseMimeType"] = "application/json"
        if isinstance(form, JsonSchema):
            old = self._has("no_parameters_json_schema")
            name = "responseSchema" if old else "responseJsonSchema"
            config[name] = cut_schema(form.schema) if old else form.schema
        modalities = request.modalities
        if "audio" in modalities and not self._same:
            # A speech model returns no text; clients of other dialects must also request text.
            modalities = tuple(word for word in modalities if word != "text")
        if modalities:
            config["responseModalities"] = [word.upper() for word in modalities]
        if request.audio is not None:
            self._write_voice(request.audio)

    def _write_voice(self, audio: AudioOutput) -> None:
        voice = audio.voice.capitalize()
        if self._same:
            self._config["speechConfig"] = audio.own
        elif _VOICES.fullmatch(voice):
            named = {"prebuiltVoiceConfig": {"voiceName": voice}}
            self._config["speechConfig"] = {"voiceConfig": named}

    def _write_tools(self) -> None:
        request = self._request
        functions, others = [], []
        for tool in request.tools:
            match tool:
                case FunctionTool():
                    functions.append(self._function(tool))
                case OwnTool(dialect="gemini", value=value):
                    others.append(value)
                case OwnTool():
                    self._dropped.append(omit_tool(request, tool))
                case WebSearch(form="gemini", own=own):
                    others.append(own)
                case _ if any(isinstance(other, FunctionTool) for other in request.tools):
                    self._dropped.append(omit_tool(request, tool, _NO_SEARCH))
                case _:
                    self._dropped += lost_of_search(tool)
                    others.append({"googleSearch": {}})
        tools: list[JsonObject] = [{"functionDeclarations": functions}] if functions else []
        if tools or others:
            self._body["tools"] = tools + others
        choice = request.tool_choice
        if choice is not None and functions:
            mode = _MODES[choice.mode]
            config: dict[str, Any] = {"mode": mode}
            if choice.names:
                config["allowedFunctionNames"] = choice.names
                # AUTO takes no names; VALIDATED leaves the choice to the model as well.
                config["mode"] = "VALIDATED" if mode == "AUTO" else mode
            self._body["toolConfig"] = {"functionCallingConfig": config}
        if request.parallel_tool_calls is False:
            self._report_dropped("parallel_tool_calls")

    def _function(self, tool: FunctionTool) -> JsonObject:
        function: JsonObject = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        if tool.strict:
            self._dropped.append("strict")
        schema = tool.schema
        if schema is None or (not self._same and _has_no_parameters(schema)):
            return function
        if self._has("no_parameters_json_schema"):
            return function | {"parameters": cut_schema(schema)}
        return function | {"parametersJsonSchema": schema}

    def _write_extra(self) -> None:
        """Restore the members that only this dialect has."""
        if not self._same:
            return
        places = {"generationConfig": self._config}
        for path, value in self._request.extra.items():
            outer, _, name = path.rpartition(".")
            if is_nested_member(path):
                self._dropped.append(path)
            elif outer:
                place = places.get(outer)
                if place is None:
                    place = places[outer] = self._body.setdefault(outer, {})
                place[name] = value
            else:
                self._body[name] = value


def _has_no_parameters(schema: JsonObject) -> bool:
    """Return whether a schema is the one of a function without parameters."""
    return not schema.get("properties") and _NO_PARAMETERS.issuperset(schema)
