"""The management API of changes that need a second person, for operators."""

import datetime as dt
from typing import Literal

from django.http import HttpRequest
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from billing.approvals import approvals
from billing.approvals.approvals import KINDS, REASON_MAX
from billing.approvals.rules import EXPIRES_AFTER
from billing.models import Approval
from lib import clock
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.refusal import Refused

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class ApprovalQuery(pagination.PageQuery):
    kind: str | None = Field(None, max_length=20, description="Only changes of this type.")
    state: Literal["waiting", "approved", "rejected", "withdrawn"] | None = None


class ApprovalDecisionIn(RequestBody):
    """A decision on a change."""

    reason: str = Field("", max_length=REASON_MAX, description="Required to reject.")


class ApprovalChangeOut(Schema):
    name: str
    before: str | None
    after: str | None


class ApprovalOut(Schema):
    id: str
    kind: str = Field(description="What kind of change it is, such as `correction`.")
    subject: str = Field(description="ID of what would change.")
    about: str
    organisation: str | None = Field(description="Slug, if it is about one organisation.")
    changes: list[ApprovalChangeOut]
    reason: str
    state: str = Field(description="`waiting`, `approved`, `rejected` or `withdrawn`.")
    asked_by: str
    asked_at: dt.datetime
    expires_at: dt.datetime = Field(description="From then on it cannot be approved.")
    decided_by: str | None
    decided_at: dt.datetime | None
    answer: str


class ApprovalPage(Schema):
    items: list[ApprovalOut]
    next: str | None


@router.get("/approvals", response=ApprovalPage, summary="List changes for two operators")
def list_approvals(actor: Actor, query: Query[ApprovalQuery]) -> ApprovalPage:
    """Changes that wait for a second operator, and decided ones, newest first."""
    rows = approvals.visible_approvals(actor)
    if query.kind is not None:
        if query.kind not in KINDS:
            raise Refused("kind", f"Use one of: {', '.join(sorted(KINDS))}.")
        rows = rows.filter(kind=query.kind)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return ApprovalPage(items=[_serialize(row) for row in page.items], next=page.next)


@router.get("/approvals/{id}", response=ApprovalOut, summary="Show a change for two operators")
def show_approval(actor: Actor, id: str) -> ApprovalOut:
    """One change, waiting or decided."""
    return _serialize(approvals.access_approval(actor, id))


@router.post(
    "/approvals/{id}/approve",
    response=ApprovalOut,
    summary="Approve a change",
    openapi_extra=also_answers(409),
)
def approve(request: HttpRequest, actor: Actor, id: str, body: ApprovalDecisionIn) -> ApprovalOut:
    """Carries the change out as the second operator. Rejected for whoever requested it, and if
    something else would change by now."""
    return _decide(request, actor, id, body, approve=True)


@router.post(
    "/approvals/{id}/reject",
    response=ApprovalOut,
    summary="Reject a change",
    openapi_extra=also_answers(409),
)
def reject(request: HttpRequest, actor: Actor, id: str, body: ApprovalDecisionIn) -> ApprovalOut:
    """Nothing changes. Whoever requested the change withdraws it this way."""
    return _decide(request, actor, id, body, approve=False)


def _decide(
    request: HttpRequest, actor: Actor, id: str, body: ApprovalDecisionIn, *, approve: bool
) -> ApprovalOut:
    approval = approvals.access_approval(actor, id)
    check_signed_in_recently(request)
    return _serialize(approvals.decide(actor, approval, approve=approve, reason=body.reason))


def _serialize(approval: Approval) -> ApprovalOut:
    return ApprovalOut(
        id=approval.outer_id,
        kind=approval.kind,
        subject=approval.subject,
        about=approval.about,
        organisation=approval.organisation.slug if approval.organisation else None,
        changes=[ApprovalChangeOut(**change) for change in approval.changes],
        reason=approval.reason,
        state=approval.state,
        asked_by=approval.asked_by.email,
        asked_at=_time(approval.asked_at),
        expires_at=_time(approval.asked_at + EXPIRES_AFTER),
        decided_by=approval.decided_by.email if approval.decided_by else None,
        decided_at=_time(approval.decided_at) if approval.decided_at else None,
        answer=approval.answer,
    )


def _time(at: dt.datetime) -> dt.datetime:
    return dt.datetime.fromisoformat(clock.rfc3339(at))
