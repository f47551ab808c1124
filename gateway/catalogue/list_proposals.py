"""Proposals of lists of models, for prices and other facts, which are accepted or dismissed
together."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from billing.models import PriceProposal
from billing.prices.proposals import ListedProposal, accept, ignore, list_proposals
from gateway.catalogue.model_proposals import accept_facts, dismiss_facts
from gateway.models import ModelProposal
from lib.refusal import Refused

_LIST = "list "


class Decided(NamedTuple):
    """How many were decided, and how many prices wait for a second operator."""

    made: int
    waiting: int


def price_proposals() -> list[ListedProposal]:
    """Return the waiting price proposals from lists that an operator named."""
    return [
        proposal
        for proposal in list_proposals(drafts=False)
        if proposal.row.source.startswith(_LIST)
    ]


def accept_proposals(actor: Actor, ids: Sequence[UUID]) -> Decided:
    """Accept proposals of prices and of other facts, all or none. Raises Refused, PriceRefused."""
    facts, prices = _split_ids(ids)
    with transaction.atomic():
        decided = accept_facts(actor, facts)
        waiting = len(accept(actor, prices)) if prices else 0
    return Decided(decided + len(prices) - waiting, waiting)


def dismiss_proposals(actor: Actor, ids: Sequence[UUID]) -> Decided:
    """Dismiss proposals. Raises Refused."""
    facts, prices = _split_ids(ids)
    with transaction.atomic():
        decided = dismiss_facts(actor, facts) + (ignore(actor, prices) if prices else 0)
    return Decided(decided, 0)


def _split_ids(ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Split the ids into those of facts and those of prices. Raises Refused for an unknown id."""
    wanted = list(dict.fromkeys(ids))
    facts, prices = (
        set(rows.objects.filter(id__in=wanted).values_list("id", flat=True))
        for rows in (ModelProposal, PriceProposal)
    )
    if len(facts) + len(prices) < len(wanted):
        raise Refused("ids", gettext("Some of these proposals no longer exist."))
    return [id for id in wanted if id in facts], [id for id in wanted if id in prices]
