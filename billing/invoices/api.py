"""The management API of invoices and notes, and of the parties on them: for operators, the seller
and the taxes; for each organisation, its own billing details. Pages call the same functions."""

import datetime as dt
from typing import Literal

from django.http import HttpResponse
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.access import (
    access_invoice,
    access_tax_rate,
    access_wallet,
    tax_rates,
    visible_invoices,
)
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from billing.invoices import billing_details
from billing.invoices.document import state_of
from billing.invoices.invoices import lines_of
from billing.invoices.payments import Payment, payment_of, payments_of
from billing.invoices.rules import Line, LineKind, percent_text
from billing.invoices.views import pdf_file
from billing.models import BuyerDetail, Invoice, TaxRate
from billing.prices.words import rate_figure
from lib.api import pagination
from lib.api.openapi import Input, RequestBody, Schema

router = Router(tags=["Invoices"])


class PartyOut(Schema):
    legal_name: str
    address: str
    country: str
    tax_id: str


class InvoiceOut(Schema):
    """Amounts are exact decimals of `currency`."""

    id: str
    number: str | None = Field(description="None until the month is closed.")
    kind: Literal["invoice", "credit_note", "debit_note"]
    state: Literal["open", "closed", "corrected"]
    payment: Literal["paid", "due", "overdue", "void"] | None = Field(
        description="None of what is open, and of notes."
    )
    left: str = Field(description="What is still to be paid.")
    corrects: str | None = Field(description="The number of the invoice that a note corrects.")
    reason: str
    month: str
    timezone: str
    period_from: dt.datetime
    period_until: dt.datetime
    currency: str
    net: str
    tax: str
    rounding: str
    total: str
    checksum: str = Field(description="SHA-256 over the lines and the ledger's movement.")
    closed_at: dt.datetime | None


class InvoiceLineOut(Schema):
    kind: LineKind
    project: str
    team: str
    model: str
    meter: str
    quantity: int
    rate: str | None = Field(description="USD, with the plan's multiplier; of a tax, percent.")
    month: str | None = Field(description="The earlier month that late usage belongs to.")
    text: str
    amount: str


class InvoiceDetailOut(InvoiceOut):
    seller: PartyOut
    buyer: PartyOut
    lines: list[InvoiceLineOut]


class InvoicePage(Schema):
    items: list[InvoiceOut]
    next: str | None


class PdfQuery(Input):
    language: Literal["en", "zh-hans"] = "en"


@router.get("/invoices", response=InvoicePage, summary="List invoices")
def list_invoices(actor: Actor, query: Query[pagination.PageQuery]) -> InvoicePage:
    """The organisation's invoices, credit and debit notes, newest first."""
    rows = visible_invoices(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    payments = payments_of(page.items)
    items = [_serialize_invoice(row, payments[row.id]) for row in page.items]
    return InvoicePage(items=items, next=page.next)


@router.get("/invoices/{no}", response=InvoiceDetailOut, summary="Show an invoice")
def show_invoice(actor: Actor, no: str) -> InvoiceDetailOut:
    """One document with its lines, by its number, or its ID."""
    invoice = access_invoice(actor, no)
    return InvoiceDetailOut(
        **_serialize_invoice(invoice, payment_of(invoice)).model_dump(),
        seller=_party(invoice.seller),
        buyer=_party(invoice.buyer),
        lines=[_serialize_line(line) for line in lines_of(invoice)],
    )


@router.get("/invoices/{no}/pdf", response={200: bytes}, summary="Download an invoice")
def download_invoice(actor: Actor, no: str, query: Query[PdfQuery]) -> HttpResponse:
    """The document as tagged PDF. None before the month is closed."""
    return pdf_file(access_invoice(actor, no), query.language)


def _serialize_invoice(invoice: Invoice, payment: Payment) -> InvoiceOut:
    return answer_of(
        InvoiceOut,
        invoice,
        state=state_of(invoice, invoice.noted),  # type: ignore[attr-defined]
        payment=payment.state,
        left=format_usd(payment.left_nano),
        corrects=invoice.corrects.number if invoice.corrects else None,
        month=f"{invoice.month:%Y-%m}",
        timezone=invoice.zone,
        period_from=invoice.from_at,
        period_until=invoice.until_at,
    )


def _party(stored: dict[str, str]) -> PartyOut:
    return PartyOut(**{name: stored.get(name, "") for name in PartyOut.model_fields})


def _serialize_line(line: Line) -> InvoiceLineOut:
    rate = None
    if line.kind == "usage":
        rate = rate_figure(line.meter, line.rate_nano_per_million, line.multiplier_ppm)
    elif line.kind == "tax":
        rate = percent_text(line.rate_ppm)
    month = f"{line.origin:%Y-%m}" if line.origin else None
    return answer_of(InvoiceLineOut, line, rate=rate, month=month)


operator_router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)

