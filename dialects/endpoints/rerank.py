"""Rerank: a query and documents in, their order by relevance out, in two forms.

    jina     {"model", "query", "documents", "top_n"?, "return_documents"?}
                 -> {"model", "object": "list", "results": [{"index", "relevance_score",
                     "document"?}], "usage": {"prompt_tokens", "total_tokens"}, "meta"?}
    cohere   {"model", "query", "documents", "top_n"?, "max_tokens_per_doc"?}
                 -> {"id", "results": [{"index", "relevance_score"}],
                     "meta": {"api_version", "billed_units": {"search_units"}}}

Xinference accepts jina's requests; its answer has {"index", "relevance_score", "document": text}
and no usage, and is converted to jina's. Clients use the cohere form on `/v2/rerank` and the jina
form everywhere else. jina bills tokens, and counts the query once for each document; cohere bills
search units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.chat.turns import derive_id
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.members import (
    Members,
    edit_body,
    read_integers,
    read_max_cost,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import object_of, value_of
from dialects.openai.unary import (
    PlainAnswer,
    RawMembers,
    answer_fault,
    failure,
    input_quantities,
    member_bytes,
    open_answer,
)
from dialects.usage.usage import Quantities, UsageMembers

RerankForm = Literal["jina", "cohere"]

RESULTS_MAX: Final = 2**31 - 1
# A search unit is a query with up to 100 documents; a longer document counts as several
# (cohere.com/pricing, 2026). A piece has 500 tokens, of which the query may use a half.
UNIT_DOCUMENTS: Final = 100
PIECE_TOKENS_MIN: Final = 250
# The tokens that a model adds to each pair of query and document.
PAIR_TOKENS: Final = 8

_SMALL: Final = ("model", "top_n", "return_documents", "max_tokens_per_doc")
_KNOWN: Final = frozenset({*_SMALL, "query", "documents", "max_cost"})


@dataclass(frozen=True, slots=True)
class RerankFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `documents` are unchanged JSON, each a text or an object, and so is `query`. `text_bytes` is an
    upper bound of the tokens, `search_units_max` of the search units. `search_units` is the
    estimate if no upstream counts them. `max_cost_nano` is our own field.
    """

    body: Body
    form: RerankForm
    model: str
    query: bytes
    documents: tuple[bytes, ...]
    top_n: int | None
    return_documents: bool
    user: str
    text_bytes: int
    search_units: int
    search_units_max: int
    max_cost_nano: int | None


class Ranked(msgspec.Struct, frozen=True):
    """One document of the result: its position in the request, and its relevance."""

    index: int
    relevance_score: float


class Ranking(msgspec.Struct, frozen=True):
    """An answer in either form, the most relevant document first; id and model are "" if
    unknown.
    """

    results: tuple[Ranked, ...]
    id: str
    model: str
    quantities: Quantities


def form_of(path: str) -> RerankForm:
    """Return the rerank form that clients of a path use."""
    return "cohere" if "/v2/" in path else "jina"


