"""The page of Amazon's form."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import MODEL
from reference.operations.page import FALLBACKS, MAX_COST, TEMPERATURE, TOP_P, Field, ReferencePage

CONVERSE: Final = ReferencePage(
    slug="converse",
    title=_("Converse"),
    summary=_(
        "Amazon Bedrock's format, streaming or not. Works with every chat model, and with Amazon's "
        "own clients."
    ),
    operations=("converse", "converse_stream"),
    path=f"/model/{MODEL}/converse",
    fields=(
        Field(
            "{model}",
            "string",
            _("The model to use, in the path: its name here, or its name at Bedrock."),
            True,
        ),
        Field(
            "messages",
            "object[]",
            _(
                "The conversation. Roles: user and assistant. Content is blocks: text, image, "
                "document, video, audio, toolUse, toolResult, reasoningContent, cachePoint."
            ),
            True,
        ),
        Field("system", "object[]", _("The system prompt, as blocks: text and cachePoint.")),
        Field(
            "inferenceConfig.maxTokens",
            "integer",
            _("The maximum number of tokens to generate, including reasoning."),
            limits="≥ 1",
        ),
        Field("inferenceConfig.temperature", "number", TEMPERATURE.meaning, limits="0–2"),
        Field("inferenceConfig.topP", "number", TOP_P.meaning, limits="0–1"),
        Field("inferenceConfig.stopSequences", "string[]", _("Sequences that end the answer.")),
        Field(
            "toolConfig",
            "object",
            _(
                "tools: toolSpec with name, description, inputSchema.json; toolChoice: auto, any "
                "or tool."
            ),
        ),
        Field(
            "outputConfig", "object", _("effort, and textFormat: a schema the answer must match.")
        ),
        Field(
            "additionalModelRequestFields",
            "object",
            _("thinking, reasoning_effort, reasoningConfig and top_k work with every model."),
        ),
        Field("serviceTier.type", "string", _("default, flex or priority.")),
        Field(
            "guardrailConfig",
            "object",
            _("Rejected: a guardrail belongs to one AWS account. Operators set it for a channel."),
        ),
        MAX_COST,
        FALLBACKS,
    ),
    example={
        "system": [{"text": "Answer in one sentence."}],
        "messages": [{"role": "user", "content": [{"text": "Why do rivers meander?"}]}],
        "inferenceConfig": {"maxTokens": 100},
    },
    answer="""{
  "output": {"message": {"role": "assistant", "content": [{"text": "Because …"}]}},
  "stopReason": "end_turn",
  "usage": {
    "inputTokens": 24, "outputTokens": 31, "totalTokens": 55,
    "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0
  },
  "metrics": {"latencyMs": 820}
}""",
    notes=(
        _(
            "The API key is sent as a Bedrock API key: AWS_BEARER_TOKEN_BEDROCK. A request that is "
            "signed with AWS credentials needs it in x-api-key."
        ),
        _("Streams are Amazon's binary event stream, without keep-alives."),
        _("Errors on this path use Amazon's format: __type, message, and x-amzn-errortype."),
    ),
)
