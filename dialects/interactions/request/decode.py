"""Decode a request of the interactions dialect into neutral form. State that only the provider
stores cannot be translated: the steps of an earlier interaction are inserted before the input
before it is read here; `cached_content` is refused. Unknown members are kept in `extra`, by path
(`generation_config.image_config`), for an upstream of this dialect.
"""

from typing import Any, Final, Literal

from dialects.chat.bounds import OUTPUT_CAP_MAX, TOOLS_MAX
from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    ChatRequest,
    Effort,
    FunctionTool,
    JsonObject,
    JsonSchema,
    Message,
    OwnTool,
    ReasoningSettings,
    Text,
    Tool,
    ToolChoice,
    WebSearch,
)
from dialects.chat.media import check_sizes
from dialects.chat.shared_members import INTEGER_MAX, check_names, read_stops
from dialects.interactions.request.read import PREVIOUS, STOPS_MAX
from dialects.interactions.steps_decode import read_steps
from dialects.json.body import read_body
from dialects.json.members import Members, read_members
from dialects.json.raw_json import dicts

_LEVELS: Final[tuple[Effort, ...]] = ("minimal", "low", "medium", "high", "xhigh")
_MODES: Final[dict[str, Literal["auto", "none", "required"]]] = {
    "auto": "auto",
    "validated": "auto",
    "none": "none",
    "any": "required",
}
_MODALITIES: Final = ("text", "image", "audio")
_JSON: Final = "application/json"
_OWN_TOOLS: Final = (
    "code_execution", "url_context", "google_search", "file_search", "google_maps", "computer_use",
    "mcp_server", "retrieval",
)  # fmt: skip
# `max_cost` and `models` are our own.
_KNOWN: Final = frozenset(
    {
        "model",
        "input",
        "system_instruction",
        "tools",
        "generation_config",
        "response_format",
        "response_mime_type",
        "response_modalities",
        "service_tier",
        "stream",
        "store",
        "background",
        PREVIOUS,
        "max_cost",
        "models",
    }
)
_KNOWN_CONFIG: Final = frozenset(
    {
        "temperature",
        "top_p",
        "seed",
        "stop_sequences",
        "max_output_tokens",
        "thinking_level",
        "thinking_summaries",
        "tool_choice",
        "speech_config",
    }
)


def decode(raw: bytes, *, request_id: str, received_at: int) -> ChatRequest:
    """Decode a request that will be translated, with checks of every type and value. The steps of
    an earlier interaction must already be in the input (`state.continue_body`); otherwise the
    earlier id stays in the request, and encoders refuse it. Raises RequestFault. The caller checks
    whether the model exists."""
    read_body(raw)
    body = read_members(raw)
    model = body.required("model", body.text("model") or None)
    _refuse_state(body)
    messages = _read_messages(body)
    config = body.object("generation_config") or Members({}, "generation_config")
    form = _Form(body)
    extra = body.rest(_KNOWN) | form.extra
    extra |= {config.at(name): value for name, value in config.rest(_KNOWN_CONFIG).items()}
    return ChatRequest(
        dialect="interactions",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=messages,
        tools=_read_tools(body),
        tool_choice=_read_tool_choice(config),
        output_form=form.output,
        output_cap=config.integer("max_output_tokens", 1, OUTPUT_CAP_MAX),
        temperature=config.number("temperature", 0, 2),
        top_p=config.number("top_p", 0, 1),
        seed=config.integer("seed", -INTEGER_MAX - 1, INTEGER_MAX),
        stop=read_stops(config, "stop_sequences", STOPS_MAX),
        reasoning=_read_reasoning(config),
        modalities=form.modalities,
        audio=_read_audio(config),
        service_tier=_read_tier(body),
        store=body.boolean("store"),
        previous_response_id=body.text(PREVIOUS),
        stream=bool(body.boolean("stream")),
        include_usage=True,
        extra=extra,
    )


def _refuse_state(body: Members) -> None:
    if body.has("cached_content"):
        what = "is not known to this model's provider"
        body.refuse("unsupported_capability", "cached_content", what)
    if body.boolean("background"):
        body.refuse("unsupported_capability", "background", "is not offered for this model")


def _read_messages(body: Members) -> tuple[Message, ...]:
    if not body.has("input", PREVIOUS):
        body.refuse("missing_parameter", "input", "is required")
    messages = read_steps(body, PREVIOUS)
    if not messages and not body.has(PREVIOUS):
        body.refuse_value("input", "must have at least 1 item")
    check_sizes(messages, "input")
    system = body.text("system_instruction")
    # The system text applies to this call only, and precedes the earlier conversation.
    return (Message("system", (Text(system),)), *messages) if system else messages


