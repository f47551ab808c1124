"""embedContent and batchEmbedContents: texts in, vectors out.

    {"content": {"parts": [{"text"}]}, "taskType", "title", "outputDimensionality"}
        -> {"embedding": {"values": [...]}}
    {"requests": [{"model", ...the same}]}
        -> {"embeddings": [{"values": [...]}]}

If the answer has no usage, the texts are counted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.errors import RequestFault
from dialects.gemini.names import camel, read_objects
from dialects.json.body import Body, read_body
from dialects.json.members import Members, check_model, read_members
from dialects.json.not_json import NOT_JSON

INPUTS_MAX: Final = 2_048
DIMENSIONS_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class EmbedFacts:
    """The facts about a request for embeddings. `texts` has one text for each vector, `dimensions`
    is None if the model decides. `text_bytes` is the length of the body, an upper bound of the
    tokens of all texts.
    """

    body: Body
    model: str
    batch: bool
    texts: tuple[str, ...]
    dimensions: int | None
    task_type: str
    title: str
    text_bytes: int


class Vectors(msgspec.Struct, frozen=True):
    """The vectors of an answer in the order of the texts, and its raw usage object or None."""

    values: tuple[tuple[float, ...], ...]
    usage: bytes | None


def read(raw: bytes, *, model: str, batch: bool) -> EmbedFacts:
    """Read a body whose path names `model` and whether it is a `batch`. Raises RequestFault."""
    body = read_body(raw)
    check_model(model)
    top = camel(read_members(raw))
    items = [top]
    if batch:
        items = read_objects(top, "requests")
        if not items:
            top.required("requests", top.value.get("requests"))
            top.refuse_value("requests", "must have at least 1 item")
        if len(items) > INPUTS_MAX:
            top.refuse_value("requests", f"must have at most {INPUTS_MAX} items")
    texts = tuple(_read_text(item) for item in items)
    settings = {_read_settings(item) for item in items}
    dimensions, task_type, title = settings.pop()
    if settings:
        # One call of another dialect has the same settings for all its vectors.
        dimensions, task_type, title = None, "", ""
    return EmbedFacts(body, model, batch, texts, dimensions, task_type, title, len(raw))


def _read_text(item: Members) -> str:
    content = camel(item.required("content", item.object("content")))
    parts = read_objects(content, "parts")
    if not parts:
        content.refuse("missing_parameter", "parts", "is required")
    return "".join(part.required("text", part.text("text")) for part in parts)


def _read_settings(item: Members) -> tuple[int | None, str, str]:
    dimensions = item.integer("outputDimensionality", 1, DIMENSIONS_MAX)
    return dimensions, item.text("taskType") or "", item.text("title") or ""


def edit(facts: EmbedFacts, upstream_model: str) -> bytes:
    """Return the body for the upstream; each request of a batch names the upstream's model."""
    if upstream_model == facts.model:
        return facts.body.raw
    named = msgspec.json.encode(f"models/{upstream_model}")
    edits = {"model": named} if "model" in facts.body.members else {}
    requests = facts.body.value("requests")
    if facts.batch and requests is not None:
        edits["requests"] = _name_all(requests, named)
    return facts.body.splice(edits)


def _name_all(requests: bytes, named: bytes) -> bytes:
    single = requests.startswith(b"{")
    items = (
        [msgspec.Raw(requests)] if single else msgspec.json.decode(requests, type=list[msgspec.Raw])
    )
    return (
        b"[" + b",".join(read_body(bytes(item)).splice({"model": named}) for item in items) + b"]"
    )


def encode(
    texts: Sequence[str],
    *,
    model: str,
    dimensions: int | None = None,
    task_type: str = "",
    title: str = "",
) -> bytes:
    """Return the body of a batchEmbedContents call to an upstream's `model`."""
    if not texts:
        raise RequestFault("invalid_value", "input", "input must have at least 1 item")
    settings: JsonObject = {"model": f"models/{model}"}
    if dimensions is not None:
        settings["outputDimensionality"] = dimensions
    if task_type:
        settings["taskType"] = task_type
    if title:
        settings["title"] = title
    requests = [settings | {"content": {"parts": [{"text": text}]}} for text in texts]
    return msgspec.json.encode({"requests": requests})


class _Values(msgspec.Struct):
    values: tuple[float, ...] = ()


class _Answer(msgspec.Struct):
    embedding: _Values | None = None
    embeddings: list[_Values] = []
    usageMetadata: msgspec.Raw = msgspec.Raw()


_answer = msgspec.json.Decoder(_Answer)


def decode_answer(raw: bytes) -> Vectors | None:
    """Return the vectors of either form of answer; None without any."""
    try:
        answer = _answer.decode(raw)
    except NOT_JSON:
        return None
    embeddings = answer.embeddings if answer.embedding is None else [answer.embedding]
    usage = bytes(answer.usageMetadata)
    if not embeddings or not all(embedding.values for embedding in embeddings):
        return None
    return Vectors(
        tuple(embedding.values for embedding in embeddings),
        usage if usage.startswith(b"{") else None,
    )


def encode_answer(values: Sequence[Sequence[float]], *, batch: bool) -> bytes:
    """Return the answer to a client."""
    embeddings = [{"values": vector} for vector in values]
    return msgspec.json.encode(
        {"embeddings": embeddings} if batch else {"embedding": embeddings[0]}
    )
