"""The pages of Chat Completions and of Responses."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import MODEL
from reference.operations.page import (
    FALLBACKS,
    FREQUENCY,
    LOGIT_BIAS,
    MAX_COST,
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
    Field,
    N,
    ReferencePage,
)

STATE: Final = _("Whether the response is stored. A stored response can be continued for 24 hours.")
CACHE_ID: Final = Field(
    "prompt_cache_key, safety_identifier, service_tier, verbosity", "string", PASSED
)
PROMPT: Final = Field(
    "prompt",
    "object",
    _(
        "A saved prompt: id, version (a number or a label), variables (texts by name). It fills in "
        "what the request leaves out. IDs that begin with pmpt_ are left to the provider."
    ),
)
CHAT: Final = ReferencePage(
    slug="chat-completions",
    title=_("Chat Completions"),
    summary=_(
        "A model's answer to a conversation, in OpenAI's format. Works with every chat "
        "model, whichever API its provider uses."
    ),
    operations=("chat_completions",),
    path="/v1/chat/completions",
    fields=(
        MODEL_FIELD,
        Field(
            "messages",
            "object[]",
            _(
                "The conversation, oldest message first. Roles: system, developer, user, "
                "assistant, tool. Content is a string or a list of parts: text, image_url, "
                "input_audio, file, video_url."
            ),
            True,
            "≥ 1",
        ),
        STREAM,
        STREAM_OPTIONS,
        Field(
            "max_completion_tokens",
            "integer",
            _("The maximum number of tokens to generate, including reasoning."),
            limits="≥ 1",
        ),
        Field("max_tokens", "integer", _("The older name of the same parameter."), limits="≥ 1"),
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
                "Functions the model may call, with JSON Schemas of their arguments, and "
                "custom tools with free-text input."
            ),
            limits="≤ 128",
        ),
        Field("tool_choice", "string | object", _("none, auto, required, or a function by name.")),
        Field(
            "parallel_tool_calls",
            "boolean",
            _("Whether the model may call several functions in one turn."),
        ),
        Field(
            "response_format",
            "object",
            _("text, json_object, or json_schema with a schema the answer must match."),
        ),
        Field(
            "reasoning_effort",
            "string",
            _("How much the model thinks. An unsupported level is replaced by the nearest one."),
            limits="none, minimal, low, medium, high, xhigh, max",
        ),
        Field(
            "thinking, enable_thinking",
            "object | boolean",
            _(
                "The thinking switch of DeepSeek, GLM, Doubao, Kimi and Qwen. Also supported "
                "for Claude and Gemini."
            ),
        ),
        Field(
            "modalities",
            "string[]",
            _("What kinds of output the model may produce."),
            limits="text, audio, image",
        ),
        Field("audio", "object", _("Voice and format of a spoken answer.")),
        Field(
            "logprobs, top_logprobs",
            "boolean, integer",
            _("Returns log probabilities of the tokens and of this many alternatives."),
            limits="0–20",
        ),
        Field(
            "web_search_options, search_parameters",
            "object",
            _("Web search, for models that support it."),
        ),
        Field("parameters", "object", _("Qwen's own settings, such as enable_search.")),
        Field(
            "functions, function_call",
            "object[], string | object",
            _("The older form of tools. The answer uses the older form too."),
        ),
        USER,
        Field("metadata, store, prediction", "object, boolean", PASSED),
        CACHE_ID,
        PROMPT,
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "Why do rivers meander?"},
        ],
        "max_completion_tokens": 100,
    },
    answer="""{
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
    notes=(
        _("finish_reason is stop, length, tool_calls, content_filter or function_call."),
        _(
            "When streaming, the answer arrives in chunks with a delta and ends with data: "
            "[DONE]. If an error occurs after the first chunk, it is sent as a chunk with "
            "error, and no [DONE] follows."
        ),
        _("A model's reasoning is in reasoning_content, if its provider shows it."),
    ),
)
RESPONSES: Final = ReferencePage(
    slug="responses",
    title=_("Responses"),
    summary=_(
        "OpenAI's newer format: items in, items out, with reasoning and stored state. Works "
        "with every chat model."
    ),
    operations=("responses",),
    path="/v1/responses",
    fields=(
        MODEL_FIELD,
        Field(
            "input",
            "string | object[]",
            _(
                "A string, or items: messages, function_call, custom_tool_call, the outputs "
                "of both, reasoning, or item_reference to a stored item. Files are "
                "input_file with file_url or file_data, 50 MB in total."
            ),
            True,
        ),
        Field("instructions", "string", _("The system prompt, for this request only.")),
        STREAM,
        Field(
            "max_output_tokens",
            "integer",
            _("The maximum number of tokens to generate, including reasoning."),
            limits="≥ 16",
        ),
        TEMPERATURE,
        TOP_P,
        Field(
            "tools",
            "object[]",
            _(
                "Functions, in flat form: type, name, description, parameters, strict; "
                "custom tools with free-text input; and the provider's built-in tools."
            ),
        ),
        Field("tool_choice", "string | object", _("none, auto, required, or a function by name.")),
        Field(
            "parallel_tool_calls, max_tool_calls",
            "boolean, integer",
            _("Whether the model may call several functions in one turn, and how many in total."),
        ),
        Field(
            "reasoning",
            "object",
            _("effort: how much the model thinks; summary: auto, concise or detailed."),
        ),
        Field(
            "text",
            "object",
            _("format: text, json_object or json_schema with its schema; verbosity."),
        ),
        Field("include", "string[]", _("Additional output, such as reasoning.encrypted_content.")),
        Field("previous_response_id", "string", _("The stored response to continue from.")),
        Field("store", "boolean", STATE),
        Field(
            "top_logprobs",
            "integer",
            _("Returns log probabilities of the tokens and of this many alternatives."),
            limits="0–20",
        ),
        USER,
        Field(
            "background",
            "boolean",
            _(
                "Runs the response in the background: the answer is the queued response, which GET "
                "shows until it has ended. Works with every model; needs a stored response."
            ),
        ),
        Field("metadata, truncation, conversation, stream_options", "object", PASSED),
        CACHE_ID,
        PROMPT,
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "model": MODEL,
        "instructions": "Answer in one sentence.",
        "input": "Why do rivers meander?",
        "max_output_tokens": 100,
    },
    answer="""{
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
    notes=(
        _(
            "When streaming, every event has a type and a sequence_number. The last one is "
            "response.completed, response.incomplete or response.failed."
        ),
        _(
            "status is completed, or incomplete with incomplete_details.reason max_output_tokens "
            "or content_filter."
        ),
        _(
            "The same path accepts a WebSocket. A response.create event has the body of a request, "
            "without stream; stream_id names one of up to 32 lanes, and generate: false only "
            "prepares the input. Each event of the response is a text message. "
            "previous_response_id continues a response of the connection with store: false too, "
            "and response.steer adds user messages to a running one. Each response is limited, "
            "charged and recorded like a request."
        ),
        _(
            "With background: true the request is admitted, limited and charged like any other, "
            "and goes on when its client leaves. With stream: true too, the stream begins with "
            "response.created and response.queued, and can be resumed."
        ),
        _(
            "A WebSocket lasts at most 60 minutes, and 15 while nothing is sent. It also ends when "
            "its key ends (close code 1008), and when the hub restarts (1012): what runs is "
            "finished, what waits is rejected. An error event says why; then open another one."
        ),
    ),
)
COMPACT: Final = ReferencePage(
    slug="responses-compact",
    title=_("Compact a conversation"),
    summary=_(
        "Turns a long conversation into one item that later requests send in its place. Where the "
        "model’s provider cannot do this, the model writes a summary, which every model can read."
    ),
    operations=("responses_compact",),
    path="/v1/responses/compact",
    fields=(
        MODEL_FIELD,
        Field("input", "string | object[]", _("The conversation so far, as items.")),
        Field("instructions", "string", _("The system prompt, for this request only.")),
        Field("previous_response_id", "string", _("The stored response to continue from.")),
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "model": MODEL,
        "input": [
            {"role": "user", "content": "Why do rivers meander?"},
            {"role": "assistant", "content": "Because bends grow."},
        ],
    },
    answer="""{
  "id": "resp_2", "object": "response.compaction",
  "output": [{"type": "compaction", "encrypted_content": "…"}],
  "usage": {"input_tokens": 60, "output_tokens": 20, "total_tokens": 80}
}""",
)
STORED: Final = ReferencePage(
    slug="stored-responses",
    title=_("Stored responses"),
    summary=_(
        "Retrieves a stored response, lists its input, cancels it while it runs in the background, "
        "or deletes it. Only the API key that created it can use it. Responses are deleted after "
        "24 hours."
    ),
    operations=("response", "response_items", "response_cancel"),
    path="/v1/responses/resp_1",
    fields=(
        Field("id", "string", _("The response ID, in the path."), True),
        Field(
            "stream, starting_after",
            "boolean, integer",
            _(
                "GET with stream=true returns the events of a response that runs or ran in the "
                "background, from the one after this sequence_number; in the query."
            ),
        ),
        Field(
            "limit, after, order",
            "integer, string",
            _("Paging of input_items and its order, asc or desc; in the query."),
            limits="1–100",
        ),
    ),
    example=None,
    answer="""{"id": "resp_1", "object": "response", "status": "completed", "output": [ … ]}""",
    notes=(
        _("DELETE returns deleted: true."),
        _(
            "A response that runs in the background has the status queued or in_progress, then "
            "completed, incomplete, failed or cancelled."
        ),
        _(
            "Cancelling ends a response that runs in the background, and returns it; what was "
            "used until then is charged, as when a client leaves. One that has ended is returned "
            "as it is. The stream of a cancelled response ends without a last event. Other "
            "responses get 400."
        ),
    ),
    argument="resp_1",
)
