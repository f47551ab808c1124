"""The management API of requests under review; for operators."""

import datetime as dt
from typing import Any, Literal

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.idempotency import Answer, answer_idempotently
from lib import clock
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.ids import id_text, parse_id
from usage.models import AcceptedMember, Review, SettleAs
from usage.reviews import accepted_members, reviews
from usage.reviews.reviews import ReviewRefused, UnderReview

router = Router(tags=["Reviews"], auth=api_auth.installation_auth)


class ReviewIn(RequestBody):
    """The charge for a request under review."""

    settle_as: Literal["amount", "bound", "free", "count"] = Field(
        description="`amount`: the given amount. `bound`: all that was reserved. `free`: nothing. "
        "`count`: what is known of its count, at its price."
    )
    amount: str | None = Field(
        None, max_length=40, description="Exact decimal in USD, at most the maximum cost."
    )
    reason: str = Field(min_length=1, max_length=500)


class ReviewOut(Schema):
    request: str
    settle_as: str
    before: str = Field(description="What the customer had been charged, in USD.")
    charge: str = Field(description="What the customer has been charged since.")
    reason: str
    decided_by: str
    decided_at: dt.datetime


class ReviewItem(Schema):
    request: str
    created_at: dt.datetime
    organisation: str
    model: str
    channel: str
    flags: list[str]
    unknown: list[str] = Field(description="What of the usage is not classified.")
    charge: str = Field(description="What was charged based on our own count.")
    bound: str = Field(description="The amount reserved; with `kept` it is still reserved.")
    kept: bool = Field(description="No charge could be determined.")


class UnknownKindOut(Schema):
    provider: str
    dialect: str = Field(description="The dialect of the usage; empty for old requests.")
    unknown: list[str] = Field(description="Members or values of usage without a classification.")
    first_at: dt.datetime
    last_at: dt.datetime
    requests: int
    waiting: int = Field(description="How many of the requests are not settled.")
    held: str = Field(description="What these hold, in USD.")


class UnknownKinds(Schema):
    items: list[UnknownKindOut]


class KindIn(RequestBody):
    """The decision for all requests of a kind."""

    provider: str = Field(max_length=60)
    unknown: list[str] = Field(min_length=1, max_length=8)
    settle_as: Literal["bound", "free", "count"] = Field(
        description="`bound`: all that was reserved. `free`: nothing. `count`: what is known of "
        "the count, at its price."
    )
    reason: str = Field("", max_length=500, description="Required with `accept`.")
    accept: bool = Field(
        False,
        description="Count these members as free from now on: later requests are charged for the "
        "rest of their usage.",
    )
    dialect: str = Field(
        "",
        max_length=12,
        description="The dialect of the usage, as listed: empty for old requests. Required with "
        "`accept`.",
    )


class AcceptedMemberOut(Schema):
    id: str
    provider: str
    dialect: str
    member: str
    reason: str
    accepted_by: str
    accepted_at: dt.datetime


class AcceptedMembers(Schema):
    items: list[AcceptedMemberOut]
    next: str | None


class KindRefusalOut(Schema):
    request: str
    why: str


class KindSettledOut(Schema):
    settled: int
    waiting: int = Field(
        description="How many still wait. If there are more than `refused`, send the same again."
    )
    refused: int = Field(description="How many cannot be settled in this way, and still wait.")
    first_refusal: KindRefusalOut | None = Field(description="The oldest of these, and the reason.")


class ReviewPage(Schema):
    items: list[ReviewItem]
    next: str | None


@router.get("/reviews", response=ReviewPage, summary="List requests under review")
def list_reviews(actor: Actor, query: Query[pagination.PageQuery]) -> dict[str, Any]:
    """Requests of all organisations with an implausible or unpriced count, newest first."""
    before = pagination.after_id(query.cursor)
    reviews_ = reviews.open_reviews(actor, query.limit + 1, before)
    page = pagination.cut_page(reviews_, query.limit, lambda review: review.attempt_id)
    return {"items": [_item(review) for review in page.items], "next": page.next}


