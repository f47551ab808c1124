"""Pages of operators: corrections of balances, redemption codes, payments (W75, W77)."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.access import (
    access_batch,
    all_top_ups,
    any_top_up,
    organisation_named,
    unmatched_events,
    visible_batches,
    visible_credits,
)
from billing.approvals.approvals import all_waiting, latest
from billing.credits import codes, credits
from billing.credits.codes import CodeRefused
from billing.credits.codes_file import codes_file
from billing.credits.credits import Effect
from billing.credits.forms import BatchForm, CreditForm
from billing.credits.words import CREDIT_KINDS
from billing.idempotency import Answer, FormSent, form_answered
from billing.models import CodeBatch, Credit, CreditKind, CreditState, TopUp
from billing.safeguards.safeguards import credit_limit_nano
from billing.topups import topups
from billing.topups.topups import TopUpRefused
from billing.topups.words import METHODS, TOP_UP_STATES, top_up_badge
from lib.htmx import back_to, redirect_to, render_dialog, see_other
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, QuerySource
from lib.tables.table import Badge, Column, Filter, Table, status_filter

_EVENTS = 20


# Corrections ------------------------------------------------------------------------------------

_CREDIT_BADGES = {
    CreditState.POSTED: Badge(pgettext_lazy("state", "Posted"), "ok"),
    CreditState.WAITING: Badge(_("Pending"), "warn", "clock"),
    CreditState.REFUSED: Badge(_("Rejected"), icon="ban"),
}
CREDITS = Table(
    "credits",
    _("Corrections"),
    (
        Column("time", _("Requested"), "ago", value="asked_at", sort="id", card="last"),
        Column(
            "organisation",
            _("Organisation"),
            value="organisation.name",
            sort="organisation__name",
            card="title",
        ),
        Column("slug", _("Slug"), value="organisation.slug", chosen=False),
        Column(
            "state",
            _("Status"),
            "badge",
            value=lambda row: _CREDIT_BADGES[CreditState(row.state)],
            sort="state",
            card="first",
        ),
        Column(
            "kind", _("Type"), value=lambda row: CREDIT_KINDS[row.kind], sort="kind", priority=4
        ),
        Column("amount", _("Amount"), "total", value="amount_nano", sort=True, card="money"),
        Column("reason", _("Reason"), sort=True, priority=2, card="second"),
        Column("document", _("Document"), sort=True, chosen=False),
        Column("by", _("By"), value="asked_by.email", sort="asked_by__email", priority=3),
    ),
    default_sort="-time",
    filters=(
        Filter("q", _("Organisation, reason or document"), "search"),
        status_filter(_CREDIT_BADGES),
    ),
)


@operator_page("credits.read")
@require_safe
def credit_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(CREDITS, request, actor)
    rows = visible_credits(actor)
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if text := state.value("q"):
        rows = rows.filter(
            _organisation_query(text) | Q(reason__icontains=text) | Q(document__icontains=text)
        )
    context = {
        "limit_nano": credit_limit_nano(),
        "may_write": access.scope_of(actor, "credits.write") is not None,
    }

    def make(page: list[Credit]) -> list[Credit]:
        asked = latest(credits.CORRECTION, [row.outer_id for row in page])
        for row in page:
            row.approval = asked.get(row.outer_id)  # type: ignore[attr-defined]
        return page

    templates = ("billing/credits/credits.html", "billing/credits/_credits.html")
    return answer_table(request, state, QuerySource(rows), templates, context, make)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def credit_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the effect of the correction first; create it when the operator confirms that effect."""
    form = CreditForm(request.POST or None)
    effect, seen = None, ""
    if form.is_valid() and (effect := _run_or_add_error(form, lambda: _effect(actor, form))):
        seen = _effect_digest(form, effect)
        if request.POST.get("seen") == seen and _credit(request, actor, form):
            return redirect_to(request, "credits")
    context = {
        "form": form,
        "effect": None if form.errors else effect,
        "seen": seen,
    }
    return render_dialog(
        request, "billing/credits/credit_new.html", context, refused=bool(form.errors)
    )


def _effect(actor: Actor, form: CreditForm) -> Effect:
    cleaned = form.cleaned_data
    organisation = organisation_named(actor, cleaned["organisation"].strip())
    return credits.effect_of(organisation, cleaned["amount"])


def _effect_digest(form: CreditForm, effect: Effect) -> str:
    """Return a digest of what the operator confirmed: the organisation, the amount, and whether the
    correction leads to debt."""
    cleaned = form.cleaned_data
    return (
        f"{cleaned['organisation']} {cleaned['amount']} {'debt' if effect.owed_nano else 'balance'}"
    )


