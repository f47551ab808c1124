"""The management API of invoices and notes."""

import datetime as dt
from typing import Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from accounts.access import actors
from billing.access import access_invoice, visible_invoices
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from billing.invoices.document import state_of
from billing.invoices.invoices import lines_of
from billing.invoices.payments import left_nano, payment_state
from billing.invoices.rules import Line, LineKind, percent_text
from billing.invoices.views import pdf_file
from billing.models import Invoice
from billing.prices.words import rate_figure
from lib.api import pagination
from lib.api.openapi import Input, Schema

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
def list_invoices(request: HttpRequest, query: Query[pagination.PageQuery]) -> InvoicePage:
    """The organisation's invoices, credit and debit notes, newest first."""
    rows = visible_invoices(actors.actor_of(request))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return InvoicePage(items=[_serialize_invoice(row) for row in page.items], next=page.next)


@router.get("/invoices/{no}", response=InvoiceDetailOut, summary="Show an invoice")
def show_invoice(request: HttpRequest, no: str) -> InvoiceDetailOut:
    """One document with its lines, by its number, or its ID."""
    invoice = access_invoice(actors.actor_of(request), no)
    return InvoiceDetailOut(
        **_serialize_invoice(invoice).model_dump(),
        seller=_party(invoice.seller),
        buyer=_party(invoice.buyer),
        lines=[_serialize_line(line) for line in lines_of(invoice)],
    )


@router.get("/invoices/{no}/pdf", response={200: bytes}, summary="Download an invoice")
def download_invoice(request: HttpRequest, no: str, query: Query[PdfQuery]) -> HttpResponse:
    """The document as tagged PDF. None before the month is closed."""
    return pdf_file(access_invoice(actors.actor_of(request), no), query.language)


def _serialize_invoice(invoice: Invoice) -> InvoiceOut:
    return answer_of(
        InvoiceOut,
        invoice,
        state=state_of(invoice, invoice.noted),  # type: ignore[attr-defined]
        payment=payment_state(invoice),
        left=format_usd(left_nano(invoice)),
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
