"""Reconciliation with providers' bills, for operators (W79)."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.currency.money import format_usd
from gateway.access import every_channel
from gateway.provider_accounts.reconciliation.bill_forms import BillForm, NoteForm
from lib.htmx import see_other
from lib.ids import id_text, parse_id, parse_number
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table, status_filter
from usage.margin import provider_bills
from usage.models import BillDifference, BillMapping, DifferenceKind, ProviderBill

_STATES = {
    "open": Badge(_("Open"), "warn", "clock"),
    "settled": Badge(_("Settled"), "ok"),
}
_MAPPED = ("match", "request_column", "day_column", "model_column", "amount_column")
BILLS = Table(
    "bills",
    _("Reconciliation"),
    (
        Column("provider", _("Provider"), sort=True, href="href", card="title"),
        Column("first", _("First day"), value="first_text", sort="first_on", card="second"),
        Column("last", _("Last day"), value="last_text", sort="last_on", priority=3),
        Column("lines", _("Lines"), "number", sort=True, priority=3),
        Column("billed", _("Billed"), "total", value="billed_nano", sort=True, card="money"),
        Column("ours", _("Our records"), "total", value="ours_nano", sort=True, priority=2),
        Column("file", _("File"), value="file_name", priority=4),
        Column("by", _("By"), value="created_by.email", priority=4),
        Column("created", _("Created"), "ago", value="created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    filters=(Filter("q", _("Provider or file"), "search"),),
)
DIFFERENCES = Table(
    "bill-differences",
    _("Differences"),
    (
        Column("n", _("No."), "number", sort=True, href="href", card="title"),
        Column("kind", _("Type"), value="word", sort="kind", card="second"),
        Column("day", _("Day"), value="day_text", sort="day", priority=2),
        Column("model", _("Model"), sort=True, priority=2),
        Column("request", _("Request ID"), "code", value="request_text", priority=4),
        Column("billed", _("Billed"), "money", value="billed_nano", sort=True, priority=2),
        Column("ours", _("Our records"), "money", value="ours_nano", sort=True, priority=2),
        Column("difference", _("Difference"), "money", value="difference_nano", card="money"),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("note", _("Note"), priority=3),
        Column("by", _("By"), value="settled_by.email", chosen=False),
    ),
    default_sort="n",
    key="n",
    filters=(
        status_filter(_STATES),
        Filter("kind", _("Type"), choices=(("", _("All types")), *DifferenceKind.choices)),
    ),
)


@operator_page("credits.read")
@require_safe
def bill_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(BILLS, request, actor)
    rows = provider_bills.visible_bills(actor)
    if text := state.value("q"):
        rows = rows.filter(provider__icontains=text) | rows.filter(file_name__icontains=text)
    templates = (
        "gateway/provider_accounts/reconciliation/bills.html",
        "gateway/provider_accounts/reconciliation/_bills.html",
    )
    return answer_table(request, state, QuerySource(rows), templates, {}, _bill_rows)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def bill_new(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    channels = list(every_channel(actor))
    if request.method != "POST":
        mapping = provider_bills.mapping_of(request.GET.get("provider", ""))
        of_provider = [
            id_text(channel.id) for channel in channels if channel.provider == mapping.provider
        ]
        initial = {name: getattr(mapping, name) for name in ("provider", *_MAPPED)}
        initial |= {"tolerance": format_usd(mapping.tolerance_nano), "channels": of_provider}
        return _new_page(request, actor, BillForm(channels, initial=initial))
    form = BillForm(channels, request.POST, request.FILES)
    if form.is_valid():
        sent = form.cleaned_data
        mapping = BillMapping(
            provider=sent["provider"],
            tolerance_nano=sent["tolerance"],
            **{name: sent[name] for name in _MAPPED},
        )
        chosen = [id for text in sent["channels"] if (id := parse_id(text))]
        file = sent["file"]
        try:
            bill = provider_bills.reconcile(
                actor,
                mapping,
                chosen,
                first_on=sent["first_on"],
                last_on=sent["last_on"],
                file=file.file,
                file_name=file.name,
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            return see_other("bill", id_text(bill.id))
    return _new_page(request, actor, form, status=422)


def _new_page(
    request: HttpRequest, actor: Actor, form: BillForm, status: int = 200
) -> HttpResponseBase:
    context = {
        "form": form,
        "kept": provider_bills.kept_mappings(actor),
        "back": reverse("bills"),
        "verb": gettext("Compare"),
    }
    return render(
        request, "gateway/provider_accounts/reconciliation/bill_new.html", context, status=status
    )


@operator_page("credits.read")
@require_safe
def bill(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    bill = provider_bills.access_bill(actor, id)
    state = read_table(DIFFERENCES, request, actor)
    rows = bill.differences.select_related("settled_by").order_by("n")
    waiting = rows.filter(settled_at=None).count()
    if state.value("state"):
        rows = rows.filter(settled_at__isnull=state.value("state") == "open")
    if state.value("kind"):
        rows = rows.filter(kind=state.value("kind"))
    context = {"bill": bill, "waiting": waiting, "n_all": bill.differences.count()}
    templates = (
        "gateway/provider_accounts/reconciliation/bill.html",
        "gateway/provider_accounts/reconciliation/_bill_differences.html",
    )
    return answer_table(
        request, state, QuerySource(rows), templates, context,
        lambda page: [_difference(bill, row) for row in page],
    )  # fmt: skip


@operator_page("credits.read")
@require_safe
def bill_difference(request: HttpRequest, actor: Actor, id: str, n: str) -> HttpResponseBase:
    bill = provider_bills.access_bill(actor, id)
    difference = _get_difference(actor, bill, n)
    return _difference_page(request, bill, difference, NoteForm(initial={"note": difference.note}))


@operator_page("credits.write")
@require_POST
def bill_settle(request: HttpRequest, actor: Actor, id: str, n: str) -> HttpResponseBase:
    bill = provider_bills.access_bill(actor, id)
    difference = _get_difference(actor, bill, n)
    form = NoteForm(request.POST)
    if form.is_valid():
        provider_bills.settle_difference(actor, difference, form.cleaned_data["note"])
        messages.success(request, gettext("Difference settled."))
        return see_other("bill", id)
    return _difference_page(request, bill, difference, form, status=422)


@operator_page("credits.write")
@require_POST
def bill_reopen(request: HttpRequest, actor: Actor, id: str, n: str) -> HttpResponseBase:
    bill = provider_bills.access_bill(actor, id)
    provider_bills.reopen_difference(actor, _get_difference(actor, bill, n))
    messages.success(request, gettext("Difference opened again."))
    return see_other("bill", id)


def _get_difference(actor: Actor, bill: ProviderBill, n: str) -> BillDifference:
    number = parse_number(n)
    if number is None:
        raise Http404
    return provider_bills.access_difference(actor, bill, number)


def _difference_page(
    request: HttpRequest,
    bill: ProviderBill,
    difference: BillDifference,
    form: NoteForm,
    status: int = 200,
) -> HttpResponseBase:
    context = {
        "bill": bill,
        "id": id_text(bill.id),
        "shown": _difference(bill, difference),
        "difference": difference,
        "form": form,
    }
    return render(
        request,
        "gateway/provider_accounts/reconciliation/bill_difference.html",
        context,
        status=status,
    )


def _bill_rows(page: list[ProviderBill]) -> list[ProviderBill]:
    for row in page:
        row.href = reverse("bill", args=[id_text(row.id)])  # type: ignore[attr-defined]
        row.first_text = row.first_on.isoformat()  # type: ignore[attr-defined]
        row.last_text = row.last_on.isoformat()  # type: ignore[attr-defined]
    return page


def _difference(bill: ProviderBill, row: BillDifference) -> dict[str, Any]:
    return {
        "n": row.n,
        "href": reverse("bill_difference", args=[id_text(bill.id), row.n]),
        "word": DifferenceKind(row.kind).label,
        "day_text": row.day.isoformat() if row.day else "",
        "model": row.model,
        "request_text": id_text(row.request_id) if row.request_id else "",
        "billed_nano": row.billed_nano,
        "ours_nano": row.ours_nano,
        "difference_nano": row.billed_nano - row.ours_nano,
        "badge": _STATES["settled" if row.settled_at else "open"],
        "note": row.note,
        "settled_by": row.settled_by,
    }
