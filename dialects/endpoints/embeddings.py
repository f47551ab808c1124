"""Embeddings in OpenAI's form, and conversion between it and Gemini's.

    {"model", "input": text | texts | token ids | lists of token ids, "encoding_format"?,
     "dimensions"?, "user"?}
        -> {"object": "list", "data": [{"object": "embedding", "index", "embedding"}], "model",
            "usage": {"prompt_tokens", "total_tokens"}}

An embedding is a list of numbers or, if requested as base64, the bytes of little-endian float32.
`gemini.embed` reads and writes Gemini's form; this module converts between the two. An upstream in
another form than the client's is always asked for numbers, and the client gets the requested
encoding.
"""

import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.gemini import embed as gemini_embed
from dialects.gemini.usage import quantities as gemini_quantities
from dialects.json.body import Body, read_body
from dialects.json.members import (
    Members,
    check_model,
    edit_body,
    read_integers,
    read_max_cost,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.json.not_json import NOT_JSON
from dialects.openai.unary import (
    PlainAnswer,
    RawMembers,
    answer_fault,
    failure,
    input_quantities,
    member_bytes,
    open_answer,
)
from dialects.usage.usage import Quantities

INPUTS_MAX: Final = 2_048
DIMENSIONS_MAX: Final = 1_000_000

_SMALL: Final = ("model", "encoding_format", "dimensions")
_FORMATS: Final = ("float", "base64")
_KNOWN: Final = frozenset({*_SMALL, "input", "user", "max_cost"})
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `inputs` is the number of requested embeddings. `texts` are the texts to embed, or None if the
    client sent token ids; then `tokens` counts them, else it is None. `text_bytes` is the length of
    the body, an upper bound of the tokens. `encoding_format` is float, base64 or one that only its
    provider knows. `max_cost_nano` is our own field.
    """

    body: Body
    model: str
    inputs: int
    texts: tuple[str, ...] | None
    tokens: int | None
    text_bytes: int
    encoding_format: str
    dimensions: int | None
    user: str
    max_cost_nano: int | None


class Vectors(msgspec.Struct, frozen=True):
    """The embeddings of an answer in the order of the inputs, its model ("" if unknown), its
    usage.
    """

    values: tuple[tuple[float, ...], ...]
    model: str
    usage: bytes | None
    quantities: Quantities


def read(raw: bytes, *, model: str | None = None) -> EmbeddingFacts:
    """Read a request. `model` is the name in the path, which overrides the body's. Raises
    RequestFault in the contract's order: the JSON text, the root, model, the input, then types
    (400), then values (422). The caller checks whether the model exists."""
    body = read_body(raw)
    members = small_members(body, _SMALL)
    model = read_model(members) if model is None else check_model(model)
    inputs, texts, tokens = _read_input(body)
    members.text("encoding_format")
    max_cost_nano = read_max_cost(body)
    dimensions = read_integers(members, dimensions=(1, DIMENSIONS_MAX))["dimensions"]
    if not inputs:
        raise RequestFault("invalid_value", "input", "input must not be empty")
    if inputs > INPUTS_MAX:
        what = f"input must have at most {INPUTS_MAX} items"
        raise RequestFault("invalid_value", "input", what)
    return EmbeddingFacts(
        body=body,
        model=model,
        inputs=inputs,
        texts=texts,
        tokens=tokens,
        text_bytes=len(raw),
        encoding_format=members.text("encoding_format") or "float",
        dimensions=dimensions,
        user=read_user(body),
        max_cost_nano=max_cost_nano,
    )


def _read_input(body: Body) -> tuple[int, tuple[str, ...] | None, int | None]:
    """Return the number of embeddings, and either the texts or the number of token ids."""
    raw = required_value(body, "input")
    try:
        value = _input.decode(raw)
    except msgspec.ValidationError:
        raise _invalid_input() from None
    if isinstance(value, str):
        return (1 if value else 0), (value,), None
    texts = tuple(item for item in value if isinstance(item, str))
    lists = [item for item in value if isinstance(item, list)]
    if len(texts) == len(value):
        return len(texts), texts, None
    if len(lists) == len(value):
        return len(lists), None, sum(map(len, lists))
    if texts or lists:
        raise _invalid_input()
    return 1, None, len(value)


def _invalid_input() -> RequestFault:
    what = "input must be a string, or an array of strings or token ids"
    return RequestFault("invalid_type", "input", what)


def edit(facts: EmbeddingFacts, upstream_model: str) -> bytes:
    """Return the body for an upstream in OpenAI's form: with the upstream's name of the model,
    without our own field."""
    return edit_body(facts.body, upstream_model)


def to_gemini(facts: EmbeddingFacts, upstream_model: str) -> Encoded:
    """Return the body of a batchEmbedContents call. Raises RequestFault: `unsupported_capability`
    for token ids, `invalid_value` for an encoding that we cannot produce.
    """
    if facts.texts is None:
        what = "input cannot be token ids for this model"
        raise RequestFault("unsupported_capability", "input", what)
    Members({"encoding_format": facts.encoding_format}).word("encoding_format", _FORMATS)
    body = gemini_embed.encode(facts.texts, model=upstream_model, dimensions=facts.dimensions)
    members = facts.body.members
    dropped = (name for name in members if name not in _KNOWN and facts.body.value(name))
    return Encoded(body, (*(("user",) if facts.user else ()), *dropped))


def from_gemini(facts: gemini_embed.EmbedFacts, upstream_model: str) -> Encoded:
    """Return the body of an OpenAI-form call for a client of the gemini dialect."""
    body: dict[str, Any] = {
        "model": upstream_model,
        "input": facts.texts,
        "encoding_format": "float",
    }
    if facts.dimensions is not None:
        body["dimensions"] = facts.dimensions
    unsent = {"taskType": facts.task_type, "title": facts.title}
    return Encoded(msgspec.json.encode(body), tuple(name for name in unsent if unsent[name]))


def read_answer(raw: bytes) -> PlainAnswer:
    """Read the body of a 200 that is forwarded unchanged. Never raises."""
    try:
        members = open_answer(raw)
        _read_embeddings(members)
    except AnswerFault as fault:
        return failure(fault)
    usage = member_bytes(members, "usage")
    return PlainAnswer(input_quantities(usage), usage)


def read_gemini_answer(raw: bytes) -> PlainAnswer:
    """Read an answer in Gemini's form. Never raises."""
    try:
        vectors = decode_gemini_answer(raw)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(vectors.quantities, vectors.usage)


def decode_answer(raw: bytes, inputs: int | None = None) -> Vectors:
    """Return the embeddings of an answer, as numbers. Raises AnswerFault, also if their number
    differs from the `inputs`.
    """
    members = open_answer(raw)
    rows = _read_embeddings(members)
    _check_number(len(rows), inputs)
    if sorted(row.index for row in rows) == list(range(len(rows))):
        rows.sort(key=lambda row: row.index)
    model = member_bytes(members, "model") or b""
    usage = member_bytes(members, "usage")
    return Vectors(
        values=tuple(_values(row.embedding) for row in rows),
        model=msgspec.json.decode(model) if model.startswith(b'"') else "",
        usage=usage,
        quantities=input_quantities(usage),
    )


def decode_gemini_answer(raw: bytes, inputs: int | None = None) -> Vectors:
    """Return the embeddings of an answer in Gemini's form. Raises AnswerFault like
    `decode_answer`.
    """
    open_answer(raw)
    answer = gemini_embed.decode_answer(raw)
    if answer is None:
        raise answer_fault("F24")
    _check_number(len(answer.values), inputs)
    counted = gemini_quantities(answer.usage)
    meters = {name: count for name, count in counted.meters.items() if name.startswith("in_")}
    return Vectors(answer.values, "", answer.usage, Quantities(meters, counted.flags))


def encode_answer(vectors: Vectors, facts: EmbeddingFacts, *, input_tokens: int) -> bytes:
    """Return the answer to a client in OpenAI's form, in the encoding that it requested.
    `input_tokens` is what is billed. Raises AnswerFault for numbers that exceed float32."""
    data = [
        _write_embedding(index, _write(values, facts.encoding_format))
        for index, values in enumerate(vectors.values)
    ]
    body = {
        "object": "list",
        "data": data,
        "model": vectors.model or facts.model,
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
    }
    return msgspec.json.encode(body)


def encode_gemini_answer(vectors: Vectors, facts: gemini_embed.EmbedFacts) -> bytes:
    """Return the answer to a client in Gemini's form."""
    return gemini_embed.encode_answer(vectors.values, batch=facts.batch)


def fit_answer(raw: bytes, facts: EmbeddingFacts) -> bytes:
    """Return an answer in OpenAI's form with the client's encoding. The bytes are unchanged if the
    encoding is right, or one that we do not produce; otherwise only the embeddings are rewritten.
    Raises AnswerFault for embeddings that cannot be converted."""
    wanted = facts.encoding_format
    members = open_answer(raw)
    rows = _read_embeddings(members)
    sign = {"float": b"[", "base64": b'"'}.get(wanted)
    if sign is None or all(bytes(memoryview(row.embedding)[:1]) == sign for row in rows):
        return raw
    data = [_write_embedding(row.index, _write(_values(row.embedding), wanted)) for row in rows]
    return msgspec.json.encode(members | {"data": msgspec.Raw(msgspec.json.encode(data))})


def to_base64(values: Sequence[float]) -> str:
    """Encode the numbers as little-endian float32. Raises AnswerFault for numbers that exceed
    float32.
    """
    try:
        packed = struct.pack(f"<{len(values)}f", *values)
    except OverflowError:
        raise answer_fault("F15") from None
    return binascii.b2a_base64(packed, newline=False).decode()


def from_base64(text: str) -> tuple[float, ...]:
    """Decode little-endian float32; each number is exact. Raises AnswerFault for invalid
    numbers.
    """
    try:
        packed = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise answer_fault("F15") from None
    if len(packed) % _FLOAT_BYTES:
        raise answer_fault("F15")
    values = struct.unpack(f"<{len(packed) // _FLOAT_BYTES}f", packed)
    if not all(map(math.isfinite, values)):
        # JSON cannot express it.
        raise answer_fault("F15")
    return values


class _Row(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = -1


_input = msgspec.json.Decoder(str | list[str | int | list[int]])
_row_list = msgspec.json.Decoder(list[_Row])
_numbers = msgspec.json.Decoder(tuple[float, ...])


def _read_embeddings(members: RawMembers) -> list[_Row]:
    try:
        rows = _row_list.decode(member_bytes(members, "data") or b"[]")
    except NOT_JSON:
        raise answer_fault("F15") from None
    if not rows:
        raise answer_fault("F24")
    for place, row in enumerate(rows):
        if row.index < 0:
            row.index = place
    return rows


def _check_number(number: int, wanted: int | None) -> None:
    if wanted is not None and number != wanted:
        raise answer_fault("F24")


def _values(embedding: msgspec.Raw) -> tuple[float, ...]:
    raw = bytes(embedding)
    if raw.startswith(b'"'):
        return from_base64(msgspec.json.decode(raw))
    try:
        return _numbers.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def _write_embedding(index: int, embedding: Sequence[float] | str) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": embedding}


def _write(values: Sequence[float], wanted: str) -> Sequence[float] | str:
    return to_base64(values) if wanted == "base64" else values
