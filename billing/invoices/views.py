"""An organisation's invoices and notes (W42), and its billing details as a buyer."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from billing.access import access_invoice, access_wallet, visible_invoices
from billing.invoices.billing_details import buyer_of, set_buyer, zone_of
from billing.invoices.document import (
    KINDS,
    PAYMENTS,
    STATES,
    describe_document,
    describe_payment,
    month_word,
    state_of,
)
from billing.invoices.forms import BuyerForm
from billing.invoices.payments import Payment, payments_of
from billing.invoices.pdf import LANGUAGES
from billing.invoices.pdf import invoice_pdf as make_pdf
from billing.models import Invoice
from billing.periods.months import last_month, month_after, month_span
from lib import clock
from lib.htmx import see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table, status_filter

INVOICES = Table(
    "invoices",
    _("Invoices"),
    (
        Column("number", _("Number"), sort=True, href="href", card="title"),
        Column("kind", _("Type"), sort=True, priority=3),
        Column("month", _("Month"), value="month_text", sort="month", card="second"),
        Column("state", _("Status"), "badge", value="badge", sort="state", card="first"),
        Column("payment", _("Payment"), "badge", value="payment_badge", priority=2),
        Column("total", _("Total"), "total", sort=True, card="money"),
        Column("tax", _("Tax"), "total", sort=True, priority=4),
        Column("corrects", _("Corrects"), sort=True, priority=4),
        Column("closed", _("Closed"), "time", sort=True, priority=2, card="last"),
        Column("checksum", _("Checksum"), "code", chosen=False),
    ),
    default_sort="-month",
    key="id",
    filters=(
        status_filter(STATES),
        Filter("year", _("Year")),
    ),
)


@organisation_page("balance.read")
@require_safe
def invoice_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    invoices = list(visible_invoices(actor))
    payments = payments_of(invoices)
    invoice_rows = [
        _invoice_row(invoice, _url(actor, invoice), payments[invoice.id]) for invoice in invoices
    ]
    years = sorted({row["month"].year for row in invoice_rows}, reverse=True)
    choices = [("", gettext("All years")), *((str(year), str(year)) for year in years)]
    state = read_table(INVOICES, request, actor, choices={"year": choices})
    rows = [
        row
        for row in invoice_rows
        if state.value("state") in ("", row["state"])
        and state.value("year") in ("", str(row["month"].year))
    ]
    zone = zone_of(organisation)
    month = month_after(last_month(clock.now(), zone))
    context = {
        "month": month_word(month),
        "year": next((str(row["month"].year) for row in rows if row["closed"]), ""),
        "closes": date_format(month_span(month, zone).end_at.astimezone(zone), "DATE_FORMAT"),
        **_rights(actor),
    }
    templates = ("billing/invoices/invoices.html", "billing/invoices/_invoices.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _invoice_row(invoice: Invoice, href: str, payment: Payment) -> dict[str, Any]:
    state = state_of(invoice, invoice.noted)  # type: ignore[attr-defined]
    return {
        "id": id_text(invoice.id),
        "number": invoice.number or gettext("Draft"),
        "href": href,
        "kind": str(KINDS[invoice.kind]),
        "month": invoice.month,
        "month_text": month_word(invoice.month),
        "state": state,
        "badge": STATES[state],
        "payment_badge": PAYMENTS[payment.state] if payment.state else None,
        "total": invoice.total_nano,
        "tax": invoice.tax_nano,
        "corrects": invoice.corrects.number or "" if invoice.corrects else "",
        "closed": invoice.closed_at,
        "checksum": invoice.checksum,
    }


@organisation_page("balance.read")
@require_safe
def invoice(request: HttpRequest, actor: Actor, no: str) -> HttpResponse:
    invoice = access_invoice(actor, no)
    context = {
        "invoice": invoice,
        "shown": describe_document(invoice, get_language() or "en"),
        "badge": STATES[state_of(invoice, invoice.noted)],  # type: ignore[attr-defined]
        "notes": [
            (note.number, _url(actor, note))
            for note in visible_invoices(actor).filter(corrects=invoice)
        ],
        "corrects_url": _url(actor, invoice.corrects) if invoice.corrects else "",
        **describe_payment(invoice),
        **_rights(actor),
    }
    return render(request, "billing/invoices/invoice.html", context)


@organisation_page("balance.read")
@require_safe
def invoice_pdf(request: HttpRequest, actor: Actor, no: str) -> HttpResponse:
    """Download the PDF in the requested language, or else in the language of the page."""
    invoice = access_invoice(actor, no)
    language = request.GET.get("language") or get_language() or "en"
    try:
        return pdf_file(invoice, language)
    except Refused as refused:
        messages.error(request, str(refused))
        return see_other(_url(actor, invoice))


def pdf_file(invoice: Invoice, language: str) -> HttpResponse:
    """Return the PDF of a document. Raises Http404 if the document has no number yet or the
    language is unknown, and Refused."""
    if invoice.number is None or language not in LANGUAGES:
        raise Http404
    response = HttpResponse(make_pdf(invoice, language), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{invoice.number}-{language}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response


@organisation_page("wallet.write")
@require_http_methods(["GET", "HEAD", "POST"])
def billing_details(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "wallet.write")
    buyer = buyer_of(organisation)
    form = BuyerForm(request.POST or None, initial={**buyer.document(), "zone": buyer.zone})
    if form.is_valid():
        try:
            set_buyer(actor, organisation, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Billing details saved."))
            return see_other("invoices", organisation.slug)
    context = {"form": form, **_rights(actor)}
    status = 422 if form.is_bound else 200
    return render(request, "billing/invoices/billing_details.html", context, status=status)


def _rights(actor: Actor) -> dict[str, bool]:
    return {"may_change": access.scope_of(actor, "wallet.write") is not None}


def _url(actor: Actor, invoice: Invoice) -> str:
    return reverse("invoice", args=[slug_of(actor), invoice.number or id_text(invoice.id)])
