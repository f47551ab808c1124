"""The management API of margins; for operators."""

import datetime as dt

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from lib import clock
from lib.api.openapi import Input, Schema
from usage.margin.margin import MarginBy, MarginRow, first_day, margin, total
from usage.months.detached import detached_on, names_of

router = Router(tags=["Margin"], auth=api_auth.installation_auth)


class MarginQuery(Input):
    by: MarginBy = "model"
    from_: dt.date | None = Field(
        None, alias="from", description="The first day, in UTC. Default: 30 days up to the last."
    )
    to: dt.date | None = Field(None, description="The last day, included. Default: today.")


class MarginRowOut(Schema):
    """A row of the margin report. Amounts are exact decimals in USD."""

    id: str = Field(
        description="A model's name, a channel's ID or an organisation's name in URLs. Empty for "
        "requests that were refused before a model or a channel was known."
    )
    name: str
    requests: int
    revenue: str
    cost: str | None = Field(
        description="The known cost. Null if no cost price covers anything that was used."
    )
    margin: str | None = Field(
        description="The revenue whose cost is known, less this cost. Null if no cost is known."
    )
    unpriced: str = Field(description="The revenue whose cost is not known.")


class MarginOut(Schema):
    items: list[MarginRowOut]
    total: MarginRowOut
    detached_months: list[str] = Field(
        description="Months, such as 2026-09, whose requests are not in it: an operator detached "
        "them into a file."
    )


@router.get("/margin", response=MarginOut, summary="Show margins")
def show_margin(actor: Actor, query: Query[MarginQuery]) -> MarginOut:
    """Revenue minus cost of the requests of some days, the least first."""
    last_on = query.to or clock.now().date()
    first_on = query.from_ or first_day(last_on)
    rows = margin(actor, query.by, first_on, last_on)
    return MarginOut(
        items=[_serialize_row(row) for row in rows],
        total=_serialize_row(total(rows)),
        detached_months=names_of(detached_on(first_on, last_on)),
    )


def _serialize_row(row: MarginRow) -> MarginRowOut:
    return answer_of(MarginRowOut, row)
