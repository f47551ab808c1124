"""The management API for operators of all organisations' invoices and notes, and of the month's
close. Pages call the same functions."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.access import all_invoices, any_invoice
from billing.credits.api import amount_of
from billing.currency.money import format_usd
from billing.idempotency import Answer, answer_idempotently
from billing.invoices import invoices
from billing.invoices import payments as invoice_payments
from billing.invoices.api import PdfQuery
from billing.invoices.payments import (
    REFERENCE_MAX,
    Payment,
    payment_of,
    payments_of,
)
from billing.invoices.views import pdf_file
from billing.models import Invoice, InvoiceKind
from lib import clock
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.ids import id_text
from usage.months import close as month_close

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class DocumentQuery(pagination.PageQuery):
    organisation: str | None = Field(None, max_length=60, description="Slug of one organisation.")
    state: Literal["draft", "proposed", "closed"] | None = None
    month: str | None = Field(None, pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")


class DocumentOut(Schema):
    """An invoice or a note. Amounts are exact decimals of `currency`."""

    id: str
    number: str | None
    organisation: str
    kind: Literal["invoice", "credit_note", "debit_note"]
    state: Literal["draft", "proposed", "closed"]
    payment: Literal["paid", "due", "overdue", "void"] | None = Field(
        description="None of what is not closed, and of notes."
    )
    month: str
    corrects: str | None = Field(description="ID of the invoice that a note corrects.")
    reason: str
    currency: str
    net: str
    tax: str
    total: str
    left: str = Field(description="What is still to be paid.")
    due_on: dt.date | None
    checksum: str
    proposed_by: str | None
    closed_by: str | None
    closed_at: dt.datetime | None


class DocumentPage(Schema):
    items: list[DocumentOut]
    next: str | None


class CloseIn(RequestBody):
    """The document that the operator has seen."""

    checksum: str = Field(max_length=64)


class DocumentNoteIn(RequestBody):
    """A credit or debit note for a closed invoice."""

    kind: Literal["credit_note", "debit_note"]
    amount: str = Field(max_length=40, description="Before taxes, as an exact decimal.")
    reason: str = Field(min_length=1, max_length=invoices.REASON_MAX)


class VoidIn(RequestBody):
    """The reason for voiding an invoice."""

    reason: str = Field(min_length=1, max_length=invoices.REASON_MAX)


class PaymentIn(RequestBody):
    """How an invoice, or a part of it, was paid."""

    amount: str = Field(max_length=40, description="Exact decimal, at most what is left.")
    reference: str = Field(min_length=1, max_length=REFERENCE_MAX)
    paid_on: dt.date


@router.get("/documents", response=DocumentPage, summary="List invoices of all organisations")
def list_documents(actor: Actor, query: Query[DocumentQuery]) -> DocumentPage:
    """Invoices, credit and debit notes, drafts among them, newest first."""
    rows = all_invoices(actor)
    if query.organisation:
        rows = rows.filter(organisation__slug=query.organisation)
    if query.state:
        rows = rows.filter(state=query.state)
    if query.month:
        rows = rows.filter(month=dt.date.fromisoformat(f"{query.month}-01"))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    payments = payments_of(page.items)
    items = [DocumentOut(**_serialize_invoice(row, payments[row.id])) for row in page.items]
    return DocumentPage(items=items, next=page.next)


@router.get("/documents/{id}", response=DocumentOut, summary="Show an invoice of any organisation")
def show_document(actor: Actor, id: str) -> DocumentOut:
    """One document, by its ID."""
    invoice = any_invoice(actor, id)
    return DocumentOut(**_serialize_invoice(invoice, payment_of(invoice)))


@router.get(
    "/documents/{id}/pdf", response={200: bytes}, summary="Download an invoice of any organisation"
)
def download_document(actor: Actor, id: str, query: Query[PdfQuery]) -> HttpResponse:
    """The document as a file to print. None before it is closed."""
    return pdf_file(any_invoice(actor, id), query.language)


@router.post(
    "/documents/{id}/propose",
    response=DocumentOut,
    summary="Propose an invoice",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def propose_document(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """The first operator's word on a draft. Supports `Idempotency-Key`."""
    return _change_document(request, actor, id, lambda invoice: month_close.propose(actor, invoice))


