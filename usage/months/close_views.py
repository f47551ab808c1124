"""Pages of operators: all documents, the close of a month, and the settings of seller and taxes."""

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.access import all_invoices, any_invoice, tax_rates
from billing.approvals.approvals import waiting
from billing.invoices import invoices
from billing.invoices import payments as invoice_payments
from billing.invoices.billing_details import add_tax_rate, seller, set_seller
from billing.invoices.document import KINDS, describe_document, describe_payment, month_word
from billing.invoices.forms import NoteForm, PartyForm, PaymentForm, TaxForm
from billing.invoices.rules import percent_text
from billing.models import Invoice, InvoiceKind, InvoiceState
from lib.htmx import redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table, status_filter
from usage.months import close as month_close

_BADGES = {
    InvoiceState.DRAFT: Badge(_("Draft"), icon="circle-dashed"),
    InvoiceState.PROPOSED: Badge(_("Waiting for a second operator"), "warn", "clock"),
    InvoiceState.CLOSED: Badge(_("Closed"), "ok", "lock"),
}
DOCUMENTS = Table(
    "documents",
    _("Invoices"),
    (
        Column("month", _("Month"), value=lambda row: month_word(row.month), sort="month",
               href="href", card="last"),
        Column("organisation", _("Organisation"), value="organisation.name",
               sort="organisation__name", card="title"),
        Column("kind", _("Type"), value=lambda row: KINDS[row.kind], sort="kind", priority=3),
        Column("number", _("Number"), sort=True, priority=2, card="second"),
        Column("state", _("Status"), "badge",
               value=lambda row: _BADGES[InvoiceState(row.state)], sort="state", card="first"),
        Column("total", _("Total"), "total", value="total_nano", sort=True, card="money"),
        Column("proposed_by", _("Proposed by"), value="proposed_by.email", priority=4),
        Column("closed_by", _("Closed by"), value="closed_by.email", priority=4),
        Column("closed", _("Closed"), "time", value="closed_at", sort=True, chosen=False),
        Column("checksum", _("Checksum"), "code", chosen=False),
    ),
    default_sort="-month",
    filters=(Filter("q", _("Organisation or number"), "search"), status_filter(_BADGES)),
)  # fmt: skip


@operator_page("credits.read")
@require_safe
def document_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(DOCUMENTS, request, actor)
    rows = all_invoices(actor)
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if text := state.value("q"):
        named = Q(organisation__name__icontains=text) | Q(organisation__slug=text)
        rows = rows.filter(named | Q(number__icontains=text))

    def make(page: list[Invoice]) -> list[Invoice]:
        for row in page:
            row.href = reverse("document", args=[id_text(row.id)])  # type: ignore[attr-defined]
        return page

    templates = ("usage/months/documents.html", "usage/months/_documents.html")
    context = {"no_seller": not seller().legal_name}
    return answer_table(request, state, QuerySource(rows), templates, context, make)


@operator_page("credits.read")
@require_http_methods(["GET", "HEAD"])
def document(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    invoice = any_invoice(actor, id)
    checks = [] if invoice.state == InvoiceState.CLOSED else month_close.checklist(invoice)
    context = {
        "invoice": invoice,
        "id": id_text(invoice.id),
        "shown": describe_document(invoice, get_language() or "en"),
        "badge": _BADGES[InvoiceState(invoice.state)],
        "checks": checks,
        "ready": all(check.ok for check in checks),
        "approval": waiting(invoices.INVOICE, id_text(invoice.id)),
        "notes": [
            (note, id_text(note.id)) for note in all_invoices(actor).filter(corrects=invoice)
        ],
        "corrects_id": id_text(invoice.corrects_id) if invoice.corrects_id else "",
        "may_write": access.scope_of(actor, "credits.write") is not None,
        **describe_payment(invoice),
    }
    return render(request, "usage/months/document.html", context)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def document_note(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    invoice = any_invoice(actor, id)
    form = NoteForm(request.POST or None)
    if form.is_valid():
        sent = form.cleaned_data
        try:
            note = invoices.propose_note(
                actor, invoice, InvoiceKind(sent["kind"]), sent["amount"], sent["reason"]
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.info(request, gettext("Waiting for another operator to close it."))
            return redirect_to(request, "document", id_text(note.id))
    return _document_dialog(request, "note_new", form, invoice)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def document_payment(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    invoice = any_invoice(actor, id)
    form = PaymentForm(request.POST or None)
    if form.is_valid():
        sent = form.cleaned_data
        try:
            invoice_payments.record_payment(
                actor, invoice, sent["amount"], reference=sent["reference"], paid_on=sent["paid_on"]
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Payment recorded."))
            return redirect_to(request, "document", id_text(invoice.id))
    return _document_dialog(request, "payment_new", form, invoice)


@operator_page("credits.write")
@require_POST
def document_propose(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    invoice = any_invoice(actor, id)
    try:
        month_close.propose(actor, invoice)
        messages.success(request, gettext("Waiting for another operator to close it."))
    except Refused as refused:
        messages.error(request, refused.message)
    return see_other("document", id_text(invoice.id))


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def seller_details(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = PartyForm(request.POST or None, initial=seller().document())
    if form.is_valid():
        try:
            set_seller(actor, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Seller saved."))
            return see_other("seller")
    rates = [(rate, percent_text(rate.rate_ppm)) for rate in tax_rates(actor)]
    status = 422 if form.is_bound else 200
    context = {"form": form, "rates": rates}
    return render(request, "usage/months/seller.html", context, status=status)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def tax_rate_add(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = TaxForm(request.POST or None)
    if form.is_valid():
        try:
            add_tax_rate(actor, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Tax added."))
            return redirect_to(request, "seller")
    return render_dialog(
        request, "usage/months/tax_new.html", {"form": form}, refused=form.is_bound
    )


def _document_dialog(
    request: HttpRequest, template: str, form: NoteForm | PaymentForm, invoice: Invoice
) -> HttpResponseBase:
    context = {"form": form, "id": id_text(invoice.id)}
    return render_dialog(request, f"usage/months/{template}.html", context, refused=form.is_bound)
