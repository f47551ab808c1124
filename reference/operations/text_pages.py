"""The pages of completions, edits, vectors, rankings and moderations."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import (
    EMBEDDING_MODEL,
    MODEL,
    MODERATION_MODEL,
    RERANK_MODEL,
)
from reference.operations.page import (
    FREQUENCY,
    LOGIT_BIAS,
    MAX_COST,
    MODEL_FIELD,
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

COMPLETIONS: Final = ReferencePage(
    slug="completions",
    title=_("Completions"),
    summary=_(
        "The older format: continues a text. For models that only support chat, the text is "
        "sent as a message. Each text in a list is a separate request on the Requests page."
    ),
    operations=("completions",),
    path="/v1/completions",
    fields=(
        MODEL_FIELD,
        Field(
            "prompt",
            "string | string[] | integer[]",
            _(
                "The text to continue. A list returns an answer for each text. Token IDs are "
                "only supported for models whose provider has this endpoint."
            ),
            True,
        ),
        Field(
            "max_tokens", "integer", _("The maximum number of tokens to generate."), limits="≥ 0"
        ),
        STREAM,
        STREAM_OPTIONS,
        TEMPERATURE,
        TOP_P,
        N,
        Field(
            "best_of, echo, suffix, logprobs",
            "integer, boolean, string",
            _("Only for models whose provider has this endpoint."),
            limits="0–20, –, –, 0–5",
        ),
        STOP,
        PRESENCE,
        FREQUENCY,
        LOGIT_BIAS,
        SEED,
        USER,
        MAX_COST,
    ),
    example={"model": MODEL, "prompt": "Rivers meander because", "max_tokens": 40},
    answer="""{
  "id": "cmpl-1", "object": "text_completion", "created": 1767100000,
  "model": "gpt-4o-mini",
  "choices": [{"text": " bends grow.", "index": 0, "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
}""",
)
EDITS: Final = ReferencePage(
    slug="edits",
    title=_("Edits"),
    summary=_(
        "Changes a text as instructed. No provider offers this endpoint any more, so a chat model"
        " does the work."
    ),
    operations=("edits",),
    path="/v1/edits",
    fields=(
        MODEL_FIELD,
        Field("instruction", "string", _("What to change."), True),
        Field("input", "string", _("The text to change.")),
        N,
        TEMPERATURE,
        TOP_P,
        USER,
        MAX_COST,
    ),
    example={"model": MODEL, "input": "She go home", "instruction": "Fix the grammar"},
    answer="""{
  "object": "edit", "created": 1767100001,
  "choices": [{"text": "She goes home", "index": 0}],
  "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
}""",
)
EMBEDDINGS: Final = ReferencePage(
    slug="embeddings",
    title=_("Embeddings"),
    summary=_("Turns texts into vectors, in OpenAI's format. Works with every embedding model."),
    operations=("embeddings",),
    path="/v1/embeddings",
    fields=(
        Field(
            "model",
            "string",
            _(
                "The model to use. See GET /v1/models. On /v1/engines/{model}/embeddings it "
                "is in the path."
            ),
            True,
        ),
        Field(
            "input",
            "string | string[] | integer[]",
            _("What to embed: a string, a list of strings, or token IDs."),
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
            _("The length of the vectors, for models that can shorten them."),
            limits="≥ 1",
        ),
        USER,
        MAX_COST,
    ),
    example={"model": EMBEDDING_MODEL, "input": "Rivers meander", "encoding_format": "float"},
    answer="""{
  "object": "list",
  "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
  "model": "text-embedding-3-small",
  "usage": {"prompt_tokens": 3, "total_tokens": 3}
}""",
)
EMBED: Final = ReferencePage(
    slug="embed-content",
    title=_("Embed content"),
    summary=_("Turns texts into vectors, in Gemini's format, one at a time or in a batch."),
    operations=("embed_content", "batch_embed_contents"),
    path=f"/v1beta/models/{EMBEDDING_MODEL}:embedContent",
    fields=(
        Field("content", "object", _("What to embed, as parts with text."), True),
        Field(
            "requests",
            "object[]",
            _("For batchEmbedContents: one object like the above for each text."),
        ),
        Field(
            "outputDimensionality",
            "integer",
            _("The length of the vectors, for models that can shorten them."),
        ),
        Field("taskType, title", "string", _("Passed on to Gemini, dropped for others.")),
    ),
    example={"content": {"parts": [{"text": "Rivers meander"}]}},
    answer="""{"embedding": {"values": [0.0123, -0.0456]}}""",
)
RERANK: Final = ReferencePage(
    slug="rerank",
    title=_("Rerank"),
    summary=_(
        "Sorts documents by how well they answer a query. /v2/rerank returns Cohere's "
        "format, the others Jina's."
    ),
    operations=("rerank",),
    path="/v1/rerank",
    fields=(
        MODEL_FIELD,
        Field("query", "string", _("The search query."), True),
        Field(
            "documents",
            "string[] | object[]",
            _("The documents to rank: strings, or objects with text."),
            True,
        ),
        Field(
            "top_n",
            "integer",
            _("How many of the best results to return. Default: all."),
            limits="≥ 1",
        ),
        Field("return_documents", "boolean", _("Whether the response includes the documents.")),
        Field("max_tokens_per_doc", "integer", _("Where to cut off documents, for /v2/rerank.")),
        MAX_COST,
    ),
    example={
        "model": RERANK_MODEL,
        "query": "Why do rivers meander?",
        "documents": ["Bends grow by erosion.", "Rivers are wet."],
        "top_n": 1,
    },
    answer="""{
  "model": "rerank-v3.5", "object": "list",
  "results": [{"index": 0, "relevance_score": 0.93}],
  "usage": {"prompt_tokens": 24, "total_tokens": 24}
}""",
)
MODERATIONS: Final = ReferencePage(
    slug="moderations",
    title=_("Moderations"),
    summary=_("Checks whether texts or images are harmful, and in which way."),
    operations=("moderations",),
    path="/v1/moderations",
    fields=(
        Field(
            "input",
            "string | string[] | object[]",
            _("Texts, or parts of type text and image_url."),
            True,
        ),
        Field("model", "string", _("The model to use. Default: omni-moderation-latest.")),
        MAX_COST,
    ),
    example={"model": MODERATION_MODEL, "input": "Rivers meander"},
    answer="""{
  "id": "modr-1", "model": "omni-moderation-latest",
  "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.0001}}]
}""",  # noqa: E501
)
