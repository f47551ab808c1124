"""Pages of requests to increase a budget (W54), and the short link of a budget (W35)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import Case, Q, QuerySet, When
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access, actors
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page, signed_in_view
from accounts.members.members import active_owners
from accounts.preferences.table_preferences import read_table
from billing.limits import budget_increases, budgets
from billing.limits.budget_increases import INCREASE_REASON_MAX, RaiseRefused
from billing.limits.budget_subjects import subject_names
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, BudgetRaise, RaiseState
from lib.htmx import back_to, is_htmx, redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, State, Table, status_filter
from usage.limits.budget_forms import PERIOD_NAMES, SCOPE_NAMES, RaiseForm
from usage.limits.views import count_waiting, meter_of

_OWNERS = 3
_BADGES = {
    RaiseState.WAITING: Badge(_("Pending"), "warn", "clock"),
    RaiseState.APPROVED: Badge(_("Approved"), "ok"),
    RaiseState.DENIED: Badge(_("Rejected"), "bad"),
    RaiseState.ENDED: Badge(_("Ended"), icon="ban"),
}
RAISES = Table(
    "raises",
    _("Increase requests"),
    (
        Column("budget", _("Budget"), value="name", card="title"),
        Column("state", _("Status"), "badge", value="badge", sort="place", card="first"),
        Column(
            "amount",
            _("Increase"),
            "total",
            value="budget_raise.amount_nano",
            sort="amount_nano",
            card="money",
        ),
        Column(
            "by",
            _("Requested by"),
            value="budget_raise.asked_by.email",
            sort="asked_by__email",
            priority=2,
            card="second",
        ),
        Column("until", _("Until"), "time", value="budget_raise.until", sort="until", priority=2),
        Column("reason", _("Reason"), value="budget_raise.reason", priority=3),
        Column("reply", _("Reply"), value="budget_raise.answer", priority=4),
        Column(
            "requested",
            _("Requested"),
            "ago",
            value="budget_raise.asked_at",
            sort="id",
            card="last",
        ),
        Column("decided", _("Decided"), "ago", value="budget_raise.decided_at", chosen=False),
        Column("decided_by", _("Decided by"), value="budget_raise.decided_by.email", chosen=False),
        Column("id", _("ID"), "code", chosen=False),
    ),
    default_sort="state,-requested",
    filters=(
        Filter("q", _("Person or reason"), "search"),
        status_filter(_BADGES),
    ),
    refresh="raise-decided",
)


@organisation_page("budgets.ask")
@require_safe
def raise_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """List waiting and decided requests. The link in a rejected request leads on to the form, if
    its budget can be increased."""
    linked = request.GET.get("budget", "")
    askable = [str(budget.id) for budget in budget_increases.askable_budgets(actor)]
    if linked in askable:
        create = reverse("raise_create", args=[slug_of(actor)])
        return redirect(f"{create}?{urlencode({'budget': linked})}")
    state = read_table(RAISES, request, actor)
    context = {
        "waiting": count_waiting(actor),
        "who": _who_may_raise(actor) if linked else "",
        "is_plan_limit": bool(linked) and budget_increases.is_plan_limit(actor, linked),
        "may_ask": bool(askable),
        "may_write": budget_increases.may_decide(actor),
    }
    templates = ("usage/limits/raises.html", "usage/limits/_raises.html")
    rows = QuerySource(_list_raises(actor, state))
    return answer_table(
        request, state, rows, templates, context, lambda page: _raise_rows(actor, page)
    )


@organisation_page("budgets.ask")
@require_http_methods(["GET", "HEAD", "POST"])
def raise_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    askable = list(budget_increases.askable_budgets(actor))
    chosen = request.GET.get("budget", "")
    form = RaiseForm(request.POST or None, budgets=_budget_names(askable), chosen=chosen)
    if form.is_valid():
        data = form.cleaned_data
        budget = budget_increases.askable_budget(actor, data["budget"])
        try:
            budget_increases.ask_for_more(
                actor,
                budget,
                amount_nano=data["amount"],
                until=_end_of(data["until"], budget),
                reason=data["reason"],
            )
        except RaiseRefused as refused:
            refused.add_to(form)
        else:
            message = gettext("Request sent. You will get an email when it is decided.")
            messages.success(request, message)
            return redirect_to(request, "raises", slug_of(actor))
    return render_dialog(
        request, "usage/limits/raise_new.html", {"form": form}, refused=form.is_bound
    )


def _list_raises(actor: Actor, state: State) -> QuerySet[BudgetRaise]:
    """Return the requests that match the filters. `place` sorts waiting requests first, then those
    in effect."""
    places = [When(state=name, then=n) for n, name in enumerate(_BADGES)]
    rows = budget_increases.visible_raises(actor).annotate(place=Case(*places))
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    if text := state.value("q"):
        rows = rows.filter(Q(asked_by__email__icontains=text) | Q(reason__icontains=text))
    return rows


@organisation_page("budgets.ask")
@require_safe
def raise_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    (row,) = _raise_rows(actor, [budget_increases.access_raise(actor, id)])
    return render_dialog(request, "usage/limits/raise.html", {"row": row})


@organisation_page("budgets.write")
@require_POST
def raise_approve(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _decide_raise(request, actor, id, budget_increases.approve, gettext("Request approved."))


@organisation_page("budgets.write")
@require_POST
def raise_deny(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _decide_raise(request, actor, id, budget_increases.deny, gettext("Request rejected."))


@organisation_page("budgets.write")
@require_POST
def raise_end(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _decide_raise(
        request,
        actor,
        id,
        lambda actor, budget_raise, answer: budget_increases.end_raise(actor, budget_raise),
        gettext("Increase ended."),
    )


@signed_in_view
@require_safe
def budget_link(request: HttpRequest, id: str) -> HttpResponseBase:
    """Redirect the link of an error or an email: to the budget for readers of all budgets, else to
    the form for an increase."""
    budget = budget_increases.linked_budget(id)
    actor = actors.linked_actor(request, budget.organisation)
    slug = slug_of(actor)
    if access.scope_of(actor, "budgets.read") == "all":
        return redirect("budget", slug, budget.id)
    return redirect(f"{reverse('raises', args=[slug])}?{urlencode({'budget': budget.id})}")


def _who_may_raise(actor: Actor) -> str:
    """Return the name of the people whom to ask for an increase of a budget, if the actor may not
    request it."""
    owners = active_owners(organisation_of(actor))
    return ", ".join(owners.order_by("id").values_list("user__email", flat=True)[:_OWNERS])


def _decide_raise(
    request: HttpRequest, actor: Actor, id: str, decide: Any, message: str
) -> HttpResponseBase:
    """Decide on a request, and show its new state."""
    wrong = ""
    try:
        budget_raise = budget_increases.raise_to_decide(actor, id)
        decide(actor, budget_raise, request.POST.get("answer", "")[:INCREASE_REASON_MAX])
    except BudgetRefused as refused:
        wrong = refused.message
    if not is_htmx(request):
        if wrong:
            messages.error(request, wrong)
        else:
            messages.success(request, message)
        return see_other(back_to(request, reverse("raises", args=[slug_of(actor)])))
    (row,) = _raise_rows(actor, [budget_increases.access_raise(actor, id)])
    context = {"row": row, "wrong": wrong}
    response = render(request, "usage/limits/_raise.html", context, status=422 if wrong else 200)
    response["HX-Trigger"] = RAISES.refresh
    return response


def _raise_rows(actor: Actor, page: Sequence[BudgetRaise]) -> list[dict[str, Any]]:
    all_budgets = [budget_raise.budget for budget_raise in page]
    names = _budget_names(all_budgets)
    standings = {usage.budget.id: usage for usage in budgets.current_usage(all_budgets)}
    decidable = budget_increases.decidable_raises(actor, page)
    return [
        {
            "budget_raise": budget_raise,
            "id": id_text(budget_raise.id),
            "href": reverse("raise", args=[slug_of(actor), id_text(budget_raise.id)]),
            "name": names[str(budget_raise.budget_id)],
            "badge": _BADGES[RaiseState(budget_raise.state)],
            "meter": meter_of(standings[budget_raise.budget_id]),
            "may_decide": budget_raise.id in decidable,
            "raised_nano": budget_raise.budget.amount_nano + budget_raise.amount_nano,
        }
        for budget_raise in page
    ]


def _budget_names(budgets_: Sequence[Budget]) -> dict[str, str]:
    """Return the name of each budget in a list, by id."""
    names = subject_names(budgets_)
    return {
        str(budget.id): " · ".join(
            filter(
                None,
                (
                    str(SCOPE_NAMES[budget.scope]),
                    names[budget.id],
                    str(PERIOD_NAMES[budget.period]),
                ),
            )
        )
        for budget in budgets_
    }


def _end_of(day: dt.date, budget: Budget) -> dt.datetime:
    """Return the end of a day in the budget's time zone."""
    after = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), ZoneInfo(budget.timezone))
    return after.astimezone(dt.UTC)
