"""The page of a new budget (W53), with what it would have refused."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from billing.limits import budgets
from billing.limits.budgets import BudgetRefused
from billing.models import Budget
from gateway.limits.budget_forms import BudgetForm
from lib.htmx import back_to, redirect_to, render_dialog, sent_next
from usage.limits import budget_simulation
from usage.limits.budget_forms import SCOPE_NAMES


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def budget_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = BudgetForm(request.POST or None, initial=_initial(request), actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            budget = _budget_of_form(actor, form)
            budget_simulation.create_budget(
                actor,
                budget.organisation,
                scope=budget.scope,
                subject=budget.subject,
                amount_nano=budget.amount_nano,
                period=budget.period,
                anchor=budget.anchor,
                timezone=budget.timezone,
                **form.terms(),
            )
        except BudgetRefused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Budget created. It applies from now on."))
            back = reverse("budgets", args=[slug_of(actor)])
            return redirect_to(request, back_to(request, back))
    context = {"form": form, "next": sent_next(request)}
    return render_dialog(request, "usage/limits/budget_new.html", context, refused=form.is_bound)


def _initial(request: HttpRequest) -> dict[str, str]:
    """Return the initial values from a link to the form."""
    sent = {name: request.GET.get(name, "") for name in ("scope", "subject")}
    return sent if sent["scope"] in SCOPE_NAMES else {}


@organisation_page("budgets.write")
@require_safe
def budget_preview(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show what the budget in the form would have refused in the last thirty days."""
    form = BudgetForm(request.GET, actor=actor)
    context: dict[str, Any] = {}
    if form.is_valid():
        try:
            context["told"] = budget_simulation.would_have(_budget_of_form(actor, form))
        except BudgetRefused as refused:
            context["wrong"] = refused.message
    return render(request, "usage/limits/_budget_preview.html", context)


def _budget_of_form(actor: Actor, form: BudgetForm) -> Budget:
    """Return the unsaved budget of a form. Raises BudgetRefused."""
    data = form.cleaned_data
    budget = Budget(
        organisation=actor.organisation,
        scope=data["scope"],
        subject=budgets.find_subject(actor, data["scope"], data["subject"].strip()),
        amount_nano=data["amount"],
        period=data["period"],
        anchor=data["anchor"],
        timezone=data["timezone"],
    )
    budgets.check_reach(actor, budget.scope, budget.subject, budget.amount_nano)
    budgets.check_budget(budget)
    return budget
