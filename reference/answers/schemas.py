"""The members of whole answers, by the page of their operation. A name with `[]` is each item of an
array; several names with the same meaning are separated by commas."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.all_pages import PAGES
from reference.operations.page import Field

_ID: Final = _("The ID of the response.")
_ANSWERED_BY: Final = _(
    "The model you requested if the provider uses another name for it, otherwise the "
    "provider's own name, which may end with a date."
)
_INPUT_TOKENS: Final = _("Input tokens, including cached ones.")
_OUTPUT_TOKENS: Final = _("Output tokens, including reasoning.")
_TOTAL_TOKENS: Final = _("Total of both.")
_ECHOED: Final = _("The settings of the request.")

_CHAT: Final = (
    Field("id", "string", _ID),
    Field("object", "string", _("chat.completion; chat.completion.chunk in a stream.")),
    Field("created", "integer", _("Creation time, in seconds since 1970.")),
    Field("model", "string", _ANSWERED_BY),
    Field("choices[].index", "integer", _("Index of the answer, from 0.")),
    Field("choices[].message.role", "string", _("Always assistant.")),
    Field("choices[].message.content", "string | null", _("The text of the answer.")),
    Field(
        "choices[].message.reasoning_content",
        "string",
        _("The model's reasoning, if its provider shows it."),
    ),
    Field("choices[].message.refusal", "string | null", _("Why the model refused to answer.")),
    Field("choices[].message.tool_calls", "object[]", _("Calls: id, type, function.")),
    Field("choices[].message.annotations", "object[]", _("Citations: url_citation.")),
    Field("choices[].message.audio", "object", _("A spoken answer: id, data, transcript.")),
    Field(
        "choices[].finish_reason",
        "string",
        _("Why it ended: stop, length, tool_calls, content_filter, function_call."),
    ),
    Field("choices[].logprobs", "object | null", _("Log probabilities, if requested.")),
    Field("usage.prompt_tokens", "integer", _INPUT_TOKENS),
    Field("usage.completion_tokens", "integer", _OUTPUT_TOKENS),
    Field("usage.total_tokens", "integer", _TOTAL_TOKENS),
    Field(
        "usage.prompt_tokens_details",
        "object",
        _("For input: cached_tokens, text_tokens, audio_tokens, image_tokens."),
    ),
    Field(
        "usage.completion_tokens_details",
        "object",
        _("For output: reasoning_tokens, text_tokens, audio_tokens, and predictions."),
    ),
    Field("service_tier, system_fingerprint", "string", _("As reported by the provider.")),
)
_RESPONSES: Final = (
    Field("id", "string", _ID),
    Field("object", "string", _("response; response.compaction of a compaction.")),
    Field("created_at", "integer", _("Creation time, in seconds since 1970.")),
    Field(
        "status",
        "string",
        _(
            "completed, incomplete, failed or in_progress; queued and cancelled only in the "
            "background."
        ),
    ),
    Field("incomplete_details", "object | null", _("reason: max_output_tokens, content_filter.")),
    Field("error", "object | null", _("The error: code and message.")),
    Field("model", "string", _ANSWERED_BY),
    Field(
        "output[].type",
        "string",
        _("message, reasoning, function_call, custom_tool_call, web_search_call and others."),
    ),
    Field("output[].id, output[].status", "string", _("For each item.")),
    Field("output[].role, output[].content", "string, object[]", _("For a message.")),
    Field(
        "output[].summary, output[].encrypted_content",
        "object[], string",
        _("For reasoning: its visible part and its signature, to be sent back unchanged."),
    ),
    Field("output[].action", "object", _("For a search: the query.")),
    Field("usage.input_tokens", "integer", _INPUT_TOKENS),
    Field("usage.output_tokens", "integer", _OUTPUT_TOKENS),
    Field("usage.total_tokens", "integer", _TOTAL_TOKENS),
    Field("usage.input_tokens_details", "object", _("cached_tokens, cache_write_tokens.")),
    Field("usage.output_tokens_details", "object", _("reasoning_tokens.")),
    Field(
        "background, instructions, max_output_tokens, max_tool_calls, metadata, "
        "parallel_tool_calls, previous_response_id, prompt_cache_key, reasoning, "
        "safety_identifier, service_tier, store, temperature, text, tool_choice, tools, "
        "top_logprobs, top_p, truncation, user",
        "",
        _ECHOED,
    ),
)
_MESSAGES: Final = (
    Field("id", "string", _ID),
    Field("type, role", "string", _("message, and always assistant.")),
    Field("model", "string", _ANSWERED_BY),
    Field("content[].type", "string", _("text, thinking, redacted_thinking, tool_use and others.")),
    Field("content[].text", "string", _("For text.")),
    Field(
        "content[].thinking, content[].signature, content[].data",
        "string",
        _("The reasoning and its signature, to be sent back unchanged."),
    ),
    Field(
        "content[].id, content[].name, content[].input",
        "string, string, object",
        _("For a call: its id, the tool, and its arguments."),
    ),
    Field(
        "stop_reason",
        "string",
        _("Why it ended: end_turn, max_tokens, stop_sequence, tool_use, pause_turn, refusal."),
    ),
    Field("stop_sequence", "string | null", _("The stop sequence that ended it.")),
    Field("usage.input_tokens", "integer", _("Input tokens that were not cached.")),
    Field(
        "usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.cache_creation",
        "integer, integer, object",
        _("Tokens read from the cache, and written to it for 5 minutes or 1 hour."),
    ),
    Field("usage.output_tokens", "integer", _OUTPUT_TOKENS),
    Field("usage.output_tokens_details, usage.service_tier", "", _("As reported by the provider.")),
)
_GEMINI: Final = (
    Field("candidates[].index", "integer", _("Index of the answer, from 0.")),
    Field(
        "candidates[].content",
        "object",
        _("role model, and parts: text, functionCall, inlineData; thought: true marks thoughts."),
    ),
    Field("candidates[].finishReason", "string", _("Why it ended: STOP, MAX_TOKENS, SAFETY …")),
    Field("candidates[].safetyRatings", "object[]", _("As reported by the provider.")),
    Field("candidates[].groundingMetadata", "object", _("Search queries and results.")),
    Field("promptFeedback", "object", _("blockReason, if the input was blocked.")),
    Field("usageMetadata.promptTokenCount", "integer", _INPUT_TOKENS),
    Field("usageMetadata.candidatesTokenCount", "integer", _("Output tokens.")),
    Field("usageMetadata.thoughtsTokenCount", "integer", _("Reasoning tokens.")),
    Field("usageMetadata.toolUsePromptTokenCount", "integer", _("Tokens of tool results.")),
    Field("usageMetadata.totalTokenCount", "integer", _("Total tokens.")),
    Field(
        "usageMetadata.promptTokensDetails, usageMetadata.candidatesTokensDetails, "
        "usageMetadata.toolUsePromptTokensDetails",
        "object[]",
        _("The same by kind: TEXT, IMAGE, AUDIO."),
    ),
    Field("modelVersion", "string", _ANSWERED_BY),
    Field("responseId", "string", _ID),
)

SCHEMAS: Final[Mapping[str, tuple[Field, ...]]] = MappingProxyType(
    {
        "chat-completions": _CHAT,
        "responses": _RESPONSES,
        "messages": _MESSAGES,
        "generate-content": _GEMINI,
        **{slug: page.members for slug, page in PAGES.items() if page.members},
    }
)
