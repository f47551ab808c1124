"""The management API for prices (versions, proposals, previews), for operators. The pages call the
same functions.

Nothing applies by itself, and a used version never changes: a new one is proposed with its start,
and accepted. A price cut of more than half needs a second operator.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.approvals.approvals import waiting
from billing.currency.answers import answer_of
from billing.currency.money import MoneyInvalid, format_usd
from billing.models import PriceProposal, PriceVersion
from billing.prices.conditions import PriceKey
from billing.prices.meters import MeterUnknown, format_rate, parse_rate
from billing.prices.prices import PriceRefused, key_of
from billing.prices.proposals import (
    PRICE,
    ListedProposal,
    accept,
    describe_proposals,
    draft_price,
    ignore,
    list_proposal,
    withdraw,
)
from billing.prices.written_conditions import read_conditions, write_conditions
from dialects.usage.price_conditions import OF_VERSIONS
from gateway.access import (
    access_preview,
    access_proposal,
    access_version,
    visible_previews,
    visible_proposals,
    visible_versions,
)
from gateway.models import PricePreview
from gateway.prices.previews import cancel_preview, start_preview
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Price book"], auth=api_auth.installation_auth)

Rates = dict[str, str]
VERSION_ID = r"^[1-9][0-9]{0,17}$"
_REPLACES = (
    "The ID of the version it replaces, active or scheduled for the same time; 409 if that "
    "is a different one by now."
)
_RATES = (
    "Rates in USD, as exact decimals: per million tokens, characters or milliseconds, per minute "
    "of a session, and per unit of any other meter."
)


class TierIn(RequestBody):
    """The rates of requests with more input tokens."""

    input_over: Whole = Field(
        ge=0, le=10**12, description="Applies strictly above this many tokens."
    )
    mode: Literal["whole", "marginal"] = "whole"
    meters: Rates = Field(min_length=1, description=_RATES)


class ConditionIn(RequestBody):
    """The charge for a request that is served under a condition."""

    kind: str = Field(max_length=40, description=f"One of {', '.join(OF_VERSIONS)}.")
    value: str = Field(max_length=40, description="Such as `fast`, `us` or `batch`.")
    multiplier: str | None = Field(
        None,
        max_length=24,
        description="The factor for all rates of tokens. Set either this or `meters`.",
    )
    meters: Rates | None = Field(None, description="Rates that replace those of the price.")
    tiers: list[TierIn] = Field(default_factory=list, max_length=20)
    source: str = Field("", max_length=120, description="Where the rate is published.")
    date: str = Field("", max_length=40, description="When the rate was read there.")


class ProposalIn(RequestBody):
    """A new version of a price. Several proposals may exist for the same price."""

    model: str = Field(
        min_length=1, max_length=200, pattern=r"^\S+$", description="A model name or pattern."
    )
    kind: Literal["charge", "cost"] = "charge"
    channel: str = Field("", max_length=120, description="For costs: the channel. Empty: any.")
    service_tier: str = Field(
        "", max_length=40, description="The service tier. Empty: the standard price."
    )
    hours: str = Field(
        "", max_length=11, description=("In UTC, such as 00:30-08:30. Empty: all day.")
    )
    region: str = Field(
        "", max_length=40, description="Such as us-east-1, eu or global. Empty: any other region."
    )
    valid_from: Instant | None = Field(None, description="Null: takes effect when accepted.")
    meters: Rates = Field(min_length=1, description=_RATES)
    tiers: list[TierIn] = Field(default_factory=list, max_length=20)
    conditions: list[ConditionIn] = Field(default_factory=list, max_length=20)
    note: str = Field("", max_length=500)
    replaces: str | None = Field(None, pattern=VERSION_ID, description=_REPLACES)


class AcceptIn(RequestBody):
    """The state that the client has seen."""

    replaces: str | None = Field(None, pattern=VERSION_ID, description=_REPLACES)


class PreviewIn(RequestBody):
    """What to price again: the proposals, and the days of usage."""

    proposals: list[str] = Field(min_length=1, max_length=200)
    days: Literal[7, 30, 90] = 30


class PriceTierOut(Schema):
    input_over: int
    mode: str
    meters: Rates


class ConditionOut(Schema):
    kind: str
    value: str
    multiplier: str | None = None
    meters: Rates | None = None
    tiers: list[PriceTierOut] = []
    source: str = ""
    date: str = ""


class VersionOut(Schema):
    id: str
    model: str
    kind: str
    channel: str
    service_tier: str
    hours: str
    region: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    meters: Rates
    tiers: list[PriceTierOut]
    conditions: list[ConditionOut]
    source: str


class VersionPage(Schema):
    items: list[VersionOut]
    next: str | None


class VersionQuery(pagination.PageQuery):
    model: str | None = Field(None, description="Only the prices of this name or pattern.")
    kind: Literal["charge", "cost"] | None = None
    at: Instant | None = Field(None, description="Only what is in effect at this time.")


class ProposalOut(Schema):
    id: str
    model: str
    kind: str
    channel: str
    service_tier: str
    hours: str
    region: str
    valid_from: dt.datetime | None
    meters: Rates | None = Field(description="Null: the price ends.")
    tiers: list[PriceTierOut]
    conditions: list[ConditionOut]
    replaced_meters: Rates | None = Field(description="The rates it was compared with.")
    needs_two: bool = Field(description="Whether a second operator must accept it.")
    state: str = Field(description="`open`, `accepted` or `ignored`.")
    approval: str | None = Field(description="ID of the approval that waits.")
    source: str
    note: str
    made_by: str | None
    decided_by: str | None


class ProposalPage(Schema):
    items: list[ProposalOut]
    next: str | None


class ProposalQuery(pagination.ModelPageQuery):
    state: Literal["open", "accepted", "ignored"] | None = None
    source: str | None = Field(
        None, max_length=60, description="Only those of this source, such as a provider's prices."
    )


class PricePreviewOut(Schema):
    id: str
    state: str
    done: int
    total: int | None = Field(
        description=("Number of requests to recalculate; null until it is known.")
    )
    start_at: dt.datetime
    end_at: dt.datetime
    charged: str | None = Field(description="The charge; null until the request is done.")
    would_charge: str | None
    message: str


class PreviewPage(Schema):
    items: list[PricePreviewOut]
    next: str | None


@router.get("/price-versions", response=VersionPage, summary="List price versions")
def list_versions(actor: Actor, query: Query[VersionQuery]) -> VersionPage:
    """All versions of all prices, past and scheduled, oldest first."""
    rows = visible_versions(actor)
    if query.model is not None:
        rows = rows.filter(price__model=query.model)
    if query.kind is not None:
        rows = rows.filter(price__kind=query.kind)
    if query.at is not None:
        rows = rows.filter(valid_from__lte=query.at).exclude(valid_to__lte=query.at)
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return VersionPage(items=[_version(version) for version in page.items], next=page.next)


@router.post(
    "/price-versions/{id}/withdraw", response=VersionOut, summary="Withdraw a scheduled version"
)
def withdraw_version(actor: Actor, id: int) -> VersionOut:
    """Only possible before it starts. The price before it stays in effect until the next
    version."""
    version = access_version(actor, id)
    withdraw(actor, version)
    return _version(version)


@router.get("/price-proposals", response=ProposalPage, summary="List price proposals")
def list_proposals(actor: Actor, query: Query[ProposalQuery]) -> ProposalPage:
    """Drafts, and what newer catalogues and the prices of providers propose, newest first."""
    rows = visible_proposals(actor)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    if query.source is not None:
        rows = rows.filter(source=query.source)
    page = pagination.page_by_id(query.of_model(rows), query.limit, query.cursor)
    items = [_proposal(proposal) for proposal in describe_proposals(page.items)]
    return ProposalPage(items=items, next=page.next)


@router.post("/price-proposals", response={201: ProposalOut}, summary="Propose a price")
@requires("prices.write")
def create_proposal(actor: Actor, body: ProposalIn) -> Status[ProposalOut]:
    """Takes effect once it is accepted."""
    key = PriceKey(**{name: getattr(body, name) for name in PriceKey._fields})
    rates: dict[str, Any] = {"meters": _serialize_rates(body.meters)}
    if body.tiers:
        rates["tiers"] = [
            {
                "input_over": tier.input_over,
                "mode": tier.mode,
                "meters": _serialize_rates(tier.meters),
            }
            for tier in body.tiers
        ]
    if body.conditions:
        try:
            rates["conditions"] = read_conditions(
                [one.model_dump() for one in body.conditions], _serialize_rates
            )
        except MoneyInvalid as error:
            raise PriceRefused(str(error)) from error
    draft = draft_price(
        actor,
        key,
        rates,
        valid_from=body.valid_from,
        note=body.note,
        replaces=_version_id(body.replaces),
    )
    return Status(201, _proposal(_listed(draft)))


@router.get("/price-proposals/{id}", response=ProposalOut, summary="Show a price proposal")
def show_proposal(actor: Actor, id: str) -> ProposalOut:
    """One proposal, pending or decided."""
    return _proposal(_listed(access_proposal(actor, id)))


@router.post(
    "/price-proposals/{id}/accept",
    response=ProposalOut,
    summary="Accept a price",
    openapi_extra=also_answers(409),
)
def accept_proposal(actor: Actor, id: str, body: AcceptIn) -> ProposalOut:
    """Creates a version that applies until the next scheduled one. If a rate falls by more than
    half, a second operator must approve it. A version scheduled for the same time is only
    replaced if it is named."""
    named = _version_id(body.replaces)
    accept(actor, [access_proposal(actor, id).id], replaces=named)
    return _proposal(_listed(access_proposal(actor, id)))


@router.post("/price-proposals/{id}/ignore", response=ProposalOut, summary="Dismiss a price")
def ignore_proposal(actor: Actor, id: str) -> ProposalOut:
    """The same catalogue does not propose it again."""
    ignore(actor, [access_proposal(actor, id).id])
    return _proposal(_listed(access_proposal(actor, id)))


@router.get("/price-previews", response=PreviewPage, summary="List price previews")
def list_previews(actor: Actor, query: Query[pagination.PageQuery]) -> PreviewPage:
    """Previews and their progress, newest first."""
    rows = visible_previews(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return PreviewPage(items=[_preview(preview) for preview in page.items], next=page.next)


@router.post("/price-previews", response={201: PricePreviewOut}, summary="Preview prices")
@requires("prices.write")
def create_preview(actor: Actor, body: PreviewIn) -> Status[PricePreviewOut]:
    """Recalculates the usage of the last days as if these proposals were in effect."""
    ids = [access_proposal(actor, id).id for id in body.proposals]
    return Status(201, _preview(start_preview(actor, ids, body.days)))


@router.get("/price-previews/{id}", response=PricePreviewOut, summary="Show a price preview")
def show_preview(actor: Actor, id: str) -> PricePreviewOut:
    """Its progress and its result."""
    return _preview(access_preview(actor, id))


@router.post("/price-previews/{id}/cancel", response=PricePreviewOut, summary="Cancel a preview")
def stop_preview(actor: Actor, id: str) -> PricePreviewOut:
    """Stops a preview that is still running."""
    cancel_preview(actor, access_preview(actor, id))
    return _preview(access_preview(actor, id))


def _version_id(text: str | None) -> int | None:
    return None if text is None else int(text)


def _serialize_rates(rates: Rates) -> dict[str, int]:
    """Return rates in the stored form. Raises PriceRefused for an invalid meter."""
    stored = {}
    for meter, text in rates.items():
        try:
            stored[meter] = parse_rate(meter, text)
        except MeterUnknown as error:
            raise PriceRefused(str(error)) from error
        except MoneyInvalid as error:
            raise PriceRefused(f"{meter}: {error}") from error
    return stored


def _rates_out(stored: Mapping[str, int]) -> Rates:
    return {meter: format_rate(meter, rate) for meter, rate in stored.items()}


def _tiers(rates: Mapping[str, Any]) -> list[PriceTierOut]:
    return [
        PriceTierOut(
            input_over=tier["input_over"],
            mode=tier.get("mode", "whole"),
            meters=_rates_out(tier["meters"]),
        )
        for tier in rates.get("tiers") or ()
    ]


def _conditions(rates: Mapping[str, Any]) -> list[ConditionOut]:
    return [ConditionOut(**one) for one in write_conditions(rates, _rates_out)]


def _version(version: PriceVersion) -> VersionOut:
    return answer_of(
        VersionOut,
        version,
        **key_of(version.price)._asdict(),
        meters=_rates_out(version.rates["meters"]),
        tiers=_tiers(version.rates),
        conditions=_conditions(version.rates),
    )


def _listed(proposal: PriceProposal) -> ListedProposal:
    return list_proposal(proposal, approval=waiting(PRICE, id_text(proposal.id)))


def _proposal(listed: ListedProposal) -> ProposalOut:
    proposal, waits = listed.row, listed.approval
    return answer_of(
        ProposalOut,
        proposal,
        meters=None if proposal.rates is None else _rates_out(proposal.rates["meters"]),
        tiers=_tiers(proposal.rates or {}),
        conditions=_conditions(proposal.rates or {}),
        replaced_meters=(
            None if proposal.replaces is None else _rates_out(proposal.replaces["meters"])
        ),
        needs_two=listed.needs_two,
        approval=waits.outer_id if waits else None,
        made_by=proposal.made_by.email if proposal.made_by else None,
        decided_by=proposal.decided_by.email if proposal.decided_by else None,
    )


def _preview(preview: PricePreview) -> PricePreviewOut:
    total = (preview.result or {}).get("total")
    return answer_of(
        PricePreviewOut,
        preview,
        charged=None if total is None else format_usd(total[1]),
        would_charge=None if total is None else format_usd(total[2]),
    )