def _credit(request: HttpRequest, actor: Actor, form: CreditForm) -> bool:
    cleaned = form.cleaned_data

    def act() -> Answer:
        credit = credits.request_credit(
            actor,
            organisation_named(actor, cleaned["organisation"].strip()),
            cleaned["amount"],
            kind=CreditKind(cleaned["kind"]),
            expires_at=form.expires_at(),
            reason=cleaned["reason"],
            document=cleaned["document"],
        )
        return Answer(201, {"state": str(credit.state)})

    state = _run_or_add_error(
        form, lambda: form_answered(request, actor, cleaned["once"], act).body["state"]
    )
    if state == "waiting":
        messages.info(request, gettext("Waiting for another operator to approve it."))
    elif state:
        messages.success(request, gettext("Balance corrected."))
    return bool(state)


# Codes ------------------------------------------------------------------------------------------

_BATCH_BADGES = {
    "living": Badge(_("Active"), "ok"),
    "unmade": Badge(_("Not downloaded"), "info", "download"),
    "waiting": Badge(_("Another operator has to download it"), "warn", "clock"),
    "expired": Badge(_("Expired"), icon="clock"),
    "killed": Badge(_("Disabled"), icon="ban"),
}
CODES = Table(
    "codes",
    _("Code batches"),
    (
        Column("name", _("Batch"), value="batch.name", sort=True, card="title"),
        Column(
            "state",
            _("Status"),
            "badge",
            value=lambda row: _BATCH_BADGES[row["state"]],
            sort="state",
            card="first",
        ),
        Column(
            "value",
            pgettext_lazy("of a code", "Value"),
            "total",
            value="batch.value_nano",
            sort=True,
            card="money",
        ),
        Column("count", _("Codes"), "number", value="batch.count", sort=True, priority=3),
        Column(
            "max_uses",
            _("Uses per code"),
            "number",
            value="batch.max_uses",
            sort=True,
            chosen=False,
        ),
        Column("used", _("Redeemed"), "number", sort=True, priority=2, card="second"),
        Column("expires", _("Expires"), "time", value="batch.expires_at", sort=True, priority=3),
        Column(
            "created", _("Created"), "ago", value="batch.created_at", sort="batch.id", card="last"
        ),
        Column("by", _("Created by"), value="batch.created_by.email", sort=True, chosen=False),
    ),
    default_sort="-created",
    key="batch.id",
    filters=(
        Filter("q", _("Name"), "search"),
        status_filter(_BATCH_BADGES),
    ),
)


@operator_page("codes.read")
@require_safe
def code_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(CODES, request, actor)
    batches = visible_batches(actor).filter(name__icontains=state.value("q"))
    rows = [
        row
        for row in _batch_rows(actor, list(batches))
        if state.value("state") in ("", row["state"])
    ]
    batch_id = request.GET.get("made")
    context = {
        "making": any(
            row["id"] == batch_id and row["state"] in ("unmade", "waiting") for row in rows
        ),
        "may_write": access.scope_of(actor, "codes.write") is not None,
    }
    templates = ("billing/credits/codes.html", "billing/credits/_codes.html")
    return answer_table(request, state, ListSource(rows), templates, context)


@operator_page("codes.write")
@require_http_methods(["GET", "HEAD", "POST"])
def code_batch_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = BatchForm(request.POST or None)
    if form.is_valid() and _batch(request, actor, form):
        return redirect_to(request, "codes")
    return render_dialog(
        request, "billing/credits/code_batch_new.html", {"form": form}, refused=form.is_bound
    )


def _batch_rows(actor: Actor, batches: list[CodeBatch]) -> list[dict[str, Any]]:
    used = codes.uses_of([batch.id for batch in batches])
    needing = codes.need_another_operator(batches)
    return [
        {
            "batch": batch,
            "id": id_text(batch.id),
            "used": used.get(batch.id, 0),
            "all": batch.count * batch.max_uses,
            "state": "waiting" if batch.id in needing else codes.batch_state(batch),
            "own": actor.user is not None and actor.user.id == batch.created_by_id,
        }
        for batch in batches
    ]


def _batch(request: HttpRequest, actor: Actor, form: BatchForm) -> bool:
    cleaned = form.cleaned_data

    def act() -> Answer:
        batch = codes.create_batch(
            actor,
            cleaned["name"],
            cleaned["value"],
            cleaned["count"],
            max_uses=cleaned["max_uses"],
            expires_at=form.expires_at(),
            credit_days=cleaned["credit_days"],
        )
        return Answer(201, {"id": id_text(batch.id)})

    batch_id = _run_or_add_error(
        form, lambda: form_answered(request, actor, cleaned["once"], act).body["id"]
    )
    if batch_id:
        needs_another = codes.need_another_operator([access_batch(actor, batch_id)])
        text = gettext("Batch created. You can download its codes once.")
        if needs_another:
            text = gettext("Batch created. Another operator has to download its codes.")
        messages.success(request, text)
    return bool(batch_id)


