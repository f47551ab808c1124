"""The pages of Anthropic's and of Google's forms."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import MODEL
from reference.operations.page import (
    CONTENTS,
    FALLBACKS,
    MAX_COST,
    MODEL_FIELD,
    PASSED,
    STREAM,
    TOP_P,
    Field,
    ReferencePage,
)

MESSAGES: Final = ReferencePage(
    slug="messages",
    title=_("Messages"),
    summary=_(
        "Anthropic's format. Works with every chat model, and with coding agents made for Claude."
    ),
    operations=("messages",),
    path="/v1/messages",
    fields=(
        MODEL_FIELD,
        Field("max_tokens", "integer", _("The maximum number of tokens to generate."), True, "≥ 1"),
        Field(
            "messages",
            "object[]",
            _(
                "The conversation. Roles: user and assistant. Content is a string or blocks: "
                "text, image, document, tool_use, tool_result, thinking."
            ),
            True,
        ),
        Field(
            "system",
            "string | object[]",
            _("The system prompt. Its blocks may have cache_control."),
        ),
        STREAM,
        Field(
            "temperature",
            "number",
            _("Randomness. Lower is more focused, higher is more varied."),
            limits="0–1",
        ),
        TOP_P,
        Field("top_k", "integer", _("Only considers this many of the most likely tokens.")),
        Field("stop_sequences", "string[]", _("Sequences that end the answer.")),
        Field(
            "tools",
            "object[]",
            _("Functions: name, description, input_schema; and Anthropic's own tools by type."),
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
        Field("output_config", "object", _("effort, and format: a schema the answer must match.")),
        Field("metadata", "object", _("user_id: an ID of your end user.")),
        Field(
            "service_tier, container, mcp_servers, context_management", "string | object", PASSED
        ),
        Field(
            "anthropic-version, anthropic-beta",
            "header",
            _("Passed on to Anthropic. Neither is required."),
        ),
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "model": MODEL,
        "max_tokens": 100,
        "system": "Answer in one sentence.",
        "messages": [{"role": "user", "content": "Why do rivers meander?"}],
    },
    answer="""{
  "id": "msg_1", "type": "message", "role": "assistant", "model": "gpt-4o-mini",
  "content": [{"type": "text", "text": "Because …"}],
  "stop_reason": "end_turn", "stop_sequence": null,
  "usage": {
    "input_tokens": 24, "output_tokens": 31,
    "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0
  }
}""",
    notes=(
        _("input_tokens does not include tokens read from a cache."),
        _("Errors on this path use Anthropic's format: type, error, request_id."),
    ),
)
GEMINI: Final = ReferencePage(
    slug="generate-content",
    title=_("Generate content"),
    summary=_("Gemini's format, streaming or not. Works with every chat model."),
    operations=("generate_content", "stream_generate_content"),
    path=f"/v1beta/models/{MODEL}:generateContent",
    fields=(
        Field(
            "{model}",
            "string",
            _("The model to use, in the path. See GET /v1/models."),
            True,
        ),
        CONTENTS,
        Field("systemInstruction", "object", _("The system prompt, as parts.")),
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
            "generationConfig.maxOutputTokens",
            "integer",
            _("The maximum number of tokens to generate."),
        ),
        Field(
            "generationConfig.temperature, topP, topK",
            "number",
            _("Randomness. Lower is more focused, higher is more varied."),
            limits="0–2, 0–1",
        ),
        Field(
            "generationConfig.stopSequences",
            "string[]",
            _("Sequences that end the answer."),
            limits="≤ 5",
        ),
        Field(
            "generationConfig.candidateCount",
            "integer",
            _("How many answers to generate. Each is charged."),
        ),
        Field(
            "generationConfig.responseMimeType, responseSchema, responseJsonSchema",
            "string, object",
            _("Returns JSON, and the schema it must match."),
        ),
        Field(
            "generationConfig.thinkingConfig",
            "object",
            _("thinkingBudget or thinkingLevel, and includeThoughts."),
        ),
        Field(
            "generationConfig.responseModalities, speechConfig, imageConfig",
            "string[], object",
            _("What kinds of output the model may produce."),
        ),
        Field(
            "generationConfig.seed, presencePenalty, frequencyPenalty, responseLogprobs, logprobs",
            "number",
            _("As in Chat Completions."),
        ),
        Field(
            "safetySettings, cachedContent",
            "object[], string",
            _("Passed on to Gemini, dropped for others."),
        ),
        Field(
            "alt",
            "query",
            _(
                "sse: a stream of server-sent events. Without it, a JSON array whose "
                "elements are sent as they arrive."
            ),
        ),
        Field(
            "key",
            "query",
            _("The API key, if a header cannot be set. It is removed before anything is logged."),
        ),
    ),
    example={
        "contents": [{"role": "user", "parts": [{"text": "Why do rivers meander?"}]}],
        "generationConfig": {"maxOutputTokens": 100},
    },
    answer="""{
  "candidates": [
    {
      "content": {"role": "model", "parts": [{"text": "Because …"}]},
      "finishReason": "STOP", "index": 0
    }
  ],
  "usageMetadata": {"promptTokenCount": 14, "candidatesTokenCount": 31, "totalTokenCount": 45}
}""",
    notes=(
        _("Names may also be written in snake_case."),
        _("Errors on this path use Google's format: code, message, status."),
    ),
)