class _Form:
    """The requested form of the answer. `response_format` holds one form, a list of forms, or a
    schema alone; the older `response_mime_type` and `response_modalities` express the same."""

    def __init__(self, body: Members) -> None:
        self.output: AnyJson | JsonSchema | None = None
        self.extra: JsonObject = {}
        words = [*body.texts("response_modalities")]
        for i, word in enumerate(words):
            if word not in _MODALITIES:
                body.refuse_value(f"response_modalities[{i}]", "must be text, image or audio")
        value = body.value.get("response_format")
        if isinstance(value, list):
            forms = body.objects("response_format")
        else:
            form = body.object("response_format")
            forms = [] if form is None else [form]
        for form in forms:
            words += self._read(form)
        if body.text("response_mime_type") == _JSON and self.output is None:
            self.output = AnyJson()
        self.modalities: tuple[str, ...] = tuple(dict.fromkeys(words))

    def _read(self, form: Members) -> list[str]:
        kind = form.value.get("type")
        if kind in ("image", "audio"):
            self.extra |= {form.at(name): value for name, value in form.rest(("type",)).items()}
            return [str(kind)]
        if kind == "video":
            form.refuse("unsupported_capability", "type", "video is not offered for this model")
        if kind != "text":
            self.output = JsonSchema(form.value)
            return []
        schema, media_type = form.json("schema"), form.text("mime_type")
        if schema is not None and media_type in (None, _JSON):
            self.output = JsonSchema(schema)
        elif media_type == _JSON:
            self.output = AnyJson()
        elif media_type not in (None, "text/plain"):
            form.refuse_value("mime_type", f"must be text/plain or {_JSON}")
        # One of several forms names a modality; the only one does not.
        return ["text"] if form.path.endswith("]") else []


def _read_reasoning(config: Members) -> ReasoningSettings | None:
    summaries = config.word("thinking_summaries", ("auto", "none"))
    settings = ReasoningSettings(
        effort=config.word("thinking_level", _LEVELS),
        shown=None if summaries is None else summaries == "auto",
    )
    return None if settings == ReasoningSettings() else settings


def _read_audio(config: Members) -> AudioOutput | None:
    """Return the audio settings: the first speaker's voice, and the client's whole
    speech_config."""
    speech: Any = config.value.get("speech_config")
    if speech is None:
        return None
    rows = dicts(speech.get("speakers") if isinstance(speech, dict) else speech)
    if not rows:
        config.refuse_type("speech_config", "an object with speakers, or an array")
    voice = rows[0].get("voice")
    own = speech if isinstance(speech, dict) else {"speakers": speech}
    return AudioOutput(voice if isinstance(voice, str) else "", "", own)


def _read_tier(body: Members) -> str | None:
    tier = body.word("service_tier", ("flex", "standard", "priority", "deferred"))
    if tier == "deferred":
        body.refuse("unsupported_capability", "service_tier", "deferred is not offered")
    return "default" if tier == "standard" else tier


def _read_tools(body: Members) -> tuple[Tool, ...]:
    tools = [_read_tool(tool) for tool in body.objects("tools")]
    if len(tools) > TOOLS_MAX:
        body.refuse_value("tools", f"must have at most {TOOLS_MAX} items")
    check_names(body, tools)
    return tuple(tools)


def _read_tool(tool: Members) -> Tool:
    kind = tool.required("type", tool.word("type", ("function", *_OWN_TOOLS)))
    if kind == "function":
        return FunctionTool(
            name=tool.tool_name(),
            description=tool.text("description"),
            schema=tool.json("parameters"),
        )
    # Searches for pictures, or in a company's own index, are Google's alone.
    if kind == "google_search" and set(tool.texts("search_types")) <= {"web_search"}:
        return WebSearch("interactions", tool.value)
    return OwnTool("interactions", tool.value)


def _read_tool_choice(config: Members) -> ToolChoice | None:
    value: Any = config.value.get("tool_choice")
    if not isinstance(value, dict):
        mode = config.word("tool_choice", tuple(_MODES))
        return None if mode is None else ToolChoice(_MODES[mode])
    choice = Members(value, config.at("tool_choice"))
    allowed = choice.required("allowed_tools", choice.object("allowed_tools"))
    mode = allowed.word("mode", tuple(_MODES)) or "auto"
    return ToolChoice(_MODES[mode], allowed.texts("tools"))
