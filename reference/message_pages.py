"""The pages of Anthropic's and of Google's forms."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.examples import MODEL
from reference.fields import Field
from reference.page import CONTENTS, MAX_COST, MODEL_FIELD, PASSED, STREAM, TOP_P, ReferencePage

MESSAGES: Final = ReferencePage(
    "messages",
    _("Messages"),
    _(
        "Anthropic's form. Every chat model can be asked so, and coding agents made for Claude "
        "work with it."
    ),
    ("messages",),
    "/v1/messages",
    (
        MODEL_FIELD,
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
        STREAM,
        Field(
            "temperature", "number", _("Randomness; low is focused, high is varied."), limits="0–1"
        ),
        TOP_P,
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
            "service_tier, container, mcp_servers, context_management", "string | object", PASSED
        ),
        Field(
            "anthropic-version, anthropic-beta",
            "header",
            _("Sent on to Anthropic; neither is required."),
        ),
        MAX_COST,
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
GEMINI: Final = ReferencePage(
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
        CONTENTS,
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
