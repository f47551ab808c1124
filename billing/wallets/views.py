"""Pages of an organisation's money: balance and ledger (W40), top-up and redeem (W41)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from billing.access import access_top_up, access_wallet, visible_top_ups
from billing.balances import balances
from billing.balances.credit_line import credit_line
from billing.credits import codes, promo
from billing.credits.codes import CodeRefused, TooManyTries
from billing.credits.forms import RedeemForm
from billing.currency.money import format_usd
from billing.idempotency import Answer, FormSent, form_answered
from billing.invoices.billing_details import bank_account
from billing.ledger import statement
from billing.ledger.statement import USAGE, Statement
from billing.ledger.words import LINE_WORDS, line_word
from billing.models import TopUp
from billing.subscriptions import subscriptions
from billing.topups import automatic as automatic_topups
from billing.topups import topups
from billing.topups.forms import TopUpForm
from billing.topups.processors import processors
from billing.topups.processors.processor import ProcessorError
from billing.topups.topups import TopUpRefused
from billing.topups.words import METHODS, TOP_UP_STATES, top_up_badge
from billing.wallets import low_balance
from billing.wallets.forms import WalletForm
from billing.wallets.pace import Pace, pace_days, pace_of
from lib import clock
from lib.htmx import is_htmx, redirect_to, render_dialog, render_part, see_other
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, QuerySource
from lib.tables.table import Column, Filter, State, Table

_DAY: Final = dt.timedelta(days=1)


class BalanceDay(NamedTuple):
    """One day of UTC: the balance at its end, and the money added that day (top-ups, codes,
    credits)."""

    on: dt.date
    balance_nano: int
    added_nano: int


def balance_days(organisation: Organisation, statements: Sequence[Statement]) -> list[BalanceDay]:
    """Return every day of the statements from the organisation's first day to today."""
    today = clock.now().astimezone(dt.UTC).date()
    first = max(statements[0].month, organisation.created_at.astimezone(dt.UTC).date())
    balance_nano = statements[0].opening_nano
    ends: dict[dt.date, int] = {}
    added: dict[dt.date, int] = {}
    for line in (line for month in statements for line in reversed(month.lines)):
        on = line.at.astimezone(dt.UTC).date()
        ends[on] = line.balance_nano
        if line.kind != USAGE and line.amount_nano > 0:
            added[on] = added.get(on, 0) + line.amount_nano
    days = []
    for n in range((today - first).days + 1):
        on = first + n * _DAY
        balance_nano = ends.get(on, balance_nano)
        days.append(BalanceDay(on, balance_nano, added.get(on, 0)))
    return days


# The months of the balance's chart and of its pace, the present month included.
_MONTHS: Final = 3

# Balance and ledger (W40) -----------------------------------------------------------------------

LEDGER = Table(
    "ledger",
    _("Ledger"),
    (
        Column("time", _("Date"), "time", sort="n", card="last"),
        Column("type", _("Type"), sort="word", card="title"),
        Column("reference", pgettext_lazy("document", "Reference"), card="second"),
        Column("requests", _("Charges"), "number", sort=True, chosen=False),
        Column("amount", _("Amount"), "total", sort=True, card="money"),
        Column("balance", _("Balance"), "total", priority=2, hint=_("Balance after this line")),
        Column("reason", _("Reason"), sort=True, chosen=False),
        Column("document", _("Document"), sort=True, priority=3),
        Column("by", _("By"), sort=True, priority=4),
        Column("id", _("ID"), "code", chosen=False),
    ),
    default_sort="-time",
    key="n",
    filters=(
        Filter("q", _("Reason, document or person"), "search"),
        Filter("type", _("Type"), choices=(("", _("All types")), *LINE_WORDS.items())),
        Filter("month", _("Month")),
    ),
)


