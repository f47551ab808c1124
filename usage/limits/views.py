"""Pages of budgets (W53): the spending of each, its next reset, and what it would have refused; and
of the rate and concurrency limits of an organisation, its teams and its people (W52)."""

import datetime as dt
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access, actors
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys
from accounts.keys.limited_subjects import Subject, limited_subject, limited_subjects
from accounts.limits.forms import CountsForm
from accounts.preferences.table_preferences import read_table
from billing.limits import budget_alerts, budget_increases, budgets
from billing.limits.budget_subjects import subject_names
from billing.limits.budgets import BudgetRefused, BudgetUsage
from billing.models import Budget, BudgetPeriod, BudgetScope, RaiseState
from lib import clock
from lib.htmx import back_to, is_htmx, redirect_to, render_dialog, see_other, sent_next
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, State, Table
from notify.deliveries.deliveries import deliveries_of
from notify.models import Delivery
from usage.limits import budget_simulation
from usage.limits.budget_chart import budget_chart
from usage.limits.budget_forms import (
    ACTION_NAMES,
    PERIOD_NAMES,
    SCOPE_NAMES,
    BudgetChangeForm,
    LimitForm,
)

_FRESH = dt.timedelta(minutes=1)
# From these shares on, a meter is coloured and labelled.
_WARN_PERCENT, _BAD_PERCENT = 80, 95


BUDGETS = Table(
    "budgets",
    _("Budgets"),
    (
        Column("subject", _("Applies to"), sort=True, card="title"),
        Column("scope", _("Scope"), sort=True, priority=4, card="second"),
        Column("used", _("Used"), "meter", value="used_nano", sort=True),
        Column("spent", _("Spent"), "total", value="spent_nano", sort=True, card="money"),
        Column("held", _("Reserved"), "total", value="held_nano", sort=True, priority=3),
        Column("limit", _("Limit"), "total", value="limit_nano", sort=True, priority=2),
        Column("period", _("Period"), sort="budget.period", priority=2),
        Column("resets", _("Resets"), "ago", value="resets_at", sort=True, priority=3, card="last"),
        Column("forecast", _("Runs out"), "ago", value="forecast_at", sort=True, chosen=False),
        Column("raised", _("Increased until"), "time", value="raised_until", chosen=False),
        Column("action", _("At the limit"), sort=True, chosen=False),
        Column("timezone", _("Time zone"), value="budget.timezone", chosen=False),
    ),
    default_sort="subject",
    key="budget.id",
    filters=(
        Filter("q", _("Applies to"), "search"),
        Filter("scope", _("Scope"), choices=(("", _("Any scope")), *SCOPE_NAMES.items())),
        Filter(
            "state",
            _("Status"),
            choices=(
                ("", _("Any status")),
                ("low", _("Running low")),
                ("full", _("Used up")),
                ("off", _("Off")),
            ),
        ),
    ),
)


