"""The operations of the relay: parameters, an example that runs, and the answer.

A page tells one or more operations of `gateway/relay/endpoints.py` by the names that the usage
records give them; a test finds the row without a page, and sends every example. Sources of the
parameters: the published APIs of the dialects, and what the codecs read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.reference.fields import Field

# What the examples ask; a page shows a model of the same kind that can be asked here.
MODEL: Final = "gpt-4o-mini"
EMBEDDING_MODEL: Final = "text-embedding-3-small"
MODERATION_MODEL: Final = "omni-moderation-latest"
RERANK_MODEL: Final = "rerank-v3.5"


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `operations` as endpoints.py names them, the first for its example; `example` is
    the body of a request that works, and `path` where it goes."""

    slug: str
    title: Promise
    summary: Promise
    operations: tuple[str, ...]
    path: str
    fields: tuple[Field, ...] = ()
    example: Mapping[str, Any] | None = None
    answer: str = ""
    notes: tuple[Promise, ...] = ()
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that stand together in the list."""

    title: Promise
    pages: tuple[Page, ...]


_MODEL: Final = Field("model", "string", _("Which model answers; GET /v1/models lists them."), True)
_MAX_COST: Final = Field(
    "max_cost",
    "string | number",
    _(
        "The most in USD that this request may cost, else it is refused with 402. Ours; it is "
        "not sent on."
    ),
)
_STREAM: Final = Field("stream", "boolean", _("Answer as server-sent events while it is written."))
_TEMPERATURE: Final = Field(
    "temperature", "number", _("Randomness; low is focused, high is varied."), limits="0–2"
)
_TOP_P: Final = Field(
    "top_p", "number", _("Only the likeliest tokens up to this share are drawn from."), limits="0–1"
)
_PRESENCE: Final = Field(
    "presence_penalty", "number", _("Makes any word that was used less likely."), limits="-2–2"
)
_FREQUENCY: Final = Field(
    "frequency_penalty",
    "number",
    _("Makes words less likely by how often they were used."),
    limits="-2–2",
)
_SEED: Final = Field(
    "seed", "integer", _("The same seed gives the same answer as far as the model can.")
)
_USER: Final = Field("user", "string", _("An id of your own end user; it is kept on the request."))
_STOP: Final = Field(
    "stop", "string | string[]", _("Texts at which the answer ends."), limits="≤ 4"
)
_LOGIT_BIAS: Final = Field(
    "logit_bias", "object", _("Likelihood of single tokens, by their id."), limits="-100–100"
)
_STREAM_OPTIONS: Final = Field(
    "stream_options", "object", _("include_usage: a last chunk with the usage.")
)
_N: Final = Field(
    "n", "integer", _("How many answers are wanted. Each is charged."), limits="1–128"
)
_STATE: Final = _("Where the answer is stored, it can be continued for 24 hours.")
_PASSED: Final = _("Sent on to providers that know it, left out for others.")
_CACHE_ID: Final = Field(
    "prompt_cache_key, safety_identifier, service_tier, verbosity", "string", _PASSED
)

_CHAT: Final = Page(
    "chat-completions",
    _("Chat Completions"),
    _(
        "The answer of a model to a conversation, in OpenAI's form. Every chat model can be "
        "asked so, whatever its provider speaks."
    ),
    ("chat_completions",),
    "/v1/chat/completions",
    (
        _MODEL,
        Field(
            "messages",
            "object[]",
            _(
                "The conversation, oldest first. Roles: system, developer, user, assistant, "
                "tool. Content is a text or parts: text, image_url, input_audio, file, video_url."
            ),
            True,
            "≥ 1",
        ),
        _STREAM,
        _STREAM_OPTIONS,
        Field(
            "max_completion_tokens",
            "integer",
            _("The most tokens that are written, reasoning included."),
            limits="≥ 1",
        ),
        Field("max_tokens", "integer", _("The same under its older name."), limits="≥ 1"),
        _TEMPERATURE,
        _TOP_P,
        _N,
        _STOP,
        _PRESENCE,
        _FREQUENCY,
        _LOGIT_BIAS,
        _SEED,
        Field(
            "tools",
            "object[]",
            _(
                "Functions that the model may call, with JSON Schemas of their arguments, and "
                "custom tools, whose input is a text."
            ),
            limits="≤ 128",
        ),
        Field(
            "tool_choice", "string | object", _("none, auto, required, or one function by name.")
        ),
        Field(
            "parallel_tool_calls",
            "boolean",
            _("Whether several functions may be called in one turn."),
        ),
        Field(
            "response_format",
            "object",
            _("text, json_object, or json_schema with a schema that the answer must fit."),
        ),
        Field(
            "reasoning_effort",
            "string",
            _(
                "How deeply the model thinks; what it does not have becomes the nearest that it "
                "has."
            ),
            limits="none, minimal, low, medium, high, xhigh, max",
        ),
        Field(
            "thinking, enable_thinking",
            "object | boolean",
            _(
                "The switch of DeepSeek, GLM, Doubao, Kimi and Qwen; understood for Claude and "
                "Gemini too."
            ),
        ),
        Field(
            "modalities",
            "string[]",
            _("What the answer may be made of."),
            limits="text, audio, image",
        ),
        Field("audio", "object", _("Voice and format of a spoken answer.")),
        Field(
            "logprobs, top_logprobs",
            "boolean, integer",
            _("Log probabilities of the tokens, and of that many others in their place."),
            limits="0–20",
        ),
        Field(
            "web_search_options, search_parameters",
            "object",
            _("Web search, of models that have it."),
        ),
        Field("parameters", "object", _("Qwen's own settings, such as enable_search.")),
        Field(
            "functions, function_call",
            "object[], string | object",
            _("The older form of tools; answered in the older form."),
        ),
        _USER,
        Field("metadata, store, prediction", "object, boolean", _PASSED),
        _CACHE_ID,
        _MAX_COST,
    ),
    {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "Why do rivers meander?"},
        ],
        "max_completion_tokens": 100,
    },
    """{
  "id": "chatcmpl-a1", "object": "chat.completion", "created": 1767100000,
  "model": "gpt-4o-mini",
  "choices": [
    {
      "index": 0,
      "message": {"role": "assistant", "content": "Because …"},
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 24, "completion_tokens": 31, "total_tokens": 55,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0}
  }
}""",
    (
        _("finish_reason is stop, length, tool_calls, content_filter or function_call."),
        _(
            "Streamed, the answer comes in chunks with a delta and ends with data: [DONE]. An "
            "error after the first chunk is a chunk with error, and no [DONE] follows."
        ),
        _("What a model thought is in reasoning_content, where its provider shows it."),
    ),
)
_RESPONSES: Final = Page(
    "responses",
    _("Responses"),
    _(
        "OpenAI's newer form: items in, items out, with reasoning and stored state. Every chat "
        "model can be asked so."
    ),
    ("responses",),
    "/v1/responses",
    (
        _MODEL,
        Field(
            "input",
            "string | object[]",
            _(
                "A text, or items: messages, function_call, custom_tool_call, the outputs of "
                "both, reasoning, item_reference to an item that is kept here. Files are "
                "input_file with file_url or file_data, 50 MB together."
            ),
            True,
        ),
        Field("instructions", "string", _("The system text of this request alone.")),
        _STREAM,
        Field(
            "max_output_tokens",
            "integer",
            _("The most tokens that are written, reasoning included."),
            limits="≥ 16",
        ),
        _TEMPERATURE,
        _TOP_P,
        Field(
            "tools",
            "object[]",
            _(
                "Functions, flat: type, name, description, parameters, strict; custom tools, "
                "whose input is a text; and built-in tools of the provider."
            ),
        ),
        Field(
            "tool_choice", "string | object", _("none, auto, required, or one function by name.")
        ),
        Field(
            "parallel_tool_calls, max_tool_calls",
            "boolean, integer",
            _("Whether several functions may be called in one turn, and how many in all."),
        ),
        Field(
            "reasoning",
            "object",
            _("effort: how deeply the model thinks; summary: auto, concise or detailed."),
        ),
        Field(
            "text",
            "object",
            _("format: text, json_object or json_schema with its schema; verbosity."),
        ),
        Field(
            "include", "string[]", _("What more is wanted, such as reasoning.encrypted_content.")
        ),
        Field("previous_response_id", "string", _("The stored response that this one continues.")),
        Field("store", "boolean", _STATE),
        Field(
            "top_logprobs",
            "integer",
            _("Log probabilities of the tokens, and of that many others in their place."),
            limits="0–20",
        ),
        _USER,
        Field("metadata, truncation, background, conversation, stream_options", "object", _PASSED),
        _CACHE_ID,
        _MAX_COST,
    ),
    {
        "model": MODEL,
        "instructions": "Answer in one sentence.",
        "input": "Why do rivers meander?",
        "max_output_tokens": 100,
    },
    """{
  "id": "resp_1", "object": "response", "status": "completed",
  "model": "gpt-4o-mini",
  "output": [
    {
      "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
      "content": [{"type": "output_text", "text": "Because …", "annotations": []}]
    }
  ],
  "usage": {"input_tokens": 24, "output_tokens": 31, "total_tokens": 55}
}""",
    (
        _(
            "Streamed, every event has a type and a sequence_number; the last one is "
            "response.completed, response.incomplete or response.failed."
        ),
        _(
            "status is completed, or incomplete with incomplete_details.reason max_output_tokens "
            "or content_filter."
        ),
    ),
)
_COMPACT: Final = Page(
    "responses-compact",
    _("Compact a conversation"),
    _(
        "A long conversation as one opaque item that later requests send in its place. Only "
        "models whose provider has it."
    ),
    ("responses_compact",),
    "/v1/responses/compact",
    (
        _MODEL,
        Field("input", "string | object[]", _("The conversation so far, as items.")),
        Field("instructions", "string", _("The system text of this request alone.")),
        Field("previous_response_id", "string", _("The stored response that this one continues.")),
        _MAX_COST,
    ),
    {
        "model": MODEL,
        "input": [
            {"role": "user", "content": "Why do rivers meander?"},
            {"role": "assistant", "content": "Because bends grow."},
        ],
    },
    """{
  "id": "resp_2", "object": "response.compaction",
  "output": [{"type": "compaction", "encrypted_content": "…"}],
  "usage": {"input_tokens": 60, "output_tokens": 20, "total_tokens": 80}
}""",
)
_STORED: Final = Page(
    "stored-responses",
    _("Stored responses"),
    _(
        "A response that was stored, shown again, its input listed, or deleted. Only the API key "
        "that made it may, and go on from it; after 24 hours there is none."
    ),
    ("response", "response_items"),
    "/v1/responses/resp_1",
    (
        Field("id", "string", _("The response, in the path."), True),
        Field(
            "limit, after, order",
            "integer, string",
            _("Which page of input_items, and whether asc or desc; in the query."),
            limits="1–100",
        ),
    ),
    None,
    """{"id": "resp_1", "object": "response", "status": "completed", "output": [ … ]}""",
    (_("DELETE answers with deleted: true."),),
    argument="resp_1",
)
_MESSAGES: Final = Page(
    "messages",
    _("Messages"),
    _(
        "Anthropic's form. Every chat model can be asked so, and coding agents made for Claude "
        "work with it."
    ),
    ("messages",),
    "/v1/messages",
    (
        _MODEL,
        Field("max_tokens", "integer", _("The most tokens that are written."), True, "≥ 1"),
        Field(
            "messages",
            "object[]",
            _(
                "The conversation: roles user and assistant, content a text or blocks: text, "
                "image, document, tool_use, tool_result, thinking."
            ),
            True,
        ),
        Field(
            "system", "string | object[]", _("The system text; its blocks may carry cache_control.")
        ),
        _STREAM,
        Field(
            "temperature", "number", _("Randomness; low is focused, high is varied."), limits="0–1"
        ),
        _TOP_P,
        Field("top_k", "integer", _("Only this many of the likeliest tokens are drawn from.")),
        Field("stop_sequences", "string[]", _("Texts at which the answer ends.")),
        Field(
            "tools",
            "object[]",
            _("Functions: name, description, input_schema; and tools of Anthropic by their type."),
        ),
        Field(
            "tool_choice",
            "object",
            _("auto, any, none, or tool with a name; disable_parallel_tool_use."),
        ),
        Field(
            "thinking",
            "object",
            _("enabled with budget_tokens, adaptive, or disabled."),
            limits="budget_tokens ≥ 1024",
        ),
        Field(
            "output_config", "object", _("effort, and format: a schema that the answer must fit.")
        ),
        Field("metadata", "object", _("user_id: an id of your own end user.")),
        Field(
            "service_tier, container, mcp_servers, context_management", "string | object", _PASSED
        ),
        Field(
            "anthropic-version, anthropic-beta",
            "header",
            _("Sent on to Anthropic; neither is required."),
        ),
        _MAX_COST,
    ),
    {
        "model": MODEL,
        "max_tokens": 100,
        "system": "Answer in one sentence.",
        "messages": [{"role": "user", "content": "Why do rivers meander?"}],
    },
    """{
  "id": "msg_1", "type": "message", "role": "assistant", "model": "gpt-4o-mini",
  "content": [{"type": "text", "text": "Because …"}],
  "stop_reason": "end_turn", "stop_sequence": null,
  "usage": {
    "input_tokens": 24, "output_tokens": 31,
    "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0
  }
}""",
    (
        _("input_tokens does not contain the tokens that came from a cache."),
        _("Errors have Anthropic's form on this path: type, error, request_id."),
    ),
)
_COUNT: Final = Page(
    "count-tokens",
    _("Count tokens"),
    _(
        "How many input tokens a request would have. Nothing is sent to be answered, nothing is "
        "charged."
    ),
    ("count_tokens",),
    "/v1/messages/count_tokens",
    (
        _MODEL,
        Field("messages", "object[]", _("As in Messages."), True),
        Field("system, tools, tool_choice, thinking", "string | object", _("As in Messages.")),
    ),
    {"model": MODEL, "messages": [{"role": "user", "content": "Why do rivers meander?"}]},
    """{"input_tokens": 14}""",
)
_CONTENTS: Final = Field(
    "contents",
    "object[]",
    _(
        "The conversation: role user or model, parts with text, inlineData, fileData, "
        "functionCall, functionResponse."
    ),
    True,
)
_GEMINI: Final = Page(
    "generate-content",
    _("Generate content"),
    _("Gemini's form, whole or streamed. Every chat model can be asked so."),
    ("generate_content", "stream_generate_content"),
    f"/v1beta/models/{MODEL}:generateContent",
    (
        Field(
            "{model}",
            "string",
            _("Which model answers, in the path; GET /v1/models lists them."),
            True,
        ),
        _CONTENTS,
        Field("systemInstruction", "object", _("The system text, as parts.")),
        Field(
            "tools", "object[]", _("functionDeclarations, googleSearch, urlContext, codeExecution.")
        ),
        Field(
            "toolConfig",
            "object",
            _(
                "functionCallingConfig: mode AUTO, ANY, NONE or VALIDATED, and "
                "allowedFunctionNames."
            ),
        ),
        Field(
            "generationConfig.maxOutputTokens", "integer", _("The most tokens that are written.")
        ),
        Field(
            "generationConfig.temperature, topP, topK",
            "number",
            _("Randomness; low is focused, high is varied."),
            limits="0–2, 0–1",
        ),
        Field(
            "generationConfig.stopSequences",
            "string[]",
            _("Texts at which the answer ends."),
            limits="≤ 5",
        ),
        Field(
            "generationConfig.candidateCount",
            "integer",
            _("How many answers are wanted. Each is charged."),
        ),
        Field(
            "generationConfig.responseMimeType, responseSchema, responseJsonSchema",
            "string, object",
            _("JSON as the answer, and the schema that it must fit."),
        ),
        Field(
            "generationConfig.thinkingConfig",
            "object",
            _("thinkingBudget or thinkingLevel, and includeThoughts."),
        ),
        Field(
            "generationConfig.responseModalities, speechConfig, imageConfig",
            "string[], object",
            _("What the answer may be made of."),
        ),
        Field(
            "generationConfig.seed, presencePenalty, frequencyPenalty, responseLogprobs, logprobs",
            "number",
            _("As in Chat Completions."),
        ),
        Field(
            "safetySettings, cachedContent",
            "object[], string",
            _("Sent on to Gemini, left out for others."),
        ),
        Field(
            "alt",
            "query",
            _(
                "sse: server-sent events of a stream; without it, one JSON array that is written "
                "as it comes."
            ),
        ),
        Field(
            "key",
            "query",
            _(
                "The API key, where a header cannot be set; it is taken out before anything is "
                "logged."
            ),
        ),
    ),
    {
        "contents": [{"role": "user", "parts": [{"text": "Why do rivers meander?"}]}],
        "generationConfig": {"maxOutputTokens": 100},
    },
    """{
  "candidates": [
    {
      "content": {"role": "model", "parts": [{"text": "Because …"}]},
      "finishReason": "STOP", "index": 0
    }
  ],
  "usageMetadata": {"promptTokenCount": 14, "candidatesTokenCount": 31, "totalTokenCount": 45}
}""",
    (
        _("Names may be written in snake_case as well."),
        _("Errors have Google's form on this path: code, message, status."),
    ),
)
_GEMINI_COUNT: Final = Page(
    "gemini-count-tokens",
    _("Count tokens, Gemini"),
    _(
        "How many input tokens a request would have. Nothing is sent to be answered, nothing is "
        "charged."
    ),
    ("gemini_count_tokens",),
    f"/v1beta/models/{MODEL}:countTokens",
    (
        _CONTENTS,
        Field("generateContentRequest", "object", _("A whole request in place of contents.")),
    ),
    {"contents": [{"role": "user", "parts": [{"text": "Why do rivers meander?"}]}]},
    """{"totalTokens": 14}""",
)
_COMPLETIONS: Final = Page(
    "completions",
    _("Completions"),
    _(
        "The older form: a text is continued. A model that only chats is asked with the text as "
        "one message, once for each text of a list; each is a request of its own in the log."
    ),
    ("completions",),
    "/v1/completions",
    (
        _MODEL,
        Field(
            "prompt",
            "string | string[] | integer[]",
            _(
                "What is continued; a list gives an answer for each. Token ids only for models "
                "whose provider has this endpoint."
            ),
            True,
        ),
        Field("max_tokens", "integer", _("The most tokens that are written."), limits="≥ 0"),
        _STREAM,
        _STREAM_OPTIONS,
        _TEMPERATURE,
        _TOP_P,
        _N,
        Field(
            "best_of, echo, suffix, logprobs",
            "integer, boolean, string",
            _("Only for models whose provider has this endpoint."),
            limits="0–20, –, –, 0–5",
        ),
        _STOP,
        _PRESENCE,
        _FREQUENCY,
        _LOGIT_BIAS,
        _SEED,
        _USER,
        _MAX_COST,
    ),
    {"model": MODEL, "prompt": "Rivers meander because", "max_tokens": 40},
    """{
  "id": "cmpl-1", "object": "text_completion", "created": 1767100000,
  "model": "gpt-4o-mini",
  "choices": [{"text": " bends grow.", "index": 0, "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
}""",
)
_EDITS: Final = Page(
    "edits",
    _("Edits"),
    _(
        "A text changed by an instruction. No provider has this endpoint any more; a chat model "
        "does the work."
    ),
    ("edits",),
    "/v1/edits",
    (
        _MODEL,
        Field("instruction", "string", _("What is to be changed."), True),
        Field("input", "string", _("The text.")),
        _N,
        _TEMPERATURE,
        _TOP_P,
        _USER,
        _MAX_COST,
    ),
    {"model": MODEL, "input": "She go home", "instruction": "Fix the grammar"},
    """{
  "object": "edit", "created": 1767100001,
  "choices": [{"text": "She goes home", "index": 0}],
  "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
}""",
)
_EMBEDDINGS: Final = Page(
    "embeddings",
    _("Embeddings"),
    _("Texts as vectors, in OpenAI's form, of every embedding model."),
    ("embeddings",),
    "/v1/embeddings",
    (
        Field(
            "model",
            "string",
            _(
                "Which model answers; GET /v1/models lists them. On "
                "/v1/engines/{model}/embeddings it is in the path."
            ),
            True,
        ),
        Field(
            "input",
            "string | string[] | integer[]",
            _("What is embedded: a text, texts, or token ids."),
            True,
            "≤ 2048",
        ),
        Field(
            "encoding_format",
            "string",
            _("float, or base64 of little-endian float32."),
            limits="float, base64",
        ),
        Field(
            "dimensions",
            "integer",
            _("How long the vectors are, of models that can shorten them."),
            limits="≥ 1",
        ),
        _USER,
        _MAX_COST,
    ),
    {"model": EMBEDDING_MODEL, "input": "Rivers meander", "encoding_format": "float"},
    """{
  "object": "list",
  "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
  "model": "text-embedding-3-small",
  "usage": {"prompt_tokens": 3, "total_tokens": 3}
}""",
)
_EMBED: Final = Page(
    "embed-content",
    _("Embed content"),
    _("Texts as vectors, in Gemini's form, one or a batch."),
    ("embed_content", "batch_embed_contents"),
    f"/v1beta/models/{EMBEDDING_MODEL}:embedContent",
    (
        Field("content", "object", _("What is embedded, as parts with text."), True),
        Field(
            "requests",
            "object[]",
            _("Of batchEmbedContents: one object like the above for each text."),
        ),
        Field(
            "outputDimensionality",
            "integer",
            _("How long the vectors are, of models that can shorten them."),
        ),
        Field("taskType, title", "string", _("Sent on to Gemini, left out for others.")),
    ),
    {"content": {"parts": [{"text": "Rivers meander"}]}},
    """{"embedding": {"values": [0.0123, -0.0456]}}""",
)
_MODERATIONS: Final = Page(
    "moderations",
    _("Moderations"),
    _("Whether texts or pictures are harmful, and in which way."),
    ("moderations",),
    "/v1/moderations",
    (
        Field(
            "input",
            "string | string[] | object[]",
            _("Texts, or parts of type text and image_url."),
            True,
        ),
        Field(
            "model", "string", _("Which model judges; omni-moderation-latest where none is named.")
        ),
        _MAX_COST,
    ),
    {"model": MODERATION_MODEL, "input": "Rivers meander"},
    """{
  "id": "modr-1", "model": "omni-moderation-latest",
  "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.0001}}]
}""",  # noqa: E501
)
_RERANK: Final = Page(
    "rerank",
    _("Rerank"),
    _(
        "Documents in the order in which they answer a query. /v2/rerank answers in Cohere's "
        "form, the others in Jina's."
    ),
    ("rerank",),
    "/v1/rerank",
    (
        _MODEL,
        Field("query", "string", _("What is looked for."), True),
        Field(
            "documents",
            "string[] | object[]",
            _("What is put in order: texts, or objects with text."),
            True,
        ),
        Field(
            "top_n",
            "integer",
            _("How many of the best are answered; all without it."),
            limits="≥ 1",
        ),
        Field("return_documents", "boolean", _("Whether the documents are in the answer.")),
        Field("max_tokens_per_doc", "integer", _("Where a document is cut; of /v2/rerank.")),
        _MAX_COST,
    ),
    {
        "model": RERANK_MODEL,
        "query": "Why do rivers meander?",
        "documents": ["Bends grow by erosion.", "Rivers are wet."],
        "top_n": 1,
    },
    """{
  "model": "rerank-v3.5", "object": "list",
  "results": [{"index": 0, "relevance_score": 0.93}],
  "usage": {"prompt_tokens": 24, "total_tokens": 24}
}""",
)
_MODELS: Final = Page(
    "list-models",
    _("List models"),
    _("The models that the key may use, with limits and prices; one of them by its name."),
    ("models", "model"),
    "/v1/models",
    (
        Field(
            "x-goog-api-key, key",
            "header, query",
            _("Sent in place of a bearer key, the list comes in Gemini's form."),
        ),
        Field(
            "anthropic-version",
            "header",
            _("Sent with x-api-key, the list comes in Anthropic's form."),
        ),
        Field(
            "limit, after_id, before_id, pageSize, pageToken",
            "query",
            _("Pages, in the forms that have them."),
        ),
    ),
    None,
    """{
  "object": "list",
  "data": [
    {
      "id": "gpt-4o-mini", "object": "model", "created": 1766000000, "owned_by": "openai",
      "context_length": 128000, "max_output_tokens": 16000, "modalities": ["text", "image"],
      "pricing": {"in_text": "0.15", "out_text": "0.6"}
    }
  ]
}""",
)
_BALANCE: Final = Page(
    "balance",
    _("Balance"),
    _(
        "What the key has used and can still use, in the form that OpenAI's dashboard once had, "
        "for desktop clients that show it."
    ),
    ("billing_subscription", "billing_usage", "billing_credit_grants"),
    "/v1/dashboard/billing/subscription",
    (
        Field(
            "start_date, end_date",
            "query",
            _("Between which days the usage is told, in UTC; the last one is not in it."),
            limits="YYYY-MM-DD",
        ),
    ),
    None,
    """{
  "object": "billing_subscription", "has_payment_method": true,
  "soft_limit_usd": 50.0, "hard_limit_usd": 50.0, "system_hard_limit_usd": 50.0
}""",
)
_NOT_MADE: Final = Page(
    "not-offered",
    _("Files and fine-tunes"),
    _(
        "These addresses answer 501 and are charged nothing, so that clients can tell what is "
        "missing from what is mistyped."
    ),
    ("files", "fine_tunes"),
    "/v1/files",
    answer='{"error": {"message": "This API is not implemented.", "type": "not_implemented_error", "param": null, "code": "not_implemented"}}',  # noqa: E501
)

GROUPS: Final[tuple[Group, ...]] = (
    Group(_("Chat"), (_CHAT, _RESPONSES, _COMPACT, _STORED, _MESSAGES, _GEMINI)),
    Group(_("Texts"), (_COMPLETIONS, _EDITS, _EMBEDDINGS, _EMBED, _RERANK, _MODERATIONS)),
    Group(_("Lists and counts"), (_MODELS, _COUNT, _GEMINI_COUNT, _BALANCE, _NOT_MADE)),
)
PAGES: Final[Mapping[str, Page]] = {page.slug: page for group in GROUPS for page in group.pages}
