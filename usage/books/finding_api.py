"""The management API of ledger findings; for operators. Pages call the same functions."""

import datetime as dt
from typing import Any

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from usage.books import findings
from usage.models import Finding

router = Router(tags=["Operators"], auth=api_auth.installation_auth)


class FindingQuery(pagination.PageQuery):
    """The filter of the list."""

    open: bool | None = Field(
        None, description="Only findings that are not acknowledged; `false`: only the others."
    )


class AcknowledgementIn(RequestBody):
    """The reason why a finding needs no more attention."""

    reason: str = Field(
        min_length=1,
        max_length=findings.REASON_MAX,
        description="What caused it, and what was done.",
    )


class FindingOut(Schema):
    """A row that violates, or violated, a rule of the ledger."""

    id: str
    invariant: str = Field(description="The rule.")
    object: str = Field(description="The IDs that identify the row.")
    expected: str = Field(description="Empty where the rule compares no figures.")
    found: str
    first_seen_at: dt.datetime
    last_seen_at: dt.datetime
    holds: bool = Field(description="Whether it was still wrong at the last check of the row.")
    acknowledged_at: dt.datetime | None
    acknowledged_by: str
    reason: str


class FindingPage(Schema):
    items: list[FindingOut]
    next: str | None


@router.get("/findings", response=FindingPage, summary="List ledger findings")
def list_findings(actor: Actor, query: Query[FindingQuery]) -> dict[str, Any]:
    """Findings of the ledger checks, oldest first."""
    rows = findings.all_findings(actor)
    if query.open is not None:
        rows = rows.filter(acknowledged_at__isnull=query.open)
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return {"items": [_serialize_finding(row) for row in page.items], "next": page.next}


@router.get("/findings/{id}", response=FindingOut, summary="Show a ledger finding")
def read_finding(actor: Actor, id: str) -> FindingOut:
    """One finding of the ledger checks."""
    return _serialize_finding(findings.access_finding(actor, id))


@router.post(
    "/findings/{id}/acknowledge", response=FindingOut, summary="Acknowledge a ledger finding"
)
@requires("channels.write")
def acknowledge_finding(actor: Actor, id: str, body: AcknowledgementIn) -> FindingOut:
    """Takes a finding off the list of open ones, once."""
    finding = findings.access_finding(actor, id)
    return _serialize_finding(findings.acknowledge(actor, finding, body.reason))


def _serialize_finding(finding: Finding) -> FindingOut:
    return answer_of(FindingOut, finding, acknowledged_by=finding.acknowledged_as)