def read(raw: bytes, *, form: RerankForm) -> RerankFacts:
    """Read a request.

    Raises RequestFault in the order of the contract: the JSON text, the root, model, the query, the
    documents, then types (400), then values (422). The caller checks whether the model exists.
    """
    body = read_body(raw)
    members = small_members(body, _SMALL)
    model = read_model(members)
    query, documents = required_value(body, "query"), required_value(body, "documents")
    _check_text("query", query)
    items = _read_documents(documents)
    return_documents = bool(members.boolean("return_documents"))
    max_cost_nano = read_max_cost(body)
    top_n = read_integers(members, top_n=(1, RESULTS_MAX))["top_n"]
    if not items:
        raise RequestFault("invalid_value", "documents", "documents must have at least 1 item")
    pieces = sum(len(item) // PIECE_TOKENS_MIN + 1 for item in items)
    return RerankFacts(
        body=body,
        form=form,
        model=model,
        query=query,
        documents=items,
        top_n=top_n,
        return_documents=return_documents,
        user=read_user(body),
        text_bytes=len(raw) + len(items) * (len(query) + PAIR_TOKENS),
        search_units=-(-len(items) // UNIT_DOCUMENTS),
        search_units_max=-(-pieces // UNIT_DOCUMENTS),
        max_cost_nano=max_cost_nano,
    )


def edit(facts: RerankFacts, upstream_model: str) -> bytes:
    """Return the body for an upstream in the same form: with the upstream's name of the model,
    without our own field."""
    return edit_body(facts.body, upstream_model)


def encode(facts: RerankFacts, upstream_model: str, form: RerankForm) -> Encoded:
    """Return the body for an upstream in the other form. Raises RequestFault
    `unsupported_capability` for documents that are not texts, such as pictures."""
    body: dict[str, Any] = {
        "model": upstream_model,
        "query": _text("query", facts.query),
        "documents": [
            _text(f"documents[{i}]", document) for i, document in enumerate(facts.documents)
        ],
    }
    if facts.top_n is not None:
        body["top_n"] = facts.top_n
    known = _KNOWN
    if form == "jina":
        # The default is true, and the client's form has no documents in its answer.
        body["return_documents"] = False
        known = _KNOWN - {"max_tokens_per_doc"}
    elif (longest := facts.body.value("max_tokens_per_doc")) is not None:
        body["max_tokens_per_doc"] = msgspec.Raw(longest)
    names = facts.body.members
    dropped = (name for name in names if name not in known and facts.body.value(name) is not None)
    return Encoded(msgspec.json.encode(body), tuple(dropped))


def read_answer(raw: bytes) -> PlainAnswer:
    """Read the body of a 200 in either form. Never raises."""
    try:
        members = open_answer(raw)
        _results_of(members)
    except AnswerFault as fault:
        return failure(fault)
    usage = member_bytes(members, "usage") or member_bytes(members, "meta")
    return PlainAnswer(_quantities(members), usage)


def decode_answer(raw: bytes, documents: int | None = None) -> Ranking:
    """Return an answer in either form. Raises AnswerFault, also for a position outside the
    `documents`.
    """
    members = open_answer(raw)
    results = _results_of(members)
    places = {result.index for result in results}
    if len(places) < len(results) or min(places) < 0:
        raise answer_fault("F15")
    if documents is not None and max(places) >= documents:
        raise answer_fault("F15")
    return Ranking(
        results=tuple(sorted(results, key=lambda result: -result.relevance_score)),
        id=_word(members, "id"),
        model=_word(members, "model"),
        quantities=_quantities(members),
    )


def has_jina_form(raw: bytes) -> bool:
    """Return whether an answer has jina's form. Raises AnswerFault.

    Xinference accepts jina's requests, but its answers differ: a document is a bare text, and there
    is no usage.
    """
    members = open_answer(raw)
    if member_bytes(members, "usage") is None:
        return False
    rows = _rows.decode(member_bytes(members, "results") or b"[]")
    return not any(isinstance(row.get("document"), str) for row in rows)


def encode_answer(
    ranking: Ranking, facts: RerankFacts, *, request_id: str, meters: Mapping[str, int]
) -> bytes:
    """Return the answer in the client's form; `meters` are the billed ones."""
    tokens, units = meters.get("in_text", 0), meters.get("searches")
    billed = {"input_tokens": tokens} if units is None else {"search_units": units}
    meta = {"api_version": {"version": "2"}, "billed_units": billed}
    results: list[dict[str, Any]] = [
        {"index": ranked.index, "relevance_score": ranked.relevance_score}
        for ranked in ranking.results[: facts.top_n]
    ]
    if facts.form == "cohere":
        id_ = ranking.id or derive_id("rerank-", request_id)
        return msgspec.json.encode({"id": id_, "results": results, "meta": meta})
    if facts.return_documents:
        for result in results:
            document = facts.documents[result["index"]]
            text = {"text": msgspec.Raw(document)}
            result["document"] = text if document.startswith(b'"') else msgspec.Raw(document)
    body = {
        "model": ranking.model or facts.model,
        "object": "list",
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return msgspec.json.encode(body if units is None else body | {"meta": meta})


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_results = msgspec.json.Decoder(list[Ranked])
_rows = msgspec.json.Decoder(list[dict[str, Any]])


def _read_documents(raw: bytes) -> tuple[bytes, ...]:
    if not raw.startswith(b"["):
        raise RequestFault("invalid_type", "documents", "documents must be an array")
    items = tuple(map(bytes, _raws.decode(raw)))
    for i, item in enumerate(items):
        _check_text(f"documents[{i}]", item)
    return items


def _check_text(path: str, raw: bytes) -> None:
    if not raw.startswith((b'"', b"{")):
        raise RequestFault("invalid_type", path, f"{path} must be a string or an object")


def _text(path: str, raw: bytes) -> str:
    """Return the text of a query or document."""
    value = value_of(raw)
    text = value if isinstance(value, str) else Members(object_of(value), path).text("text")
    if text is None:
        raise RequestFault("unsupported_capability", path, f"{path} must be text for this model")
    return text


def _results_of(members: RawMembers) -> list[Ranked]:
    try:
        results = _results.decode(member_bytes(members, "results") or b"[]")
    except NOT_JSON:
        raise answer_fault("F15") from None
    if not results:
        raise answer_fault("F24")
    return results


def _word(members: RawMembers, name: str) -> str:
    value = member_bytes(members, name) or b""
    return str(msgspec.json.decode(value)) if value.startswith(b'"') else ""


def _quantities(members: RawMembers) -> Quantities:
    """Return the quantities that the provider bills: search units if it reports any, else tokens.
    Servers that bill neither report zeros for both, and the tokens that they have read."""
    meta = _object(member_bytes(members, "meta"))
    units, tokens = _object(meta.get("billed_units")), _object(meta.get("tokens"))
    billed = UsageMembers(units)
    searches = billed.count("search_units")
    if billed.flags:
        return billed.result({})
    if searches:
        return Quantities({"searches": searches}, ())
    usage = member_bytes(members, "usage")
    if usage is None:
        read_tokens = units.get("input_tokens") or tokens.get("input_tokens")
        usage = msgspec.json.encode({"input_tokens": read_tokens})
    quantities = input_quantities(usage)
    return Quantities({"searches": 0}, ()) if quantities.missing and searches == 0 else quantities


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        try:
            value = msgspec.json.decode(value)
        except NOT_JSON:
            return {}
    return value if isinstance(value, dict) else {}
