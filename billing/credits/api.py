"""The management API of operators: charge rules, corrections, codes. Pages call the same
functions."""

import datetime as dt
from collections.abc import Collection
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.access import (
    access_batch,
    access_credit,
    access_posting,
    organisation_named,
    visible_batches,
    visible_credits,
)
from billing.approvals.approvals import latest
from billing.credits import codes, credits
from billing.credits.codes_file import codes_file
from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.idempotency import Answer, answer_idempotently
from billing.limits.charge_rule import stored_rule
from billing.limits.charge_rule_schemas import ChargeRuleIn, ChargeRuleOut
from billing.limits.charge_rule_settings import charge_rule_of, read_rule_fields, set_charge_rule
from billing.models import Approval, CodeBatch, Credit, CreditKind
from lib import clock
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class CreditIn(RequestBody):
    """A correction of a balance."""

    organisation: str = Field(max_length=60, description="Slug of the organisation.")
    amount: str = Field(
        max_length=40, description=("Exact decimal. A negative amount reduces the balance.")
    )
    kind: Literal["cash", "promo"] = Field("cash", description="`promo` is used first.")
    expires_at: Instant | None = Field(None, description="When the promotional credit expires.")
    reason: str = Field(min_length=1, max_length=500, description="The customer will see this.")
    document: str = Field("", max_length=200, description="Number of one of your documents.")


class ReversalIn(RequestBody):
    """Why a posting is undone."""

    reason: str = Field(min_length=1, max_length=500)


class CreditOut(Schema):
    id: str
    organisation: str
    amount: str
    kind: str
    expires_at: dt.datetime | None
    reason: str
    document: str
    reverses: str | None
    state: str = Field(description="`waiting` until another operator approves it.")
    asked_by: str
    asked_at: dt.datetime
    approval: str | None = Field(description="ID of the approval by two, if it needs one.")
    decided_by: str | None
    decided_at: dt.datetime | None


class CreditPage(Schema):
    items: list[CreditOut]
    next: str | None


class BatchIn(RequestBody):
    """A batch of redemption codes."""

    name: str = Field(min_length=1, max_length=120)
    value: str = Field(max_length=40, description="The value of each code, as an exact decimal.")
    count: Whole = Field(ge=1, le=codes.CODES_MAX)
    max_uses: Whole = Field(
        1, ge=1, le=1_000_000, description=("Each use must be by a different organisation.")
    )
    expires_at: Instant | None = Field(None, description="Until when codes can be redeemed.")
    credit_days: Whole | None = Field(
        None, ge=1, le=3650, description="How long the credit is valid."
    )


class BatchOut(Schema):
    id: str
    name: str
    value: str
    currency: str
    count: int
    max_uses: int
    expires_at: dt.datetime | None
    credit_days: int | None
    created_at: dt.datetime
    needs_another_operator: bool = Field(
        description="Another operator than the one who created the batch must download the codes."
    )
    downloaded_at: dt.datetime | None
    killed_at: dt.datetime | None


class BatchPage(Schema):
    items: list[BatchOut]
    next: str | None


@router.get(
    "/organisations/{slug}/charge-rule", response=ChargeRuleOut, summary="Show a charge rule"
)
def read_charge_rule(actor: Actor, slug: str) -> ChargeRuleOut:
    """What an organisation is charged for abandoned and failed requests. `inherit`: as the rule of
    the model says, or else the channel."""
    organisation = organisation_named(actor, slug)
    return ChargeRuleOut(**stored_rule(charge_rule_of(organisation)))


@router.put(
    "/organisations/{slug}/charge-rule", response=ChargeRuleOut, summary="Change a charge rule"
)
@requires("credits.write")
def write_charge_rule(actor: Actor, slug: str, body: ChargeRuleIn) -> ChargeRuleOut:
    """Replaces the whole rule. It comes before the rules of models."""
    organisation = organisation_named(actor, slug)
    set_charge_rule(actor, organisation, read_rule_fields(body.rule_fields()))
    return ChargeRuleOut(**stored_rule(charge_rule_of(organisation)))


