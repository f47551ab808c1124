"""Embeddings of Google's models on Vertex AI, for clients of OpenAI's form and of Gemini's.

    :predict       {"instances": [{"content", "task_type"?, "title"?}],
                    "parameters": {"outputDimensionality"?}}
        -> {"predictions": [{"embeddings": {"values", "statistics": {"token_count"}}}]}
    :embedContent  {"content",
                    "embedContentConfig": {"taskType"?, "title"?, "outputDimensionality"?}}
        -> {"embedding": {"values"}, "usageMetadata"}

Gemini's embedding models after the first, and hosted open ones, have the second form, which takes
one text. Source: the official client `google-genai` 3.3, and docs.cloud.google.com, "Text
embeddings API" (2026-11).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.chat.operation import Operation
from dialects.endpoints import embeddings
from dialects.endpoints.embeddings import EmbeddingFacts, Vectors
from dialects.errors.errors import RequestFault
from dialects.gemini.embed import EmbedFacts
from dialects.json.not_json import NOT_JSON
from dialects.openai.unary import (
    NOTHING,
    PlainAnswer,
    answer_fault,
    failure,
    input_quantities,
    open_answer,
)
from dialects.usage.usage import Quantities

OPERATIONS: Final[tuple[Operation, Operation]] = ("predict", "vertex_embed_content")
_FIRST: Final = "gemini-embedding-001"


def operation_of(model: str) -> Operation:
    """Return the operation by which a model, by the provider's name, embeds."""
    single = ("gemini" in model and model != _FIRST) or "maas" in model
    return OPERATIONS[single]


def from_openai(facts: EmbeddingFacts, model: str) -> Encoded:
    """Return the body for a client of OpenAI's form. Raises RequestFault for what the model cannot
    embed."""
    # The checks and the dropped members are those of Gemini's own API.
    dropped = embeddings.to_gemini(facts, model).dropped
    body = _encode(facts.texts or (), model, facts.dimensions, "", "", "input")
    return Encoded(body, dropped)


def from_gemini(facts: EmbedFacts, model: str) -> Encoded:
    """Return the body for a client of Gemini's form. Raises RequestFault for what the model cannot
    embed."""
    name = "requests" if facts.batch else "content"
    return Encoded(
        _encode(facts.texts, model, facts.dimensions, facts.task_type, facts.title, name)
    )


def _encode(
    texts: Sequence[str],
    model: str,
    dimensions: int | None,
    task_type: str,
    title: str,
    param: str,
) -> bytes:
    if operation_of(model) == "predict":
        settings = _present(task_type=task_type, title=title)
        body: dict[str, Any] = {"instances": [{"content": text, **settings} for text in texts]}
        if dimensions is not None:
            body["parameters"] = {"outputDimensionality": dimensions}
        return msgspec.json.encode(body)
    if len(texts) > 1:
        what = f"{param} must be one text for this model: its provider embeds one at a time"
        raise RequestFault("unsupported_capability", param, what)
    parts = [{"text": text} for text in texts]
    config = _present(taskType=task_type, title=title, outputDimensionality=dimensions)
    body = {"content": {"role": "user", "parts": parts}}
    return msgspec.json.encode(body | _present(embedContentConfig=config))


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def read_answer(raw: bytes) -> PlainAnswer:
    """Read an answer in either form. Never raises."""
    try:
        vectors = decode_answer(raw)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(vectors.quantities, vectors.usage)


def decode_answer(raw: bytes, inputs: int | None = None) -> Vectors:
    """Return the embeddings of an answer in either form. Raises AnswerFault, also if their number
    differs from the `inputs`."""
    members = open_answer(raw)
    if "predictions" not in members:
        return embeddings.decode_gemini_answer(raw, inputs)
    try:
        predictions = _answer.decode(raw).predictions
    except NOT_JSON:
        raise answer_fault("F15") from None
    rows = [one.embeddings for one in predictions]
    if not rows or not all(row.values for row in rows) or inputs not in (None, len(rows)):
        raise answer_fault("F24")
    counts = [row.statistics.token_count for row in rows]
    return Vectors(tuple(row.values for row in rows), "", _usage(members), _quantities(counts))


def _usage(members: Mapping[str, msgspec.Raw]) -> bytes | None:
    usage = bytes(members.get("metadata", b""))
    return usage if usage.startswith(b"{") else None


def _quantities(counts: Sequence[int | float | None]) -> Quantities:
    """Return the sum of the counts, which some models write as 4.0."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return NOTHING
    whole = [count for count in map(_whole, known) if count is not None]
    if len(whole) < len(known):
        return Quantities({}, ("usage_not_integer",))
    if min(whole) < 0:
        return Quantities({}, ("usage_negative",))
    return input_quantities(msgspec.json.encode({"total_tokens": sum(whole)}))


def _whole(count: int | float) -> int | None:
    return count if isinstance(count, int) else (int(count) if count.is_integer() else None)


class _Statistics(msgspec.Struct):
    token_count: int | float | None = None


class _Embedding(msgspec.Struct):
    values: tuple[float, ...] = ()
    statistics: _Statistics = msgspec.field(default_factory=_Statistics)


class _Prediction(msgspec.Struct):
    embeddings: _Embedding


class _Answer(msgspec.Struct):
    predictions: list[_Prediction] = []


_answer = msgspec.json.Decoder(_Answer)