@operator_page("codes.write")
@require_POST
def code_download(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    try:
        return codes_file(access_batch(actor, id), actor)
    except CodeRefused as refused:
        messages.error(request, refused.message)
        return see_other("codes")


@operator_page("codes.write")
@require_http_methods(["GET", "HEAD", "POST"])
def code_kill(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    batch = access_batch(actor, id)
    if request.method == "POST" and request.POST.get("confirm", "").strip() == batch.name:
        codes.kill_batch(actor, batch)
        messages.success(
            request, gettext("The codes of %(name)s are now disabled.") % {"name": batch.name}
        )
        return redirect_to(request, "codes")
    wrong = request.method == "POST"
    context = {"batch": batch, "id": id, "wrong": wrong}
    return render_dialog(request, "billing/credits/code_kill.html", context, refused=wrong)


# Payments ---------------------------------------------------------------------------------------

PAYMENTS = Table(
    "payments",
    _("Top-ups"),
    (
        Column("created", _("Created"), "ago", value="created_at", sort="id", card="last"),
        Column("organisation", _("Organisation"), value="organisation.name", card="title"),
        Column("slug", _("Slug"), value="organisation.slug", chosen=False),
        Column("state", _("Status"), "badge", value=top_up_badge, card="first"),
        Column("amount", _("Amount"), "total", value="amount_nano", card="money"),
        Column("refunded", _("Refunded"), "total", value="refunded_nano", chosen=False),
        Column("disputed", _("Disputed"), "total", value="disputed_nano", chosen=False),
        Column(
            "method",
            _("Payment method"),
            value=lambda row: METHODS.get(row.processor, row.processor),
            priority=3,
        ),
        Column("payment", _("Payment"), "code", value="payment_id", priority=2),
        Column("by", _("By"), value="created_by.email", priority=4),
        Column("paid", _("Paid"), "time", value="paid_at", chosen=False),
        Column(
            "live",
            _("Mode"),
            value=lambda row: _("live") if row.live else _("test mode"),
            chosen=False,
        ),
        Column("id", _("ID"), "code", value=lambda row: id_text(row.id), chosen=False),
    ),
    default_sort="-created",
    filters=(
        Filter("q", _("Organisation or payment"), "search"),
        Filter("state", _("Status"), choices=(("", _("Any status")), *TOP_UP_STATES.items())),
        Filter("method", _("Payment method"), choices=(("", _("Any method")), *METHODS.items())),
    ),
    big=True,
)


@operator_page("credits.read")
@require_safe
def payment_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PAYMENTS, request, actor)
    rows = all_top_ups(actor)
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if state.value("method"):
        rows = rows.filter(processor=state.value("method"))
    if text := state.value("q"):
        rows = rows.filter(_organisation_query(text) | Q(payment_id=text) | Q(id=parse_id(text)))
    context = {"events": list(unmatched_events(actor)[:_EVENTS])}

    def make(page: list[TopUp]) -> list[TopUp]:
        asked = all_waiting(topups.TOP_UP)
        for row in page:
            row.approval = asked.get(row.outer_id)  # type: ignore[attr-defined]
        return page

    templates = ("billing/credits/payments.html", "billing/credits/_payments.html")
    return answer_table(request, state, QuerySource(rows), templates, context, make)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def payment_confirm(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    top_up = any_top_up(actor, id)
    if request.method != "POST":
        context = {"top_up": top_up, "id": id}
        return render_dialog(request, "billing/credits/payment_confirm.html", context)
    try:
        top_up = topups.confirm_transfer(actor, top_up, request.POST.get("document", "")[:110])
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        if top_up.state == "paid":
            messages.success(request, gettext("Transfer credited."))
        else:
            messages.info(request, gettext("Waiting for another operator to approve it."))
    return see_other("payments")


@operator_page("credits.write")
@require_POST
def payment_refuse(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    try:
        topups.cancel_transfer(actor, any_top_up(actor, id), by_operator=True)
    except TopUpRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Top-up cancelled. The organisation is notified."))
    return see_other(back_to(request, reverse("payments")))


# Shared -----------------------------------------------------------------------------------------


def _run_or_add_error(form: forms.Form, act: Callable[[], Any]) -> Any:
    """Run a write. If it is refused, add the error to the form and return None."""
    try:
        return act()
    except Refused as refused:
        refused.add_to(form)
    except FormSent as sent:
        form.add_error(None, str(sent))
    except Http404:
        form.add_error("organisation", gettext("This organisation does not exist."))
    return None


def _organisation_query(text: str) -> Q:
    return Q(organisation__name__icontains=text) | Q(organisation__slug=text)
