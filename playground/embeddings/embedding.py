"""Embeddings that a person requests: a request of the API, with its holds and books."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext

from accounts.access.actors import Actor, organisation_of
from accounts.keys.keys import playground_key
from dialects.chat.fold import AnswerFault
from dialects.endpoints.embeddings import DIMENSIONS_MAX, decode_answer
from lib.database.async_database import run_in_database
from lib.ids import new_id
from lib.numbers.typed_counts import parse_typed_count
from lib.refusal import Refused
from playground.embeddings.vectors import Vector
from playground.models import PayerRule
from playground.models_offered.offered_models import OfferedModel, offered_models
from playground.payers.payer_rules import rule_of
from playground.payers.paying import Payer, checked_default
from playground.relaying.relaying import ChatRelay
from relay.credentials.keys import Principal
from relay.hold_sizes.bound import Bound
from relay.requests.outcome import Outcome

LINES_MAX: Final = 32
TEXT_MAX: Final = 100_000


class EmbeddingRefused(ValueError):
    """The input cannot be embedded, or the request was refused. The text says why."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of some lines, in their order, and their cost."""

    lines: Sequence[str]
    vectors: Sequence[Vector]
    outcome: Outcome


def embedding_models(actor: Actor) -> list[OfferedModel]:
    """Return the models that create embeddings."""
    return [model for model in offered_models(actor) if model.embeds]


def embedding_body(actor: Actor, form: Mapping[str, str]) -> dict[str, Any]:
    """Build the request of a form: `model`, `text` with one input per line, `dimensions`.

    Raises EmbeddingRefused.
    """
    model = form.get("model", "")
    if model not in {offered.name for offered in embedding_models(actor)}:
        raise EmbeddingRefused(gettext("Choose a model."))
    text = form.get("text", "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise EmbeddingRefused(gettext("Enter one text per line."))
    if len(lines) > LINES_MAX:
        raise EmbeddingRefused(gettext("Enter up to %(n)s lines.") % {"n": LINES_MAX})
    if len(text) > TEXT_MAX:
        raise EmbeddingRefused(gettext("The text is too long."))
    body: dict[str, Any] = {"model": model, "input": lines, "encoding_format": "float"}
    if word := form.get("dimensions", "").strip():
        dimensions = parse_typed_count(word, len(str(DIMENSIONS_MAX)))
        if dimensions is None or not 0 < dimensions <= DIMENSIONS_MAX:
            raise EmbeddingRefused(gettext("Dimensions must be a whole number above 0."))
        body["dimensions"] = dimensions
    return body


async def bound_of(actor: Actor, relay: ChatRelay, body: Mapping[str, Any]) -> Bound:
    """Return the maximum cost of the request. Raises RequestFault, DatabaseAway."""
    principal = await _principal(actor, relay)
    return await relay.bound(principal, json.dumps(body).encode(), operation="embeddings")


async def embed(actor: Actor, relay: ChatRelay, body: Mapping[str, Any]) -> Embedded:
    """Request the vectors. Raises EmbeddingRefused with the answer's message, RequestFault,
    DatabaseAway."""
    principal = await _principal(actor, relay)
    pieces, outcome = [], None
    async for item in relay.chat(
        principal,
        json.dumps(body).encode(),
        source="playground",
        request_id=new_id(),
        operation="embeddings",
    ):
        if isinstance(item, Outcome):
            outcome = item
        elif isinstance(item, bytes):
            pieces.append(item)
    if outcome is None or outcome.kind is not None:
        raise EmbeddingRefused(outcome.message if outcome else "")
    try:
        vectors = decode_answer(b"".join(pieces), len(body["input"]))
    except AnswerFault as fault:
        message = gettext("The provider's response could not be read.")
        raise EmbeddingRefused(message) from fault
    return Embedded(body["input"], vectors.values, outcome)


async def _principal(actor: Actor, relay: ChatRelay) -> Principal:
    try:
        payer = await run_in_database(_payer, actor)
    except Refused as refused:
        raise EmbeddingRefused(refused.message) from refused
    return await payer.principal(actor, relay)


def _payer(actor: Actor) -> Payer:
    """Return the playground's own key as payer, or one of the actor's keys if the organisation
    excludes it."""
    if rule_of(actor) == PayerRule.OWN:
        return checked_default(actor)
    return Payer(playground_key(organisation_of(actor)))
