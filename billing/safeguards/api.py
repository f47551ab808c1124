"""The management API of safeguards; for operators. Pages call the same functions."""

from typing import Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from billing.access import organisation_named
from billing.approvals.approvals import all_waiting, waiting
from billing.currency.money import MoneyInvalid, parse_usd
from billing.models import Approval, Safeguard
from billing.safeguards import safeguards
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.refusal import Refused

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class SafeguardIn(RequestBody):
    """A stricter value, which applies immediately, or another value, which another operator must
    approve."""

    name: Literal["credit_limit", "audit_retention"]
    organisation: str = Field("", max_length=60, description="Slug. Empty: all organisations.")
    value: str = Field(
        min_length=1, max_length=24, description="USD in 24 hours, or days (0 = forever)."
    )


class SafeguardOut(Schema):
    id: str
    name: str
    organisation: str | None
    value: str | None = Field(description="`null` while it was only proposed.")
    approval: str | None = Field(description="ID of the approval that waits.")
    proposed: str | None
    proposed_by: str | None


class SafeguardPage(Schema):
    items: list[SafeguardOut]
    next: str | None


@router.get("/safeguards", response=SafeguardPage, summary="List safeguards")
def list_safeguards(actor: Actor, query: Query[pagination.NamedPageQuery]) -> dict[str, Any]:
    """The values that operators have set or proposed."""
    rows = list(query.filter_by_name(safeguards.all_safeguards(actor)))
    page = pagination.page_by_key(rows, query.limit, query.cursor, lambda row: str(row.pk))
    asked = all_waiting(safeguards.SAFEGUARD)
    items = [_serialize(row, asked.get(str(row.pk))) for row in page.items]
    return {"items": items, "next": page.next}


@router.post("/safeguards", response=SafeguardOut, summary="Set a safeguard")
@requires("credits.write")
def set_safeguard(request: HttpRequest, actor: Actor, body: SafeguardIn) -> dict[str, Any]:
    """Sets a stricter value. Another one waits for the approval of another operator."""
    organisation = organisation_named(actor, body.organisation) if body.organisation else None
    check_signed_in_recently(request)
    value = _parse(body)
    row = safeguards.set_safeguard(actor, body.name, value, organisation)
    return _serialize(row, waiting(safeguards.SAFEGUARD, str(row.pk)))


def _parse(body: SafeguardIn) -> int:
    if body.name == "credit_limit":
        try:
            return parse_usd(body.value)
        except MoneyInvalid as error:
            raise Refused("value", str(error)) from error
    if not (body.value.isascii() and body.value.isdigit()):
        raise Refused("value", gettext("Enter a whole number of days."))
    return int(body.value)


def _serialize(row: Safeguard, waits: Approval | None) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "organisation": row.organisation.slug if row.organisation else None,
        "value": None if row.value is None else safeguards.format_value(row.name, row.value),
        "approval": waits.outer_id if waits else None,
        "proposed": waits.changes[0]["after"] if waits else None,
        "proposed_by": waits.asked_by.email if waits else None,
    }
