"""The page of a new budget (W53), with what it would have refused, and the pages that create or
change a key (W50): its models, limits and budget."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys
from accounts.models import Key, KeyKind
from billing.limits import budgets
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, BudgetAction
from content.policies.policies import permitted_models
from gateway.code_examples.example_models import MODEL
from gateway.code_examples.examples import example_models, is_text_model
from gateway.limits.forms import BudgetForm, KeyEditForm, NewKeyForm
from gateway.listed_models.shown_models import models_for
from lib.htmx import back_to, redirect_to, render_dialog, sent_next
from lib.ids import id_text
from lib.refusal import Refused
from usage.keys.bulk import set_key_budget
from usage.keys.views import show_secret_once
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
            budget = context["budget"] = _budget_of_form(actor, form)
            context["told"] = budget_simulation.would_have(budget)
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
        action=data["action"] or BudgetAction.BLOCK,
    )
    budgets.check_reach(actor, budget.scope, budget.subject, budget.amount_nano)
    budgets.check_budget(budget)
    return budget


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_create(request: HttpRequest, actor: Actor) -> HttpResponse:
    may_budget = access.scope_of(actor, "budgets.write") is not None
    initial = {"team": request.GET.get("team")}
    form = NewKeyForm(request.POST or None, initial=initial, may_budget=may_budget, actor=actor)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        team, account, project = form.place()
        try:
            with transaction.atomic():
                key, text = keys.mint_key(
                    actor,
                    team or access.access_team(actor),
                    data["name"],
                    kind=KeyKind(data["kind"]),
                    user=None if account else form.person() or actor.user,
                    service_account=account,
                    project=project,
                    model_patterns=data["models"],
                    expires_at=data["lifetime"],
                    **form.limits(),
                )
                _set_budget(actor, key, None, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            return show_secret_once(request, key, text, model=_first_model(actor, key))
    context = {"form": form, "team": access.access_team(actor)}
    return render_dialog(request, "accounts/keys/key_new.html", context, refused=form.is_bound)


def _first_model(actor: Actor, key: Key) -> str:
    """Return the model for a key's first chat: the cheapest text model that it may call; "" if
    there is none."""
    permits = permitted_models(key)
    models = [model for model in models_for(actor) if is_text_model(model) and permits(model.name)]
    return example_models(models)[MODEL] if models else ""


@organisation_page("keys.read")
@require_http_methods(["GET", "HEAD", "POST"])
def key_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    budget = budgets.own_budgets_of_keys(actor, [key]).get(str(key.id))
    may_budget = access.reaches_team(actor, "budgets.write", key.team_id)
    form = KeyEditForm.of(actor, key, budget, request.POST or None, may_budget=may_budget)
    if may_budget and request.GET.get("focus") == "budget":
        form.focus_budget()
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            with transaction.atomic():
                keys.change_key(
                    actor,
                    key,
                    name=data["name"],
                    model_patterns=data["models"],
                    disabled=data["disabled"],
                    **form.limits(),
                )
                _set_budget(actor, key, budget, form)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Key %(name)s saved.") % {"name": data["name"]})
            return redirect_to(request, "keys", slug_of(actor))
    return render_dialog(
        request,
        "accounts/keys/key_edit.html",
        {"form": form, "key": key, "id": id_text(key.id), "team": key.team},
        refused=form.is_bound,
    )


def _set_budget(
    actor: Actor, key: Key, budget: Budget | None, form: NewKeyForm | KeyEditForm
) -> None:
    """Set the key's budget from the form. The form of a person who may not set one has no
    budget."""
    if form.may_budget:
        data = form.cleaned_data
        set_key_budget(actor, key, budget, data["budget"], data["period"])
