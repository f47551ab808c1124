"""The neutral form of a chat request and a chat answer.

Every dialect is converted to and from these types; no dialect knows another.

    client body --request/decode--> ChatRequest --request/encode--> upstream body
    upstream body --answer/decode--> ChatAnswer --answer/encode--> client body
    upstream frames --stream/decode--> events.Event --stream/encode--> client frames

If both ends speak the same dialect and nothing must change, none of this runs: the bytes are
forwarded.

Each dialect package (openai, responses, anthropic, gemini, interactions) has exactly these
functions, and its `codec.py` offers them as one `codec.Codec`:

    request/read.read(raw) -> ChatFacts      the facts about a request that is forwarded
    request/read.edit(facts, upstream_model) -> bytes
    request/decode.decode(raw, *, request_id, received_at) -> ChatRequest   raises RequestFault
        gemini also takes model and stream, here and in read: they are in its path
    request/encode.encode(request, upstream) -> Encoded                     raises RequestFault
    request/encode.urls_to_fetch(request) -> tuple[str, ...]   URLs that must become Base64
        first (`turns.replace_urls`); encode refuses the others
    answer/decode.decode(raw, *, translate=False) -> WholeAnswer   never raises
        openai also takes audio_type, here and in Decoder: its answers do not contain it
        anthropic also takes answer_tool, here and in Decoder: see Encoded
        gemini also takes request_id, here and in Decoder: its calls may have no ids
    answer/encode.encode(answer, request) -> bytes
    stream/decode.Decoder(..., translate=False)   .feed(bytes) -> list[Step], .end() -> list[Step],
        .usage, .complete, .text_bytes, .reasoning_bytes
    stream/encode.Encoder(request)           .feed(Event) -> bytes, .end() -> bytes,
        .fail(kind, message) -> bytes
        gemini also takes array, for a client that wants a JSON array instead of events
    errors.read(status, headers, body) -> UpstreamFault, errors.render(kind, message),
        errors.error_frame(kind, message)
    usage.quantities(raw) -> Quantities, usage.encode(Counts) -> dict
    wire      the members of an answer that are read

A request encoder drops what its dialect cannot express and names it in `Encoded.dropped`
(`client_names.dropped_names`). If a loss would mislead, it raises RequestFault
`unsupported_capability` instead: for media that the dialect does not accept, audio output, a web
search that it cannot make, and server tools of another dialect as far as `client_names.omit_tool`
refuses them. A stream Encoder ignores UpstreamError, Broken and End: the relay calls `fail` or
`end`.

Encoders derive ids from `request_id` (`turns.derive_id`), because codecs use no random numbers.
`created` is `received_at`. Binary data remains base64 text throughout.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from dialects.chat.events import FinishReason, Seal, Source, TokenLogprob
from dialects.usage.usage import Counts

Dialect = Literal["openai", "responses", "anthropic", "gemini", "interactions", "converse"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
# How long the provider is asked to cache everything before the mark.
CacheMark = Literal["5m", "1h"]
JsonObject = dict[str, Any]


class Url(msgspec.Struct, frozen=True, tag=True):
    """Data at a URL: http(s), gs:// or a provider's file address, never a data URL. `media_type` is
    "" if the client did not send it (only gemini clients do).
    """

    url: str
    media_type: str = ""


class Base64(msgspec.Struct, frozen=True, tag=True):
    """The data itself, in the client's base64, and its media type."""

    data: str
    media_type: str


class PlainText(msgspec.Struct, frozen=True, tag=True):
    """A text document (`source.type: text` in anthropic)."""

    text: str


class FileId(msgspec.Struct, frozen=True, tag=True):
    """A file that is stored at a provider. Only an upstream of the same dialect understands it."""

    id: str


class Text(msgspec.Struct, frozen=True, tag=True):
    """A text. Every dialect has texts."""

    text: str
    cache: CacheMark | None = None


class Image(msgspec.Struct, frozen=True, tag=True):
    """A picture. Every dialect has pictures; `detail` (low, high, auto) exists in openai and
    responses only."""

    source: Url | Base64 | FileId
    detail: str | None = None
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, tag=True):
    """Sound: openai, responses, gemini; by Url only Qwen. FileId: `audio.id` of an earlier answer.

    `transcript` and `expires_at` (Unix seconds) are set for generated sound, otherwise "" and 0.
    """

    source: Url | Base64 | FileId
    transcript: str = ""
    id: str = ""
    expires_at: int = 0