_COUNTRY = "Code of two letters, such as `DE`."


class SellerIn(RequestBody):
    """The seller on a document."""

    legal_name: str = Field("", max_length=200)
    address: str = Field("", max_length=500)
    country: str = Field("", max_length=2, description=_COUNTRY)
    tax_id: str = Field("", max_length=40)


class SellerOut(Schema):
    legal_name: str
    address: str
    country: str
    tax_id: str


class BillingDetailsIn(SellerIn):
    """An organisation as a buyer."""

    zone: str = Field(
        "UTC", max_length=64, description="In which months begin and end, such as `Asia/Kolkata`."
    )


class BillingDetailsOut(SellerOut):
    zone: str


class TaxRateIn(RequestBody):
    """A tax of a country from a day on."""

    name: str = Field(min_length=1, max_length=60)
    country: str = Field("", max_length=2, description=f"{_COUNTRY} Empty: all other countries.")
    percent: str = Field(max_length=12, description="Such as `19` or `8.1`.", examples=["19"])
    valid_from: dt.date
    reverse_charge_text: str = Field(
        "",
        max_length=500,
        description="If set, buyers with a tax ID are not charged; invoices show the text.",
    )


class TaxRateOut(Schema):
    id: str
    name: str
    country: str
    percent: str
    valid_from: dt.date
    reverse_charge_text: str
    created_at: dt.datetime


class TaxRatePage(Schema):
    items: list[TaxRateOut]
    next: str | None


@router.get("/billing-details", response=BillingDetailsOut, summary="Show billing details")
def show_billing_details(actor: Actor) -> BillingDetailsOut:
    """Who stands on the organisation's invoices as the buyer."""
    organisation = access_wallet(actor, "balance.read")
    return _buyer(billing_details.buyer_of(organisation))


@router.put("/billing-details", response=BillingDetailsOut, summary="Change billing details")
def change_billing_details(actor: Actor, body: BillingDetailsIn) -> BillingDetailsOut:
    """Replaces all of them. Documents that are closed already stay as they are."""
    organisation = access_wallet(actor, "wallet.write")
    return _buyer(billing_details.set_buyer(actor, organisation, **body.model_dump()))


@operator_router.get("/seller", response=SellerOut, summary="Show the seller")
@requires("credits.read")
def show_seller(actor: Actor) -> SellerOut:
    """Who stands on all invoices as the seller."""
    return SellerOut(**billing_details.seller().document())


@operator_router.put("/seller", response=SellerOut, summary="Change the seller")
@requires("credits.write")
def change_seller(actor: Actor, body: SellerIn) -> SellerOut:
    """Replaces all details. Documents that are closed already stay as they are."""
    return SellerOut(**billing_details.set_seller(actor, **body.model_dump()).document())


@operator_router.get("/tax-rates", response=TaxRatePage, summary="List tax rates")
def list_tax_rates(actor: Actor, query: Query[pagination.NamedPageQuery]) -> TaxRatePage:
    """Taxes by country and day, oldest first."""
    rows = query.filter_by_name(tax_rates(actor))
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return TaxRatePage(items=[_tax_rate(row) for row in page.items], next=page.next)


@operator_router.post("/tax-rates", response={201: TaxRateOut}, summary="Add a tax rate")
@requires("credits.write")
def create_tax_rate(actor: Actor, body: TaxRateIn) -> Status[TaxRateOut]:
    """A rate is never changed: a new one applies from its day on."""
    return Status(201, _tax_rate(billing_details.add_tax_rate(actor, **body.model_dump())))


@operator_router.get("/tax-rates/{id}", response=TaxRateOut, summary="Show a tax rate")
def show_tax_rate(actor: Actor, id: str) -> TaxRateOut:
    """One rate."""
    return _tax_rate(access_tax_rate(actor, id))


def _buyer(detail: BuyerDetail) -> BillingDetailsOut:
    return BillingDetailsOut(**detail.document(), zone=detail.zone)


def _tax_rate(row: TaxRate) -> TaxRateOut:
    return answer_of(TaxRateOut, row, percent=percent_text(row.rate_ppm))