@router.get("/credits", response=CreditPage, summary="List corrections")
def list_credits(actor: Actor, query: Query[pagination.PageQuery]) -> CreditPage:
    """Balance corrections of all organisations, newest first."""
    rows = visible_credits(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    decided = latest(credits.CORRECTION, [id_text(row.id) for row in page.items])
    items = [CreditOut(**serialize_credit(row, decided.get(id_text(row.id)))) for row in page.items]
    return CreditPage(items=items, next=page.next)


@router.get("/credits/{id}", response=CreditOut, summary="Show a correction")
def show_credit(actor: Actor, id: str) -> CreditOut:
    """One correction, waiting or decided."""
    credit = access_credit(actor, id)
    return CreditOut(**serialize_credit(credit, _approval_of(credit)))


@router.post(
    "/credits",
    response={201: CreditOut},
    summary="Correct a balance",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def create_credit(request: HttpRequest, actor: Actor, body: CreditIn) -> HttpResponse:
    """Above the limit for one operator, it waits for a second one. Supports `Idempotency-Key`."""
    organisation = organisation_named(actor, body.organisation)

    def act() -> Answer:
        credit = credits.request_credit(
            actor,
            organisation,
            amount_of(body.amount),
            kind=CreditKind(body.kind),
            expires_at=body.expires_at,
            reason=body.reason,
            document=body.document,
        )
        return Answer(201, serialize_credit(credit, _approval_of(credit)))

    return answer_idempotently(request, actor, act)


@router.post(
    "/postings/{id}/reverse",
    response={201: CreditOut},
    summary="Reverse a posting",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def reverse_posting(request: HttpRequest, actor: Actor, id: str, body: ReversalIn) -> HttpResponse:
    """Creates a new posting that refers to the old one. Only for corrections and opening
    credits."""
    posting = access_posting(actor, id)

    def act() -> Answer:
        credit = credits.request_reversal(actor, posting, reason=body.reason)
        return Answer(201, serialize_credit(credit, _approval_of(credit)))

    return answer_idempotently(request, actor, act)


@router.get("/code-batches", response=BatchPage, summary="List batches of codes")
def list_batches(actor: Actor, query: Query[pagination.NamedPageQuery]) -> BatchPage:
    """Batches of redemption codes, newest first. The codes themselves are never shown again."""
    rows = visible_batches(actor)
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    needing = codes.need_another_operator(page.items)
    items = [BatchOut(**serialize_batch(row, needing)) for row in page.items]
    return BatchPage(items=items, next=page.next)


@router.post(
    "/code-batches",
    response={201: BatchOut},
    summary="Create a batch of codes",
    openapi_extra=also_answers(409),
)
@requires("codes.write")
def create_batch(request: HttpRequest, actor: Actor, body: BatchIn) -> HttpResponse:
    """The codes are generated when they are downloaded, once. Supports `Idempotency-Key`."""

    def act() -> Answer:
        batch = codes.create_batch(
            actor,
            body.name,
            amount_of(body.value, "value"),
            body.count,
            max_uses=body.max_uses,
            expires_at=body.expires_at,
            credit_days=body.credit_days,
        )
        return Answer(201, _serialize_one(batch))

    return answer_idempotently(request, actor, act)


@router.get("/code-batches/{id}", response=BatchOut, summary="Show a batch of codes")
def show_batch(actor: Actor, id: str) -> BatchOut:
    """One batch, without its codes."""
    return BatchOut(**_serialize_one(access_batch(actor, id)))


@router.post("/code-batches/{id}/download", summary="Download the codes", response={200: str})
@requires("codes.write")
def download_batch(actor: Actor, id: str) -> HttpResponse:
    """The codes as CSV, once: only their hashes are stored."""
    return codes_file(access_batch(actor, id), actor)


@router.post("/code-batches/{id}/kill", response=BatchOut, summary="Disable a batch")
@requires("codes.write")
def kill_batch(actor: Actor, id: str) -> BatchOut:
    """From now on, its codes cannot be redeemed. Redeemed codes are not affected."""
    return BatchOut(**_serialize_one(codes.kill_batch(actor, access_batch(actor, id))))


def amount_of(text: str, field: str = "amount") -> int:
    """Return a decimal string of USD as nano. Raises CreditRefused for `field`."""
    try:
        return parse_usd(text)
    except MoneyInvalid as error:
        raise credits.CreditRefused(field, str(error)) from error


def _approval_of(credit: Credit) -> Approval | None:
    return latest(credits.CORRECTION, [id_text(credit.id)]).get(id_text(credit.id))


def serialize_credit(credit: Credit, approval: Approval | None) -> dict[str, Any]:
    """Return a correction as a JSON object of the API."""
    decided_by = approval.decided_by if approval else None
    return {
        "id": id_text(credit.id),
        "organisation": credit.organisation.slug,
        "amount": format_usd(credit.amount_nano),
        "kind": str(credit.kind),
        "expires_at": _time(credit.expires_at),
        "reason": credit.reason,
        "document": credit.document,
        "reverses": id_text(credit.reverses_id) if credit.reverses_id else None,
        "state": str(credit.state),
        "asked_by": credit.asked_by.email,
        "asked_at": _time(credit.asked_at),
        "approval": approval.outer_id if approval else None,
        "decided_by": decided_by.email if decided_by else None,
        "decided_at": _time(approval.decided_at) if approval else None,
    }


def _serialize_one(batch: CodeBatch) -> dict[str, Any]:
    return serialize_batch(batch, codes.need_another_operator([batch]))


def serialize_batch(batch: CodeBatch, needing: Collection[UUID]) -> dict[str, Any]:
    """Return a batch as a JSON object of the API; `needing` contains the batches that need another
    operator."""
    return {
        "id": id_text(batch.id),
        "name": batch.name,
        "value": format_usd(batch.value_nano),
        "currency": batch.currency,
        "count": batch.count,
        "max_uses": batch.max_uses,
        "expires_at": _time(batch.expires_at),
        "credit_days": batch.credit_days,
        "created_at": _time(batch.created_at),
        "needs_another_operator": batch.id in needing,
        "downloaded_at": _time(batch.downloaded_at),
        "killed_at": _time(batch.killed_at),
    }


def _time(at: dt.datetime | None) -> str | None:
    return clock.rfc3339(at) if at else None