@organisation_page("balance.read")
@require_safe
def billing(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    month = _month(request)
    state = read_table(LEDGER, request, actor, choices={"month": _months(organisation, month)})
    month_statement = statement.statement(organisation, month)
    rows = [_line(organisation, line, n) for n, line in enumerate(reversed(month_statement.lines))]
    present = month_statement if month == statement.month_of(None) else None
    context = {**_overview(actor, organisation, present), "statement": month_statement}
    templates = ("billing/wallets/overview.html", "billing/wallets/_ledger.html")
    return answer_table(request, state, ListSource(_matching(rows, state)), templates, context)


def _overview(
    actor: Actor, organisation: Organisation, present: statement.Statement | None
) -> dict[str, Any]:
    now = clock.now()
    today = now.astimezone(dt.UTC).date()
    statements = statement.latest_statements(organisation, _MONTHS, present)
    balance = balances.balance(organisation)
    total_nano = balance.available_nano + balance.held_nano - balance.debt_nano
    line_nano = credit_line(organisation)
    subscription = subscriptions.subscription_of(organisation)
    return {
        "balance": balance,
        "total_nano": total_nano,
        "line_nano": line_nano,
        "usable_nano": max(balance.free_nano + line_nano, 0),
        "running": balances.open_holds(organisation),
        "days": balance_days(organisation, statements),
        "spent_nano": statement.spent_nano(statements, today.replace(day=1)),
        "pace": _pace(organisation, statements, total_nano + line_nano, today),
        "setting": balances.wallet_setting(organisation),
        "grants": list(promo.grants_left(organisation.id).filter(charge=None)),
        "subscription": subscription,
        "included": subscriptions.included_in(subscription) if subscription else None,
        "may_top_up": access.scope_of(actor, "topups.write") is not None,
        "may_redeem": access.scope_of(actor, "codes.redeem") is not None,
        "may_change": access.scope_of(actor, "wallet.write") is not None,
    }


def _pace(
    organisation: Organisation,
    statements: Sequence[statement.Statement],
    total_nano: int,
    today: dt.date,
) -> Pace:
    """Return how long the balance lasts at the recent rate of spending."""
    days = pace_days((today - organisation.created_at.astimezone(dt.UTC).date()).days + 1)
    spent_nano = statement.spent_nano(statements, today - dt.timedelta(days=days - 1))
    return pace_of(total_nano, spent_nano, days, today)


def _months(organisation: Organisation, chosen: dt.date) -> list[tuple[str, str]]:
    """Return the chosen month and the months since the organisation was created, the present one
    first."""
    month, begun = statement.month_of(None), organisation.created_at.date().replace(day=1)
    months = {f"{chosen:%Y-%m}": chosen}
    while (month := statement.month_before(month)) >= begun:
        months[f"{month:%Y-%m}"] = month
    months.pop(f"{statement.month_of(None):%Y-%m}", None)
    newest_first = sorted(months.items(), reverse=True)
    named = [(text, date_format(month, "YEAR_MONTH_FORMAT")) for text, month in newest_first]
    return [("", gettext("This month")), *named]


def _matching(rows: list[dict[str, Any]], state: State) -> list[dict[str, Any]]:
    text, kind = state.value("q").casefold(), state.value("type")
    return [
        row
        for row in rows
        if kind in ("", row["type"])
        and (not text or text in f"{row['reason']} {row['document']} {row['by']}".casefold())
    ]


def _line(organisation: Organisation, line: statement.Line, n: int) -> dict[str, Any]:
    cause = line.cause or {}
    usage = line.kind == statement.USAGE
    day = f"{line.at:%Y-%m-%d}"
    query = f"?range=custom&from={day}&to={day}&tz=UTC"
    reason = line.reason
    top_up = cause.get("top_up", "")
    return {
        "n": n,
        "time": line.at,
        "type": line.word_kind,
        "word": line_word(line.word_kind),
        "requests": line.count if usage else None,
        "amount": line.amount_nano,
        "balance": line.balance_nano,
        "usage_href": reverse("requests", args=[organisation.slug]) + query if usage else "",
        "top_up": top_up,
        "reference": top_up or reason,
        "reason": reason,
        "document": line.document,
        "by": line.by,
        "id": id_text(line.id) if line.id else "",
    }


def _month(request: HttpRequest) -> dt.date:
    try:
        return statement.month_of(request.GET.get("month"))
    except ValueError as error:
        # Another month's figures would be taken for the requested ones.
        raise Http404 from error


# Top-up (W41) -----------------------------------------------------------------------------------

TOP_UPS = Table(
    "top-ups",
    _("Top-ups"),
    (
        Column(
            "created", _("Created"), "ago", value="created_at", sort="id", href="href", card="last"
        ),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("method", _("Payment method"), card="title"),
        Column("amount", _("Amount"), "total", value="top_up.amount_nano", card="money"),
        Column("refunded", _("Refunded"), "total", value="top_up.returned_nano", priority=2),
        Column("by", _("By"), value="top_up.created_by.email", chosen=False),
        Column("payment", _("Payment"), "code", value="top_up.payment_id", chosen=False),
        Column("id", _("ID"), "code", chosen=False),
    ),
    default_sort="-created",
    filters=(
        Filter("state", _("Status"), choices=(("", _("Any status")), *TOP_UP_STATES.items())),
        Filter("method", _("Payment method"), choices=(("", _("Any method")), *METHODS.items())),
    ),
    big=True,
)


@organisation_page("topups.read")
@require_safe
def top_ups(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(TOP_UPS, request, actor)
    rows = visible_top_ups(actor)
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if state.value("method"):
        rows = rows.filter(processor=state.value("method"))

    def make(page: list[TopUp]) -> list[dict[str, Any]]:
        return [_top_up_row(actor, top_up) for top_up in page]

    context = {"may_top_up": access.scope_of(actor, "topups.write") is not None}
    templates = ("billing/wallets/top_ups.html", "billing/wallets/_top_ups.html")
    return answer_table(request, state, QuerySource(rows), templates, context, make)


@organisation_page("topups.write")
@require_http_methods(["GET", "HEAD", "POST"])
def top_up_new(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = TopUpForm(processors(), request.POST or None)
    if form.is_valid() and (order_response := _order(request, actor, form)) is not None:
        return order_response
    template = "billing/wallets/top_up_new.html"
    return render_dialog(request, template, {"form": form}, refused=form.is_bound)


def _top_up_row(actor: Actor, top_up: TopUp) -> dict[str, Any]:
    return {
        "top_up": top_up,
        "id": top_up.outer_id,
        "created_at": top_up.created_at,
        "href": reverse("top_up", args=[slug_of(actor), top_up.outer_id]),
        "badge": top_up_badge(top_up),
        "method": METHODS.get(top_up.processor, top_up.processor),
    }


def _order(request: HttpRequest, actor: Actor, form: TopUpForm) -> HttpResponseBase | None:
    organisation = access_wallet(actor, "topups.write")

    def act() -> Answer:
        top_up = topups.order_top_up(
            actor,
            organisation,
            form.amount_nano,
            processor=form.cleaned_data["processor"],
            keep_card=form.cleaned_data["keep_card"],
        )
        return Answer(201, {"id": top_up.outer_id})

    try:
        id = form_answered(request, actor, form.cleaned_data["once"], act).body["id"]
        top_up = topups.open_checkout(access_top_up(actor, id))
    except TopUpRefused as refused:
        field = "other" if refused.field == "amount" else refused.field
        form.add_error(field if field in form.fields else None, refused.message)
        return None
    except FormSent as sent:
        form.add_error(None, str(sent))
        return None
    except ProcessorError:
        text = gettext("The payment provider did not respond. Nothing was charged. Try again.")
        form.add_error(None, text)
        return None
    # Without scripts, show a page with the link, because our policy forbids forms that lead to
    # other sites.
    page = _top_up_url(organisation, top_up)
    return (
        redirect_to(request, top_up.checkout_url or page) if is_htmx(request) else see_other(page)
    )


@organisation_page("topups.read")
@require_safe
def top_up_state(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    top_up = access_top_up(actor, id)
    context = {
        "top_up": top_up,
        "badge": top_up_badge(top_up),
        "id": top_up.outer_id,
        "waits": top_up.state in ("ordered", "pending"),
        "amount": format_usd(top_up.amount_nano),
        "account": bank_account(),
        "may_cancel": not top_up.payment_id and access.scope_of(actor, "topups.write") is not None,
        "cancelled": request.GET.get("return") == "cancelled",
        "available_nano": max(balances.balance(top_up.organisation).free_nano, 0),
    }
    return render_part(
        request, "billing/wallets/top_up_state.html", "billing/wallets/_top_up_state.html", context
    )


@organisation_page("topups.write")
@require_POST
def top_up_cancel(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    top_up = access_top_up(actor, id)
    try:
        topups.cancel_transfer(actor, top_up, by_operator=False)
    except TopUpRefused as refused:
        messages.error(request, refused.message)
    return see_other(_top_up_url(top_up.organisation, top_up))


def _top_up_url(organisation: Organisation, top_up: TopUp) -> str:
    return reverse("top_up", args=[organisation.slug, top_up.outer_id])


@organisation_page("balance.read")
@require_safe
def balance_part(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return the balance in the header. htmx loads it again after each change."""
    if not is_htmx(request):
        return redirect("billing", slug_of(actor))
    return render(request, "_balance.html")


# Redeem -----------------------------------------------------------------------------------------


@organisation_page("codes.redeem")
@require_http_methods(["GET", "HEAD", "POST"])
def redeem(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = RedeemForm(request.POST or None)
    redeemed, status = None, 422 if form.is_bound else 200
    if form.is_valid():
        organisation = access_wallet(actor, "codes.redeem")
        network = request.META.get("REMOTE_ADDR", "")
        try:
            redeemed = codes.try_code(actor, organisation, form.cleaned_data["code"], network)
            status = 200
        except CodeRefused as refused:
            form.add_error("code", refused.message)
        except TooManyTries as refused:
            form.add_error("code", str(refused))
            status = 429
    may_change = access.scope_of(actor, "wallet.write") is not None
    context: dict[str, Any] = {
        "form": form,
        "given": redeemed,
        "may_change": may_change,
    }
    if redeemed is not None and access.scope_of(actor, "balance.read") is not None:
        balance = balances.balance(redeemed.redemption.organisation)
        context["available_nano"] = max(balance.free_nano, 0)
    response = render_part(
        request,
        "billing/wallets/redeem.html",
        "billing/wallets/_redeem.html",
        context,
        status=status,
    )
    if redeemed is not None:
        response["HX-Trigger"] = "balance"
    return response


# Alerts and automatic top-up --------------------------------------------------------------------


@organisation_page("wallet.write")
@require_http_methods(["GET", "HEAD", "POST"])
def wallet(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "wallet.write")
    setting = balances.wallet_setting(organisation)
    initial = {
        "low": "" if setting.low_nano is None else format_usd(setting.low_nano),
        "enabled": setting.auto_enabled,
        "below": format_usd(setting.auto_below_nano),
        "amount": format_usd(setting.auto_amount_nano),
    }
    form = WalletForm(request.POST or None, initial=initial)
    if form.is_valid() and _set_wallet(actor, organisation, form):
        messages.success(request, gettext("Alerts saved."))
        return see_other("billing", organisation.slug)
    return render(
        request,
        "billing/wallets/wallet.html",
        {
            "form": form,
            "setting": setting,
            "stripe": "stripe" in processors(),
            "may_change": True,
        },
        status=422 if form.is_bound else 200,
    )


def _set_wallet(actor: Actor, organisation: Organisation, form: WalletForm) -> bool:
    cleaned = form.cleaned_data
    try:
        automatic_topups.set_automatic(
            actor,
            organisation,
            enabled=cleaned["enabled"],
            below_nano=cleaned["below"],
            amount_nano=cleaned["amount"],
        )
    except TopUpRefused as refused:
        refused.add_to(form)
        return False
    low_balance.set_low_balance(actor, organisation, cleaned["low"])
    return True
