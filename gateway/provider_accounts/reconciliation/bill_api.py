"""The management API for operators of providers' bills and their differences from our records.
Pages call the same functions."""

import datetime as dt
from io import BytesIO
from typing import Final, Literal

from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from billing.currency.money import parse_usd
from gateway.access import access_channel
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import TypedWhole
from usage.limits.api import Amount
from usage.margin import provider_bills
from usage.margin.provider_bills import NOTE_MAX
from usage.models import BillDifference, BillMapping, ProviderBill

router = Router(tags=["Reconciliation"], auth=api_auth.installation_auth)

Match = Literal["request", "day"]
CSV_MAX: Final = 2_000_000
_HEAD_MAX: Final = 120


class BillIn(RequestBody):
    """A provider's bill, and the meaning of its columns."""

    provider: str = Field(min_length=1, max_length=40)
    channels: list[str] = Field(
        min_length=1, max_length=500, description="IDs of the channels that this bill is for."
    )
    first_on: dt.date = Field(description="In UTC.")
    last_on: dt.date
    match: Match = Field(
        "day",
        description="`request`: by the ID that was sent as `x-client-request-id`. `day`: by day "
        "and model.",
    )
    request_column: str = Field("", max_length=_HEAD_MAX)
    day_column: str = Field("", max_length=_HEAD_MAX)
    model_column: str = Field("", max_length=_HEAD_MAX)
    amount_column: str = Field(min_length=1, max_length=_HEAD_MAX, description="In USD.")
    tolerance: Amount = Field("0.00", description="Smaller differences are not listed.")
    file: str = Field("bill.csv", min_length=1, max_length=200, description="What lists call it.")
    csv: str = Field(
        max_length=CSV_MAX,
        description="The bill as CSV; its first row has the names of the columns. Larger files and "
        "XLSX are for the page.",
        examples=["Day,Model,Cost\n2026-01-31,gpt-4o,1.50\n"],
    )


class BillOut(Schema):
    id: str
    provider: str
    channels: list[str]
    first_on: dt.date
    last_on: dt.date
    match: Match
    tolerance: str
    file: str
    lines: int
    billed: str
    ours: str = Field(description="What our records come to.")
    differences: int
    open: int = Field(description="Differences that are not settled.")
    created_by: str | None
    created_at: dt.datetime


class BillPage(Schema):
    items: list[BillOut]
    next: str | None


class BillQuery(pagination.PageQuery):
    provider: str | None = None


class DifferenceOut(Schema):
    n: int
    kind: Literal["not_billed", "not_recorded", "differs"]
    request: str | None
    day: dt.date | None
    model: str
    billed: str
    ours: str
    note: str
    settled_by: str | None
    settled_at: dt.datetime | None


class DifferencePage(Schema):
    items: list[DifferenceOut]
    next: str | None


class DifferenceQuery(pagination.PageQuery):
    state: Literal["open", "settled"] | None = None


class DifferenceNoteIn(RequestBody):
    """A note on the cause of a difference."""

    note: str = Field(min_length=1, max_length=NOTE_MAX)


@router.get("/provider-bills", response=BillPage, summary="List providers' bills")
def list_bills(actor: Actor, query: Query[BillQuery]) -> BillPage:
    """The bills that were compared, newest first."""
    rows = provider_bills.visible_bills(actor)
    if query.provider is not None:
        rows = rows.filter(provider=query.provider)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return BillPage(items=[_bill(row) for row in page.items], next=page.next)


@router.post("/provider-bills", response={201: BillOut}, summary="Compare a provider's bill")
@requires("credits.write")
def create_bill(actor: Actor, body: BillIn) -> Status[BillOut]:
    """Compares the bill with our records. The file is not kept, only what differs is."""
    columns = body.model_dump(
        include={"match", "request_column", "day_column", "model_column", "amount_column"}
    )
    mapping = BillMapping(
        provider=body.provider, tolerance_nano=parse_usd(body.tolerance), **columns
    )
    channels = [access_channel(actor, id).id for id in body.channels]
    bill = provider_bills.reconcile(
        actor,
        mapping,
        channels,
        first_on=body.first_on,
        last_on=body.last_on,
        file=BytesIO(body.csv.encode()),
        file_name=body.file,
    )
    return Status(201, _bill(provider_bills.access_bill(actor, id_text(bill.id))))


@router.get("/provider-bills/{id}", response=BillOut, summary="Show a provider's bill")
def show_bill(actor: Actor, id: str) -> BillOut:
    """One bill, with how much of it is open."""
    return _bill(provider_bills.access_bill(actor, id))


@router.get("/provider-bills/{id}/differences", response=DifferencePage, summary="List differences")
def list_differences(actor: Actor, id: str, query: Query[DifferenceQuery]) -> DifferencePage:
    """What a bill and our records do not have alike, the largest first."""
    bill = provider_bills.access_bill(actor, id)
    rows = bill.differences.select_related("settled_by").order_by("n")
    if query.state is not None:
        rows = rows.filter(settled_at__isnull=query.state == "open")
    page = pagination.page_by_key(list(rows), query.limit, query.cursor, lambda row: str(row.n))
    return DifferencePage(items=[_difference(row) for row in page.items], next=page.next)


@router.get(
    "/provider-bills/{id}/differences/{n}", response=DifferenceOut, summary="Show a difference"
)
def show_difference(actor: Actor, id: str, n: TypedWhole) -> DifferenceOut:
    """One difference."""
    return _difference(
        provider_bills.access_difference(actor, provider_bills.access_bill(actor, id), n)
    )


@router.post(
    "/provider-bills/{id}/differences/{n}/settle",
    response=DifferenceOut,
    summary="Settle a difference",
)
@requires("credits.write")
def settle_difference(
    actor: Actor, id: str, n: TypedWhole, body: DifferenceNoteIn
) -> DifferenceOut:
    """Says what came of it. Nothing is posted."""
    bill = provider_bills.access_bill(actor, id)
    provider_bills.settle_difference(
        actor, provider_bills.access_difference(actor, bill, n), body.note
    )
    return _difference(provider_bills.access_difference(actor, bill, n))


@router.post(
    "/provider-bills/{id}/differences/{n}/reopen",
    response=DifferenceOut,
    summary="Reopen a difference",
)
@requires("credits.write")
def reopen_difference(actor: Actor, id: str, n: TypedWhole) -> DifferenceOut:
    """It is open again; its note stays."""
    bill = provider_bills.access_bill(actor, id)
    provider_bills.reopen_difference(actor, provider_bills.access_difference(actor, bill, n))
    return _difference(provider_bills.access_difference(actor, bill, n))


def _bill(bill: ProviderBill) -> BillOut:
    """Return a bill as `visible_bills` returns it."""
    return answer_of(
        BillOut,
        bill,
        channels=[id_text(id) for id in bill.channel_ids],
        file=bill.file_name,
        differences=bill.difference_count,  # type: ignore[attr-defined]
        open=bill.open_count,  # type: ignore[attr-defined]
        created_by=bill.created_by.email if bill.created_by else None,
    )


def _difference(row: BillDifference) -> DifferenceOut:
    return answer_of(
        DifferenceOut,
        row,
        request=id_text(row.request_id) if row.request_id else None,
        settled_by=row.settled_by.email if row.settled_by else None,
    )
