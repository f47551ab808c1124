"""Pages of budgets (W53): what stands in each, when it resets, and what it would have refused."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access
from accounts.access import Actor, organisation_page
from accounts.models import KeyKind, Organisation
from billing import budgets
from billing.budgets import BudgetRefused, Standing
from billing.models import Budget
from billing.rules.money import format_usd
from lib.htmx import render_part
from usage import budgeting
from usage.budget_forms import PERIOD_NAMES, SCOPE_NAMES, BudgetChangeForm, BudgetForm

# From these shares on a meter is coloured, and says so in a word.
_WARN_PERCENT, _BAD_PERCENT = 80, 95


@organisation_page("budgets.read")
@require_safe
def budget_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    found = list(budgets.visible_budgets(actor))
    names = budgets.subject_names(found)
    context = {
        "nav": "budgets",
        "rows": [
            {
                "budget": one.budget,
                "scope": SCOPE_NAMES[one.budget.scope],
                "subject": names[one.budget.id],
                "period": PERIOD_NAMES[one.budget.period],
                **meter_of(one),
            }
            for one in budgets.standing_of(found)
        ],
        "may_write": access.scope_of(actor, "budgets.write") is not None,
        "own_only": access.scope_of(actor, "budgets.read") == "own",
    }
    return render_part(request, "usage/budgets.html", "usage/_budgets.html", context)


def meter_of(one: Standing) -> dict[str, Any]:
    """What a meter of a budget shows: spent, held and limit, the tone and when it resets."""
    limit = one.budget.amount_nano
    used = one.spent_nano + one.held_nano
    percent = 100 if used >= limit else used * 100 // limit
    tone = "bad" if percent >= _BAD_PERCENT else "warn" if percent >= _WARN_PERCENT else ""
    return {
        "standing": one,
        "spent_nano": one.spent_nano,
        "held_nano": one.held_nano,
        "used_nano": used,
        "limit_nano": limit,
        "tone": tone if one.budget.enabled else "",
        "full": used >= limit,
        "resets_at": one.resets_at,
    }


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def budget_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = BudgetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            budget = _wanted(actor, form)
            budgeting.create_budget(
                actor,
                budget.organisation,
                scope=budget.scope,
                subject=budget.subject,
                amount_nano=budget.amount_nano,
                period=budget.period,
                anchor=budget.anchor,
                timezone=budget.timezone,
            )
        except BudgetRefused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        else:
            messages.success(request, gettext("The budget is made and holds from now on."))
            return _to_list(request, actor)
    context = {"nav": "budgets", "form": form, **_choices(actor)}
    response = render_part(
        request,
        "usage/budget_new.html",
        "usage/_budget_new.html",
        context,
        status=422 if form.is_bound else 200,
    )
    return _in_dialog(response, form.is_bound)


@organisation_page("budgets.write")
@require_safe
def budget_preview(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What the budget in the form would have refused of the last thirty days."""
    form = BudgetForm(request.GET)
    context: dict[str, Any] = {}
    if form.is_valid():
        try:
            context["told"] = budgeting.would_have(_wanted(actor, form))
        except BudgetRefused as refused:
            context["wrong"] = refused.message
    return render(request, "usage/_budget_preview.html", context)


@organisation_page("budgets.read")
@require_http_methods(["GET", "HEAD", "POST"])
def budget_change(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budget = budgets.access_budget(actor, id)
    initial = {"amount": format_usd(budget.amount_nano), "enabled": budget.enabled}
    form = BudgetChangeForm(request.POST or None, initial=initial)
    if request.method == "POST":
        access.require(actor, "budgets.write")
        if form.is_valid() and form.cleaned_data["amount"] is not None:
            budgeting.change_budget(
                actor,
                budget,
                amount_nano=form.cleaned_data["amount"],
                enabled=form.cleaned_data["enabled"],
            )
            messages.success(request, gettext("The budget is changed."))
            return _to_list(request, actor)
    (standing,) = budgets.standing_of([budget])
    context = {
        "nav": "budgets",
        "form": form,
        "budget": budget,
        "scope": SCOPE_NAMES[budget.scope],
        "subject": budgets.subject_names([budget])[budget.id],
        "period": PERIOD_NAMES[budget.period],
        "meter": meter_of(standing),
        "told": budgeting.would_have(budget),
        "may_write": access.scope_of(actor, "budgets.write") is not None,
    }
    response = render_part(
        request,
        "usage/budget.html",
        "usage/_budget.html",
        context,
        status=422 if form.is_bound else 200,
    )
    return _in_dialog(response, form.is_bound)


@organisation_page("budgets.write")
@require_POST
def budget_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    budgets.remove_budget(actor, budgets.access_budget(actor, id))
    messages.success(request, gettext("The budget is removed. What was charged stays charged."))
    return _to_list(request, actor)


def _wanted(actor: Actor, form: BudgetForm) -> Budget:
    """The budget of a form, not saved. Raises BudgetRefused."""
    data = form.cleaned_data
    return Budget(
        organisation=actor.organisation,
        scope=data["scope"],
        subject=budgets.find_subject(actor, data["scope"], data["subject"].strip()),
        amount_nano=data["amount"],
        period=data["period"],
        anchor=data["anchor"],
        timezone=data["timezone"],
    )


def _choices(actor: Actor) -> dict[str, Any]:
    """What can be typed into the field of the subject."""
    organisation = actor.organisation
    if not isinstance(organisation, Organisation):
        return {"subjects": []}
    keys = access.visible_keys(actor).filter(revoked_at=None, kind=KeyKind.RELAY)[:200]
    members = organisation.memberships.select_related("user")[:200]
    return {
        "subjects": [
            *(team.name for team in organisation.teams.all()),
            *(key.name for key in keys),
            *(member.user.email for member in members),
        ]
    }


def _in_dialog(response: HttpResponse, bound: bool) -> HttpResponse:
    if bound:
        response["HX-Retarget"] = "#dialog"
        response["HX-Reswap"] = "innerHTML"
    return response


def _to_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    url = reverse("budgets", args=[actor.organisation.slug])  # type: ignore[union-attr]
    if getattr(request, "htmx", None):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = url
        return response
    answer = redirect(url)
    answer.status_code = 303
    return answer