class File(msgspec.Struct, frozen=True, tag=True):
    """A document, such as a PDF. `name` is its file name, "" without one."""

    source: Url | Base64 | PlainText | FileId
    name: str = ""
    cache: CacheMark | None = None


class Video(msgspec.Struct, frozen=True, tag=True):
    """A film: openai (Qwen, Doubao, GLM) and gemini."""

    source: Url | Base64


class Reasoning(msgspec.Struct, frozen=True, tag=True):
    """The model's reasoning: `text` may be "" if only the seal is known.

    Precedes the part that it led to. A gemini seal belongs to the part right after it (a call or
    text). Redacted reasoning has no text, and is only sent back to its owner. A part without a
    seal, followed by one with a seal and no text, is the same as one part with both.
    """

    text: str = ""
    seal: Seal | None = None


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """A refusal in words. The dialects openai and responses have a place for it; in others it is
    text."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag=True):
    """A call of a function. `arguments` is JSON text as received; "" stands for {}.

    `id` is never "" in a request or answer: decoders derive one where the wire has none.
    """

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag=True):
    """The result of a function: texts, and pictures or files in dialects that permit them."""

    call_id: str
    parts: tuple["Text | Image | File", ...]
    failed: bool = False
    name: str = ""
    cache: CacheMark | None = None


class OwnPart(msgspec.Struct, frozen=True, tag=True):
    """A part that only upstreams of `dialect` understand, unchanged: server tool calls and their
    results, search results, executable code, item references. Other dialects leave it out of the
    history."""

    dialect: Dialect
    value: JsonObject


Part = Text | Image | Audio | File | Video | Reasoning | Refusal | ToolCall | ToolResult | OwnPart


class Message(msgspec.Struct, frozen=True):
    """One turn, or one piece of it.

    system, developer   Text only; anywhere in the list, as the client had it. Top-level system
                        text of a dialect (responses' instructions too) is the first message.
    user                Text, Image, Audio, File, Video, OwnPart
    assistant           Reasoning, Text, Refusal, ToolCall, Image, Audio, OwnPart, in wire order
    tool                exactly one ToolResult; a turn with several is several messages

    `name` comes from the openai dialect; `citations` belong to an assistant's text.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    citations: tuple[Source, ...] = ()


class ClientTool(msgspec.Struct, frozen=True):
    """A tool of one dialect that is offered as a function (`client_tools.py` of responses and of
    anthropic). `kind` is its type, or that of the items that call it; `declared` is the client's
    declaration of the tool, or of its whole namespace.
    """

    kind: str
    name: str
    namespace: str = ""
    declared: JsonObject = {}


class FunctionTool(msgspec.Struct, frozen=True, tag=True):
    """A function that the client runs. `schema` is JSON Schema, None without parameters. `strict`
    None means unset; a decoder resolves responses' default (true). `freeform` is the client's own
    declaration of a tool whose input is a text (custom_tools.py); its `grammar` is described to an
    upstream in words. `client` is the tool that the function replaces, None if there is none.
    """

    name: str
    description: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    freeform: JsonObject | None = None
    grammar: bool = False
    client: ClientTool | None = None


# The forms in which clients request a web search, and upstreams accept it.
SearchForm = Literal[
    "anthropic",  # tools: web_search_20250305
    "responses",  # tools: web_search
    "gemini",  # tools: googleSearch
    "interactions",  # tools: google_search
    "web_search_options",  # openai's search models
    "search_parameters",  # Grok
    "enable_search",  # Qwen
    "glm",  # tools: {"type": "web_search", "web_search": {...}}
    "kimi",  # tools: {"type": "builtin_function", "function": {"name": "$web_search"}}
]


class WebSearch(msgspec.Struct, frozen=True, tag=True):
    """The provider's own web search. `own` is the client's whole object, which is sent unchanged if
    the upstream has the same `form`; the other members are common to the forms, None and () if not
    set. `context_size` is low, medium or high; `country` an ISO 3166 code, `timezone` an IANA name.
    """

    form: SearchForm
    own: JsonObject
    context_size: str | None = None
    uses_max: int | None = None
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class OwnTool(msgspec.Struct, frozen=True, tag=True):
    """A server tool that only `dialect` has (code execution, file search, MCP …).

    Encoders of other dialects leave it out or refuse it: `client_names.omit_tool`.
    """

    dialect: Dialect
    value: JsonObject


Tool = FunctionTool | WebSearch | OwnTool


class ToolChoice(msgspec.Struct, frozen=True):
    """How the model may call tools: auto, none, or required (it must call one). `names` restricts
    it to these functions. required with one name means this function; several names are openai's
    allowed_tools and gemini's allowedFunctionNames."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


class AnyJson(msgspec.Struct, frozen=True, tag=True):
    """The answer must be a JSON object."""


class JsonSchema(msgspec.Struct, frozen=True, tag=True):
    """The answer must be JSON that matches a schema. `name` is "" if the dialect has none."""

    schema: JsonObject
    name: str = ""
    strict: bool | None = None
    description: str | None = None


class ReasoningSettings(msgspec.Struct, frozen=True):
    """The thinking effort, and whether reasoning is shown; None if the client did not set it.

    `effort`         openai reasoning_effort, responses reasoning.effort, anthropic
                     output_config.effort, gemini thinkingLevel
    `budget_tokens`  anthropic budget_tokens, gemini thinkingBudget (0 off, -1 dynamic), Qwen
                     thinking_budget
    `switch`         thinking.type enabled | disabled | adaptive (auto), enable_thinking
    `summary`        responses reasoning.summary: auto, concise, detailed
    `shown`          gemini includeThoughts

    Read it through `reasoning.effort_of` and `reasoning.budget_of`.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    switch: Literal["on", "off", "adaptive"] | None = None
    summary: str | None = None
    shown: bool | None = None

    @property
    def only_effort(self) -> bool:
        """Whether only the effort is set."""
        return self.effort is not None and self == ReasoningSettings(self.effort)


class AudioOutput(msgspec.Struct, frozen=True):
    """The settings of a spoken answer. `format`: wav, mp3, flac, opus, pcm16; "" if not set. `own`
    is the whole object of gemini's speechConfig or openai's audio.
    """

    voice: str = ""
    format: str = ""
    own: JsonObject = {}


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request, whose API is `dialect`. None, () and {} mean that the client did not set
    a member.

    `request_id` is our id as text, `received_at` Unix seconds, `model` the requested name. `extra`
    holds, by wire name, members that only upstreams of `dialect` understand, and Qwen's
    `parameters`. `legacy_functions`: the client sent OpenAI's old `functions`, so calls are
    answered in that form.
    """

    dialect: Dialect
    request_id: str
    received_at: int
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    legacy_functions: bool = False
    output_form: AnyJson | JsonSchema | None = None
    verbosity: str | None = None
    output_cap: int | None = None
    """The maximum number of tokens of one choice, including reasoning."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    reasoning: ReasoningSettings | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: tuple[str, ...] = ()
    """text, audio, image."""
    audio: AudioOutput | None = None
    prediction: JsonObject | None = None
    user: str | None = None
    """The client's end user: openai and responses `user`, anthropic `metadata.user_id`."""
    metadata: JsonObject | None = None
    service_tier: str | None = None
    """By openai's names: auto, default, flex, priority, …; anthropic's standard_only is default."""
    store: bool | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    truncation: str | None = None
    tool_calls_max: int | None = None
    include: tuple[str, ...] = ()
    previous_response_id: str | None = None
    """responses: the relay inserts the stored turns and clears this; encoders refuse it."""
    continues: str | None = None
    """responses: the id of the response whose turns are inserted."""
    stream: bool = False
    include_usage: bool = False
    """openai: the client wants the usage chunk of its stream. Other dialects always report
    usage.
    """
    extra: JsonObject = {}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers.

    `parts`: Reasoning, Text, Refusal, ToolCall, Image, Audio in the order of the answer, never two
    Texts in a row. `finish` is None when the answer was cut. `shows_cut`: a call that the length
    limit has cut is written as any other, for a reader who runs none (F38).
    """

    index: int
    parts: tuple[Part, ...]
    finish: FinishReason | None
    stop_sequence: str = ""
    citations: tuple[Source, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    refusal_logprobs: tuple[TokenLogprob, ...] = ()
    shows_cut: bool = False


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `id`, `model` and `created` are the upstream's own, "" and 0 if it has none.

    `counts` is None if the upstream reported none; `usage` is its object as raw JSON.
    """

    id: str
    model: str
    created: int
    choices: tuple[Choice, ...]
    counts: Counts | None = None
    usage: bytes | None = None
    service_tier: str = ""
    fingerprint: str = ""


# How a model or its server deviates from its dialect, as far as translation needs it.
Flag = Literal[
    # openai
    "max_completion_tokens_only",  # o-series, gpt-5: the cap has only its new name
    "no_sampling",  # o-series, gpt-5 while it thinks: sampling, logprobs and n are dropped
    "no_penalties_no_stop",  # grok-4
    "no_parallel_tools",  # o1, o3-mini
    "no_reasoning_effort",  # grok-4: dropped
    "developer_role",  # o-series, gpt-5: system is called developer
    "no_developer_role",  # DeepSeek, Qwen, GLM, Kimi, Doubao: developer is called system
    "thinking_switch",  # DeepSeek, GLM, Doubao, Kimi: thinking {type}
    "thinking_default_off",  # deepseek-v3-1: off must be explicit
    "enable_thinking_switch",  # Qwen: enable_thinking, thinking_budget
    "reasoning_content_rule",  # DeepSeek: a turn with calls goes back with its reasoning
    "params_object",  # Qwen: the keys of `parameters` are sent at the top level
    "parameters_whole",  # another gateway: `parameters` is sent unchanged
    "top_k",  # open models
    "json_object_only",  # DeepSeek, GLM, Qwen …: a schema becomes a system sentence
    "tool_choice_auto_only",  # GLM
    "no_web_search_options",  # Claude behind the openai dialect: refused
    "cache_control",  # Qwen: marks on parts are understood
    "mistral_form",  # Mistral: members and ids of calls (dialects/openai/request/mistral.py)
    "no_logprobs",  # Groq: logprobs and logit_bias are dropped
    "no_message_names",  # Groq: the names of messages are dropped
    # converse
    "nova_top_k",  # Nova: top_k is sent as topK in additionalModelRequestFields
    "nova_reasoning",  # Nova 2: reasoning is sent as reasoningConfig in the same place
    "additional_effort",  # gpt-oss: effort is sent as reasoning_effort in the same place
    # anthropic
    "thinking_adaptive",  # effort by output_config instead of a budget
    "one_of_temperature_top_p",
    "no_json_schema",  # no output_config.format: hidden tool or sentence
    # gemini
    "thinking_level",  # a level instead of a budget
    "thought_seal_needed",  # calls of the history need their seal (openai: Google's own form)
    "no_parameters_json_schema",  # schemas must be reduced to the old form
    # several
    "temperature_max_1",  # anthropic, Kimi
    "thinking_no_forced_tool",  # anthropic, Qwen
    "cap_without_thinking",  # Doubao: max_tokens limits the answer without the thinking before it
    "audio_output",  # the model can speak (responses refuses it otherwise)
]


@dataclass(frozen=True, slots=True)
class Upstream:
    """The model that a request is encoded for, and its properties.

    `model` is the upstream's own name. `output_cap` replaces the client's cap. `output_max` is the
    model's output limit in tokens, None unknown. `efforts` are the levels of thinking that it
    supports (empty: unknown, all are sent), `budget_min`/`budget_max` the range of thinking tokens.
    `search` is the form of its web search; None for the dialect's usual form (openai: only the
    client's own form, if that is one of openai's).
    """

    model: str
    flags: frozenset[Flag] = frozenset()
    output_cap: int | None = None
    output_max: int | None = None
    efforts: tuple[Effort, ...] = ()
    budget_min: int = 0
    budget_max: int | None = None
    search: SearchForm | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request's body, and the omitted parameters by the client's names. `answer_tool` is a tool
    that was added to get a structured answer, "" for none: its input is the answer's text, so the
    decoder of the answer needs its name."""

    body: bytes
    dropped: tuple[str, ...] = field(default=())
    answer_tool: str = ""
