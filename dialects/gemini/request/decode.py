"""Decode a generateContent request of the gemini dialect into neutral form. Members are accepted in
camelCase and snake_case. Members without a neutral counterpart are kept in `extra`, by path
(`generationConfig.imageConfig`), for an upstream of this dialect.
"""

from typing import Final, Literal

from dialects.chat.bounds import CHOICES_MAX, OUTPUT_CAP_MAX
from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    ChatRequest,
    FunctionTool,
    JsonObject,
    JsonSchema,
    OwnTool,
    ReasoningSettings,
    Tool,
    ToolChoice,
    WebSearch,
)
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import INTEGER_MAX, read_stops
from dialects.gemini.names import camel, read_objects
from dialects.gemini.request.contents_decode import ContentsReader
from dialects.gemini.request.schema import read_schema
from dialects.gemini.request.thinking import read_thinking
from dialects.json.body import read_body
from dialects.json.members import Members, read_members

STOPS_MAX: Final = 5
TOP_K_MAX: Final = 1_000_000

_MODES: Final[dict[str, Literal["auto", "none", "required"]]] = {
    "AUTO": "auto",
    "VALIDATED": "auto",
    "NONE": "none",
    "ANY": "required",
}
_MODE_UNSAID: Final = "MODE_UNSPECIFIED"
_SEARCHES: Final = ("googleSearch", "googleSearchRetrieval")
_JSON: Final = "application/json"
_SCHEMAS: Final = ("responseJsonSchema", "_responseJsonSchema", "responseSchema")
# `max_cost` and `models` are our own; the model is in the path.
_KNOWN: Final = frozenset(
    {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "model",
        "maxCost",
        "models",
    }
)
_KNOWN_CONFIG: Final = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "candidateCount",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "_responseJsonSchema",
        "responseLogprobs",
        "logprobs",
        "responseModalities",
        "speechConfig",
        "thinkingConfig",
    }
)
_KNOWN_FUNCTION: Final = frozenset({"name", "description", "parameters", "parametersJsonSchema"})


def decode(
    raw: bytes, *, model: str, stream: bool, request_id: str, received_at: int
) -> ChatRequest:
    """Decode a request that will be translated, with checks of every type and value. `model` and
    `stream` come from the path. Raises RequestFault. The caller checks whether the model exists.
    """
    read_body(raw)
    body = camel(read_members(raw))
    reader = ContentsReader(request_id)
    messages = (*reader.system(body), *reader.messages(body))
    check_sizes(messages, "contents")
    config = camel(body.object("generationConfig") or Members({}, "generationConfig"))
    extra = body.rest(_KNOWN)
    extra |= {config.at(name): value for name, value in config.rest(_KNOWN_CONFIG).items()}
    tools = _read_tools(body, extra)
    choice = _read_tool_choice(body, extra)
    form = _read_output_form(config, extra)
    return ChatRequest(
        dialect="gemini",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        output_form=form,
        output_cap=config.integer("maxOutputTokens", 1, OUTPUT_CAP_MAX),
        temperature=config.number("temperature", 0, 2),
        top_p=config.number("topP", 0, 1),
        top_k=config.integer("topK", 0, TOP_K_MAX),
        seed=config.integer("seed", -INTEGER_MAX - 1, INTEGER_MAX),
        presence_penalty=config.number("presencePenalty", -2, 2),
        frequency_penalty=config.number("frequencyPenalty", -2, 2),
        stop=read_stops(config, "stopSequences", STOPS_MAX),
        choices=config.integer("candidateCount", 1, CHOICES_MAX),
        reasoning=_read_reasoning(config),
        logprobs=config.boolean("responseLogprobs"),
        top_logprobs=config.integer("logprobs", 0, 20),
        modalities=_read_modalities(config),
        audio=_read_audio(config),
        stream=stream,
        include_usage=stream,
        extra=extra | reader.unknown_members,
    )


def _read_reasoning(config: Members) -> ReasoningSettings | None:
    thinking = config.object("thinkingConfig")
    return None if thinking is None else read_thinking(camel(thinking))


def _read_modalities(config: Members) -> tuple[str, ...]:
    words = tuple(word.lower() for word in config.texts("responseModalities"))
    for i, word in enumerate(words):
        if word not in ("text", "audio", "image"):
            config.refuse_value(f"responseModalities[{i}]", "must be TEXT, IMAGE or AUDIO")
    return words


def _read_audio(config: Members) -> AudioOutput | None:
    speech = config.object("speechConfig")
    if speech is None:
        return None
    inner: Members | None = camel(speech)
    for name in ("voiceConfig", "prebuiltVoiceConfig"):
        inner = None if inner is None else inner.object(name)
        inner = None if inner is None else camel(inner)
    voice = None if inner is None else inner.text("voiceName")
    return AudioOutput(voice or "", "", speech.value)


def _read_output_form(config: Members, extra: JsonObject) -> AnyJson | JsonSchema | None:
    """Read a schema in any form, or JSON of any kind. Other response types exist only in Gemini,
    and go to `extra`."""
    media_type = config.text("responseMimeType")
    for name in _SCHEMAS:
        schema = config.json(name)
        if schema is not None and media_type in (None, _JSON):
            return JsonSchema(read_schema(schema) if name == "responseSchema" else schema)
        if schema is not None:
            extra[config.at(name)] = schema
    if media_type not in (None, "text/plain", _JSON):
        extra[config.at("responseMimeType")] = media_type
    return AnyJson() if media_type == _JSON else None


def _read_tools(body: Members, extra: JsonObject) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for tool in read_objects(body, "tools"):
        tools += [
            _read_function(function, extra)
            for function in read_objects(tool, "functionDeclarations")
        ]
        for name, value in tool.rest(("functionDeclarations",)).items():
            own = {name: value}
            if name in _SEARCHES:
                tools.append(_read_search(camel(tool.object(name) or Members({})), own))
            else:
                tools.append(OwnTool("gemini", own))
    names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    if len(names) != len(set(names)):
        body.refuse_value("tools", "must not name two functions alike")
    return tuple(tools)


def _read_search(search: Members, own: JsonObject) -> WebSearch:
    return WebSearch("gemini", own, blocked_domains=search.texts("excludeDomains"))


def _read_function(function: Members, extra: JsonObject) -> FunctionTool:
    name = function.tool_name()
    for other, value in function.rest(_KNOWN_FUNCTION).items():
        extra[f"tools.functionDeclarations.{other}"] = value
    schema = function.json("parametersJsonSchema")
    if schema is None and (old := function.json("parameters")) is not None:
        schema = read_schema(old)
    return FunctionTool(name=name, description=function.text("description"), schema=schema)


def _read_tool_choice(body: Members, extra: JsonObject) -> ToolChoice | None:
    outer = camel(body.object("toolConfig") or Members({}, "toolConfig"))
    for name, value in outer.rest(("functionCallingConfig",)).items():
        extra[outer.at(name)] = value
    inner = outer.object("functionCallingConfig")
    if inner is None:
        return None
    config = camel(inner)
    names = config.texts("allowedFunctionNames")
    mode = (config.text("mode") or _MODE_UNSAID).upper()
    if mode == _MODE_UNSAID:
        return ToolChoice("auto", names) if names else None
    if mode not in _MODES:
        config.refuse_value("mode", "must be one of " + ", ".join(_MODES))
    return ToolChoice(_MODES[mode], names)


def is_nested_member(name: str) -> bool:
    """Return whether an entry of `extra` names members of parts or functions, which cannot be
    restored.
    """
    return name.startswith(("contents.", "tools."))