@router.get("/review-kinds", response=UnknownKinds, summary="List unknown kinds of usage")
def list_kinds(actor: Actor) -> dict[str, Any]:
    """What of the usage that providers report is not classified, by provider and dialect, latest
    first."""
    kinds = reviews.unknown_kinds(actor)
    return {
        "items": [
            {
                "provider": kind.provider,
                "dialect": kind.wire,
                "unknown": list(kind.unknown),
                "first_at": kind.first_at,
                "last_at": kind.last_at,
                "requests": kind.requests,
                "waiting": kind.waiting,
                "held": format_usd(kind.held_nano),
            }
            for kind in kinds
        ]
    }


@router.post(
    "/review-kinds/settle",
    response=KindSettledOut,
    summary="Settle all requests of a kind",
    openapi_extra=also_answers(404),
)
def settle_kind(actor: Actor, body: KindIn) -> dict[str, Any]:
    """Settles every request under review for the same unknown usage of a provider in one dialect,
    up to 1,000 at once. A request that was settled before is left as it is. 422 if all that wait
    cannot be settled in this way."""
    if body.accept and not body.dialect:
        raise ReviewRefused("dialect", gettext("Enter the dialect of the usage to accept it."))
    settled = reviews.settle_kind(
        actor,
        body.provider,
        body.dialect,
        body.unknown,
        SettleAs(body.settle_as),
        reason=body.reason,
        accept=body.accept,
    )
    first = settled.first_refusal
    return settled._asdict() | {
        "first_refusal": first and {"request": id_text(first.request_id), "why": str(first.why)}
    }


@router.get("/accepted-members", response=AcceptedMembers, summary="List accepted usage members")
def list_accepted(actor: Actor, query: Query[pagination.PageQuery]) -> dict[str, Any]:
    """Members of usage without a classification that an operator counts as free, oldest first."""
    members = accepted_members.accepted_members(actor)
    page = pagination.page_by_number(members, query.limit, query.cursor)
    return {"items": [_serialize_member(member) for member in page.items], "next": page.next}


@router.post(
    "/accepted-members/{id}/revoke",
    response=AcceptedMemberOut,
    summary="Revoke an accepted usage member",
    openapi_extra=also_answers(404),
)
def revoke_accepted(actor: Actor, id: str) -> dict[str, Any]:
    """Later requests whose usage has the member are under review again."""
    return _serialize_member(accepted_members.revoke_member(actor, id))


def _serialize_member(member: AcceptedMember) -> dict[str, Any]:
    return {
        "id": str(member.id),
        "provider": member.provider,
        "dialect": member.wire,
        "member": member.member,
        "reason": member.reason,
        "accepted_by": member.accepted_by.email,
        "accepted_at": member.accepted_at,
    }


@router.post(
    "/requests/{id}/review",
    response={201: ReviewOut},
    summary="Settle a request",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def settle_request(request: HttpRequest, actor: Actor, id: str, body: ReviewIn) -> HttpResponse:
    """Settles a request under review, once. Supports `Idempotency-Key`."""
    request_id = parse_id(id)
    if request_id is None:
        raise Http404
    amount_nano = None if body.amount is None else _amount(body.amount)

    def act() -> Answer:
        review = reviews.settle_review(
            actor,
            request_id,
            SettleAs(body.settle_as),
            amount_nano=amount_nano,
            reason=body.reason,
        )
        return Answer(201, _serialize_review(review))

    return answer_idempotently(request, actor, act)


def _amount(text: str) -> int:
    try:
        return parse_usd(text)
    except MoneyInvalid as error:
        raise ReviewRefused("amount", str(error)) from error


def _item(review: UnderReview) -> dict[str, Any]:
    return {
        "request": id_text(review.request_id),
        "created_at": review.admitted_at,
        "organisation": review.slug,
        "model": review.model,
        "channel": review.channel_name,
        "flags": [flag for flag in review.flags if flag != "quarantine"],
        "unknown": review.unknown,
        "charge": format_usd(review.charge_nano),
        "bound": format_usd(review.hold_nano),
        "kept": review.basis == "held",
    }


def _serialize_review(review: Review) -> dict[str, Any]:
    return {
        "request": id_text(review.request_id),
        "settle_as": str(review.settle_as),
        "before": format_usd(review.before_nano),
        "charge": format_usd(review.charge_nano),
        "reason": review.reason,
        "decided_by": review.decided_by.email,
        "decided_at": clock.rfc3339(review.decided_at),
    }
