"""The pages of completions, edits, vectors, rankings and moderations."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.examples import EMBEDDING_MODEL, MODEL, MODERATION_MODEL, RERANK_MODEL
from reference.fields import Field
from reference.page import (
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
    N,
    ReferencePage,
)

COMPLETIONS: Final = ReferencePage(
    "completions",
    _("Completions"),
    _(
        "The older form: a text is continued. A model that only chats is asked with the text as "
        "one message, once for each text of a list; each is a request of its own in the log."
    ),
    ("completions",),
    "/v1/completions",
    (
        MODEL_FIELD,
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
    {"model": MODEL, "prompt": "Rivers meander because", "max_tokens": 40},
    """{
  "id": "cmpl-1", "object": "text_completion", "created": 1767100000,
  "model": "gpt-4o-mini",
  "choices": [{"text": " bends grow.", "index": 0, "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
}""",
)
EDITS: Final = ReferencePage(
    "edits",
    _("Edits"),
    _(
        "A text changed by an instruction. No provider has this endpoint any more; a chat model "
        "does the work."
    ),
    ("edits",),
    "/v1/edits",
    (
        MODEL_FIELD,
        Field("instruction", "string", _("What is to be changed."), True),
        Field("input", "string", _("The text.")),
        N,
        TEMPERATURE,
        TOP_P,
        USER,
        MAX_COST,
    ),
    {"model": MODEL, "input": "She go home", "instruction": "Fix the grammar"},
    """{
  "object": "edit", "created": 1767100001,
  "choices": [{"text": "She goes home", "index": 0}],
  "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
}""",
)
EMBEDDINGS: Final = ReferencePage(
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
        USER,
        MAX_COST,
    ),
    {"model": EMBEDDING_MODEL, "input": "Rivers meander", "encoding_format": "float"},
    """{
  "object": "list",
  "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
  "model": "text-embedding-3-small",
  "usage": {"prompt_tokens": 3, "total_tokens": 3}
}""",
)
EMBED: Final = ReferencePage(
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
RERANK: Final = ReferencePage(
    "rerank",
    _("Rerank"),
    _(
        "Documents in the order in which they answer a query. /v2/rerank answers in Cohere's "
        "form, the others in Jina's."
    ),
    ("rerank",),
    "/v1/rerank",
    (
        MODEL_FIELD,
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
        MAX_COST,
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
MODERATIONS: Final = ReferencePage(
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
        MAX_COST,
    ),
    {"model": MODERATION_MODEL, "input": "Rivers meander"},
    """{
  "id": "modr-1", "model": "omni-moderation-latest",
  "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.0001}}]
}""",  # noqa: E501
)