@organisation_page("budgets.read")
@require_safe
def budget_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(BUDGETS, request, actor)
    rows = [row for row in _budget_rows(actor) if _matches_filter(row, state)]
    context = {
        "may_write": access.scope_of(actor, "budgets.write") is not None,
        "own_only": access.scope_of(actor, "budgets.read") == "own",
        "waiting": count_waiting(actor),
    }
    # The budgets of the team and of the organisation also limit members who see only their own.
    may_ask = access.scope_of(actor, "budgets.ask") is not None
    context["bound"] = may_ask and budget_increases.askable_budgets(actor).exists()
    templates = ("usage/limits/budgets.html", "usage/limits/_budgets.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _budget_rows(actor: Actor) -> list[dict[str, Any]]:
    visible = list(budgets.visible_budgets(actor))
    names, writable = subject_names(visible), budgets.writable_budgets(actor, visible)
    return [
        {
            "budget": usage.budget,
            "may_write": usage.budget.id in writable,
            "scope": str(SCOPE_NAMES[usage.budget.scope]),
            "subject": names[usage.budget.id] or actors.organisation_of(actor).name,
            "period": str(PERIOD_NAMES[usage.budget.period]),
            "action": str(ACTION_NAMES[usage.budget.action]),
            **meter_of(usage),
        }
        for usage in budgets.current_usage(visible)
    ]


def _matches_filter(row: dict[str, Any], state: State) -> bool:
    """Return whether a budget matches the filter. A disabled budget is neither running low nor used
    up."""
    budget: Budget = row["budget"]
    if state.value("q").casefold() not in row["subject"].casefold():
        return False
    if state.value("scope") not in ("", budget.scope):
        return False
    wanted = {"off": not budget.enabled, "full": budget.enabled and row["full"]}
    wanted["low"] = bool(row["tone"]) and not row["full"]
    return wanted.get(state.value("state"), True)


def count_waiting(actor: Actor) -> int:
    """Count the increase requests that wait for a decision and that the actor may see."""
    if access.scope_of(actor, "budgets.ask") is None:
        return 0
    return budget_increases.visible_raises(actor).filter(state=RaiseState.WAITING).count()


def meter_of(usage: BudgetUsage) -> dict[str, Any]:
    """Return the values of a budget's meter: spent, held and limit, the tone, and its next
    reset."""
    limit = usage.limit_nano
    used = usage.spent_nano + usage.held_nano
    percent = 100 if used >= limit else used * 100 // limit
    tone = "bad" if percent >= _BAD_PERCENT else "warn" if percent >= _WARN_PERCENT else ""
    return {
        "spent_nano": usage.spent_nano,
        "held_nano": usage.held_nano,
        "used_nano": used,
        "limit_nano": limit,
        "tone": tone if usage.budget.enabled else "",
        "full": used >= limit,
        "resets_at": usage.resets_at,
        "forecast_at": usage.forecast_at if usage.budget.enabled else None,
        "raised_until": usage.budget.raised_until if limit > usage.budget.amount_nano else None,
    }


def budgets_panel(actor: Actor, scope: str, subject: str) -> dict[str, Any]:
    """Return the context of the panel of one subject's budgets. The button that sets one is offered
    beside the budgets of policies."""
    rows = _active_budgets(actor, scope, subject)
    return {"budgets": rows, "own_budget": any(not row["policy_name"] for row in rows)}


def _active_budgets(actor: Actor, scope: str, subject: str) -> list[dict[str, Any]]:
    """Return the enabled budgets of one subject that the actor sees, each with its meter."""
    if access.scope_of(actor, "budgets.read") is None:
        return []
    rows = budgets.visible_budgets(actor).filter(scope=scope, subject=subject, enabled=True)
    return [
        {
            "id": usage.budget.id,
            "period": PERIOD_NAMES[usage.budget.period],
            "policy_name": usage.budget.policy_name,
            "meter": meter_of(usage),
        }
        for usage in budgets.current_usage(list(rows))
    ]


@organisation_page("budgets.read")
@require_safe
def budget_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    budget = budgets.access_budget(actor, id)
    (usage,) = budgets.current_usage([budget])
    context = {
        "budget": budget,
        "scope": SCOPE_NAMES[budget.scope],
        "subject": _subject(budget),
        "period": PERIOD_NAMES[budget.period],
        "per_session": budget.period == BudgetPeriod.SESSION,
        "per_end_user": budget.scope == BudgetScope.END_USER,
        "meter": meter_of(usage),
        "chart": budget_chart(usage),
        "told": budget_simulation.would_have(budget),
        "action": ACTION_NAMES[budget.action],
        "alerts": _alerts(budget),
        "may_write": budgets.may_write(actor, budget),
        "may_test": budgets.may_test_alerts(actor, budget),
        "policy_href": _policy_href(actor, budget),
    }
    return render(request, "usage/limits/budget.html", context)


def _policy_href(actor: Actor, budget: Budget) -> str:
    """Return the page of the policy that a budget comes from, "" for others and for actors who may
    not open it."""
    if budget.policy_id is None or access.scope_of(actor, "organisation.write") is None:
        return ""
    return reverse("policy", args=[slug_of(actor), id_text(budget.policy_id)])


def _subject(budget: Budget) -> str:
    return subject_names([budget])[budget.id] or budget.organisation.name


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def budget_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budget = budgets.access_budget(actor, id)
    form = BudgetChangeForm.of(budget, request.POST or None)
    if form.is_valid() and form.cleaned_data["amount"] is not None:
        try:
            budget_simulation.change_budget(
                actor, budget, amount_nano=form.cleaned_data["amount"], **form.terms()
            )
        except BudgetRefused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Budget saved."))
            back = reverse("budget", args=[slug_of(actor), budget.id])
            return redirect_to(request, back_to(request, back))
    context = {
        "form": form,
        "next": sent_next(request),
        "budget": budget,
        "subject": _subject(budget),
        "per_session": budget.period == BudgetPeriod.SESSION,
        "per_end_user": budget.scope == BudgetScope.END_USER,
    }
    return render_dialog(request, "usage/limits/budget_edit.html", context, refused=form.is_bound)


@organisation_page("budgets.write")
@require_POST
def budget_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budget = budgets.access_budget(actor, id)
    undo = reverse("budget_restore", args=[slug_of(actor), budget.id])
    try:
        budgets.remove_budget(actor, budget)
    except BudgetRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(
            request,
            gettext("Budget deleted. Past charges are not affected."),
            extra_tags=undo if budget.enabled else f"{undo}?off=1",
        )
    return redirect_to(request, back_to(request, reverse("budgets", args=[slug_of(actor)])))


@organisation_page("budgets.write")
@require_POST
def budget_restore(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    try:
        budget_simulation.restore_budget(actor, id, enabled="off" not in request.GET)
    except BudgetRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Budget restored."))
    return redirect_to(request, "budgets", slug_of(actor))


@organisation_page("budgets.write")
@require_POST
def budget_test_alert(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Send a test alert to everybody who would receive one. The log shows each delivery."""
    budget = budgets.access_budget(actor, id)
    try:
        budget_alerts.send_test(actor, budget)
    except BudgetRefused as refused:
        messages.error(request, refused.message)
        return see_other("budget", slug_of(actor), budget.id)
    if is_htmx(request):
        return _log(request, actor, budget)
    messages.success(request, gettext("Test sent."))
    return see_other("budget", slug_of(actor), budget.id)


@organisation_page("budgets.read")
@require_safe
def budget_log(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the log of alerts. It refreshes itself while a delivery is pending."""
    return _log(request, actor, budgets.access_budget(actor, id))


def _log(request: HttpRequest, actor: Actor, budget: Budget) -> HttpResponse:
    context = {
        "budget": budget,
        "alerts": _alerts(budget),
        "may_test": budgets.may_test_alerts(actor, budget),
    }
    return render(request, "usage/limits/_budget_log.html", context)


def _alerts(budget: Budget) -> dict[str, Any]:
    """Return the alerts of a budget with their deliveries."""
    alerts = budget_alerts.alerts_of(budget)
    by_fact: dict[UUID, list[Delivery]] = {}
    for delivery in deliveries_of(alert.fact_id for alert in alerts if alert.fact_id):
        by_fact.setdefault(delivery.fact_id, []).append(delivery)
    rows = [
        {
            "alert": alert,
            "deliveries": [
                {"delivery": delivery, "to": _receiver(delivery)}
                for delivery in by_fact.get(alert.fact_id or UUID(int=0), [])
            ],
        }
        for alert in alerts
    ]
    # Deliveries of newer alerts are about to be created or attempted.
    fresh = [alert for alert in alerts if alert.told_at > clock.now() - _FRESH]
    pending = {
        fact
        for fact, sent in by_fact.items()
        if any(delivery.ended_at is None for delivery in sent)
    }
    waits = any(alert.fact_id not in by_fact or alert.fact_id in pending for alert in fresh)
    return {"rows": rows, "waits": waits}


def _receiver(delivery: Delivery) -> str:
    if delivery.user is not None:
        return delivery.user.email
    return urlsplit(delivery.endpoint.url).hostname or "" if delivery.endpoint else ""


_SCOPES = {"organisation": _("Organisation"), "team": _("Team"), "user": _("Person")}
LIMITS = Table(
    "limits",
    _("Limits"),
    (
        Column("name", _("Applies to"), sort=True, card="title"),
        Column("scope", _("Scope"), sort="n", card="second"),
        Column("rpm", _("Requests per minute"), "number", sort=True, card="last"),
        Column("tpm", _("Tokens per minute"), "number", sort=True, priority=2),
        Column("parallel", _("Concurrent requests"), "number", sort=True, priority=2),
    ),
    default_sort="scope",
    key="n",
    filters=(
        Filter("q", _("Name"), "search"),
        Filter("scope", _("Scope"), choices=(("", _("Any scope")), *_SCOPES.items())),
    ),
)


@organisation_page("budgets.write")
@require_safe
def limit_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(LIMITS, request, actor)
    rows = [
        row
        for row in _limit_rows(actor)
        if state.value("q").casefold() in f"{row['name']} {row['subject'].id}".casefold()
        and state.value("scope") in ("", row["subject"].scope)
    ]
    templates = ("usage/limits/limits.html", "usage/limits/_limits.html")
    context = {"waiting": count_waiting(actor)}
    return answer_table(request, state, ListSource(rows), templates, context)


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def limit_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    subjects = {f"{one.scope} {one.id}": one for one in limited_subjects(actor)}
    form = LimitForm(subjects, request.POST or None)
    if form.is_valid():
        subject = subjects[form.cleaned_data.pop("subject")]
        # Fields that are left empty stay as they are.
        changes = {name: count for name, count in form.cleaned_data.items() if count is not None}
        keys.change_limits(actor, subject.limited, **(_rate_limits(subject) | changes))
        messages.success(request, gettext("Limits saved."))
        return redirect_to(request, "limits", slug_of(actor))
    context = {"form": form}
    return render_dialog(request, "usage/limits/limit_new.html", context, refused=form.is_bound)


def _limit_rows(actor: Actor) -> list[dict[str, Any]]:
    return [
        {
            "n": n,
            "subject": subject,
            "name": subject.name,
            "scope": str(_SCOPES[subject.scope]),
            "href": _href(actor, subject),
            **_rate_limits(subject),
        }
        for n, subject in enumerate(limited_subjects(actor))
        if any(_rate_limits(subject).values())
    ]


def _href(actor: Actor, subject: Subject) -> str:
    if not subject.id:
        return reverse("limit_organisation", args=[slug_of(actor)])
    return reverse("limit", args=[slug_of(actor), subject.scope, subject.id])


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def limit_change(request: HttpRequest, actor: Actor, scope: str, id: str) -> HttpResponseBase:
    subject = limited_subject(actor, scope, id)
    if subject is None:
        raise Http404
    form = CountsForm(request.POST or None, initial=_rate_limits(subject))
    if request.method == "POST" and form.is_valid():
        keys.change_limits(actor, subject.limited, **form.cleaned_data)
        messages.success(request, gettext("Limits saved."))
        return redirect_to(request, "limits", slug_of(actor))
    return render_dialog(
        request, "usage/limits/limit.html", {"form": form, "row": subject}, refused=form.is_bound
    )


def _rate_limits(subject: Subject) -> dict[str, Any]:
    return {name: getattr(subject.limited, name) for name in ("rpm", "tpm", "parallel")}
