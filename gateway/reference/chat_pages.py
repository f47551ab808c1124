"""The pages of Chat Completions and of Responses."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.reference.fields import Field
from gateway.reference.page import (
    FREQUENCY,
    LOGIT_BIAS,
    MAX_COST,
    MODEL,
    MODEL_FIELD,
    PASSED,
    PRESENCE,
    SEED,
    STOP,
    STREAM,
    STREAM_OPTIONS,
    TEMPERATURE,
    TOP_P,
    USER,
    N,
    Page,
)

STATE: Final = _("Where the answer is stored, it can be continued for 24 hours.")
CACHE_ID: Final = Field(
    "prompt_cache_key, safety_identifier, service_tier, verbosity", "string", PASSED
)
CHAT: Final = Page(
    "chat-completions",
    _("Chat Completions"),
    _(
        "The answer of a model to a conversation, in OpenAI's form. Every chat model can be "
        "asked so, whatever its provider speaks."
    ),
    ("chat_completions",),
    "/v1/chat/completions",
    (
        MODEL_FIELD,
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
        STREAM,
        STREAM_OPTIONS,
        Field(
            "max_completion_tokens",
            "integer",
            _("The most tokens that are written, reasoning included."),
            limits="≥ 1",
        ),
        Field("max_tokens", "integer", _("The same under its older name."), limits="≥ 1"),
        TEMPERATURE,
        TOP_P,
        N,
        STOP,
        PRESENCE,
        FREQUENCY,
        LOGIT_BIAS,
        SEED,
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
        USER,
        Field("metadata, store, prediction", "object, boolean", PASSED),
        CACHE_ID,
        MAX_COST,
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
RESPONSES: Final = Page(
    "responses",
    _("Responses"),
    _(
        "OpenAI's newer form: items in, items out, with reasoning and stored state. Every chat "
        "model can be asked so."
    ),
    ("responses",),
    "/v1/responses",
    (
        MODEL_FIELD,
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
        STREAM,
        Field(
            "max_output_tokens",
            "integer",
            _("The most tokens that are written, reasoning included."),
            limits="≥ 16",
        ),
        TEMPERATURE,
        TOP_P,
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
        Field("store", "boolean", STATE),
        Field(
            "top_logprobs",
            "integer",
            _("Log probabilities of the tokens, and of that many others in their place."),
            limits="0–20",
        ),
        USER,
        Field("metadata, truncation, background, conversation, stream_options", "object", PASSED),
        CACHE_ID,
        MAX_COST,
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
COMPACT: Final = Page(
    "responses-compact",
    _("Compact a conversation"),
    _(
        "A long conversation as one opaque item that later requests send in its place. Only "
        "models whose provider has it."
    ),
    ("responses_compact",),
    "/v1/responses/compact",
    (
        MODEL_FIELD,
        Field("input", "string | object[]", _("The conversation so far, as items.")),
        Field("instructions", "string", _("The system text of this request alone.")),
        Field("previous_response_id", "string", _("The stored response that this one continues.")),
        MAX_COST,
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
STORED: Final = Page(
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