@router.post(
    "/documents/{id}/close",
    response=DocumentOut,
    summary="Close an invoice",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def close_document(request: HttpRequest, actor: Actor, id: str, body: CloseIn) -> HttpResponse:
    """The second operator's word, on the document with this checksum. Supports
    `Idempotency-Key`."""
    return _change_document(
        request, actor, id, lambda invoice: month_close.close(actor, invoice, body.checksum)
    )


@router.post(
    "/documents/{id}/notes",
    response={201: DocumentOut},
    summary="Propose a note",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def propose_note(request: HttpRequest, actor: Actor, id: str, body: DocumentNoteIn) -> HttpResponse:
    """A credit or debit note on a closed invoice; another operator closes it. Supports
    `Idempotency-Key`."""
    kind = InvoiceKind(body.kind)

    def note(invoice: Invoice) -> Invoice:
        return invoices.propose_note(actor, invoice, kind, amount_of(body.amount), body.reason)

    return _change_document(request, actor, id, note, 201)


@router.post(
    "/documents/{id}/void",
    response={201: DocumentOut},
    summary="Void an invoice",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def void_document(request: HttpRequest, actor: Actor, id: str, body: VoidIn) -> HttpResponse:
    """Proposes a credit note over all that is left of a closed invoice; another operator closes it.
    Supports `Idempotency-Key`."""

    def note(invoice: Invoice) -> Invoice:
        left = invoices.creditable_nano(invoice)
        return invoices.propose_note(actor, invoice, InvoiceKind.CREDIT_NOTE, left, body.reason)

    return _change_document(request, actor, id, note, 201)


@router.post(
    "/documents/{id}/payments",
    response={201: DocumentOut},
    summary="Record a payment of an invoice",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def record_payment(request: HttpRequest, actor: Actor, id: str, body: PaymentIn) -> HttpResponse:
    """Says how it was paid, and moves no money. Supports `Idempotency-Key`."""

    def record(invoice: Invoice) -> Invoice:
        invoice_payments.record_payment(
            actor, invoice, amount_of(body.amount), reference=body.reference, paid_on=body.paid_on
        )
        return invoice

    return _change_document(request, actor, id, record, 201)


def _change_document(
    request: HttpRequest,
    actor: Actor,
    id: str,
    act: Callable[[Invoice], Invoice],
    status: int = 200,
) -> HttpResponse:
    invoice = any_invoice(actor, id)

    def answer() -> Answer:
        done = act(invoice)
        return Answer(status, _serialize_invoice(done, payment_of(done)))

    return answer_idempotently(request, actor, answer)


def _serialize_invoice(invoice: Invoice, payment: Payment) -> dict[str, Any]:
    return {
        "id": id_text(invoice.id),
        "number": invoice.number,
        "organisation": invoice.organisation.slug,
        "kind": str(invoice.kind),
        "state": str(invoice.state),
        "payment": payment.state,
        "month": f"{invoice.month:%Y-%m}",
        "corrects": id_text(invoice.corrects_id) if invoice.corrects_id else None,
        "reason": invoice.reason,
        "currency": invoice.currency,
        "net": format_usd(invoice.net_nano),
        "tax": format_usd(invoice.tax_nano),
        "total": format_usd(invoice.total_nano),
        "left": format_usd(payment.left_nano),
        "due_on": payment.due_on.isoformat() if payment.state in ("due", "overdue") else None,
        "checksum": invoice.checksum,
        "proposed_by": invoice.proposed_by.email if invoice.proposed_by else None,
        "closed_by": invoice.closed_by.email if invoice.closed_by else None,
        "closed_at": clock.rfc3339(invoice.closed_at) if invoice.closed_at else None,
    }
