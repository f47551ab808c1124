"""Pages of policies."""

from collections import Counter
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from content.models import Policy
from content.policies import policies
from content.policies.trying import try_policy
from content.policies.words import LIMITS, PLACES, SCOPES, guard_words
from content.policies.written import DIALECTS, write_tried
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table
from usage.limits.budget_simulation import look_back
from usage.policies.forms import PolicyForm, TryForm

POLICIES: Final = Table(
    "policies",
    _("Policies"),
    (
        Column("name", _("Policy"), sort=True, card="title"),
        Column("guards", _("Guards"), sort=True, card="first"),
        Column("limits", _("Limits"), priority=2),
        Column("applies", _("Applies to"), sort=True, card="second"),
        Column("by", _("Created by"), sort=True, chosen=False),
        Column("created", _("Created"), "ago", value="policy.created_at", sort=True, card="last"),
    ),
    default_sort="name",
    key="id",
    filters=(Filter("q", _("Policy"), "search"),),
    href="href",
)


@organisation_page("organisation.write")
@require_safe
def policy_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(POLICIES, request, actor)
    rows = [
        _row(actor, policy)
        for policy in policies.visible_policies(actor)
        if state.value("q").casefold() in policy.name.casefold()
    ]
    templates = ("usage/policies/policies.html", "usage/policies/_policies.html")
    return answer_table(request, state, ListSource(rows), templates, {})


def _row(actor: Actor, policy: Policy) -> dict[str, Any]:
    args = [slug_of(actor), id_text(policy.id)]
    scopes = Counter(one.scope for one in policy.assignments.all())
    names = {rule["guard"]: guard_words(rule["guard"]).name for rule in policy.rules}
    return {
        "policy": policy,
        "id": id_text(policy.id),
        "name": policy.name,
        "guards": ", ".join(str(name) for name in names.values()),
        "limits": ", ".join(
            str(words) for field, words in LIMITS.items() if _limits(policy, field)
        ),
        "applies": ", ".join(
            str(SCOPES[scope]) if scope == "organisation" else f"{SCOPES[scope]}: {scopes[scope]}"
            for scope in SCOPES
            if scopes[scope]
        ),
        "by": policy.created_by.email if policy.created_by else None,
        "href": reverse("policy", args=args),
        "remove_href": reverse("policy_remove", args=args),
    }


def _limits(policy: Policy, field: str) -> bool:
    return getattr(policy, field) not in ([], None)


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def policy_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = PolicyForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            policy = policies.create_policy(
                actor,
                organisation_of(actor),
                look_back,
                name=form.cleaned_data["name"],
                rules=form.rules(),
                assigned=policies.find_assigned(actor, form.assigned()),
                budgets=form.budgets() or (),
                **form.limits(),
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Policy %(name)s created.") % {"name": policy.name})
            return redirect_to(request, "policy", slug_of(actor), id_text(policy.id))
    context = {"form": form}
    return render(
        request, "usage/policies/policy.html", context, status=422 if form.errors else 200
    )


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    row = policies.access_policy(actor, id)
    form = PolicyForm(request.POST or None, actor=actor, policy=row)
    if request.method == "POST" and form.is_valid():
        try:
            policies.change_policy(
                actor,
                row,
                look_back,
                name=form.cleaned_data["name"],
                rules=form.rules(),
                assigned=policies.find_assigned(actor, form.assigned(), row),
                budgets=form.budgets(),
                **form.limits(),
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Policy saved. It applies from now on."))
            return redirect_to(request, "policy", slug_of(actor), id_text(row.id))
    context = {"form": form, "policy": row, "id": id_text(row.id)}
    return render(
        request, "usage/policies/policy.html", context, status=422 if form.errors else 200
    )


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def policy_try(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Show what a policy makes of a text in each place."""
    row = policies.access_policy(actor, id)
    form = TryForm(request.POST or None)
    tried = []
    if request.method == "POST" and form.is_valid():
        try:
            tried = [
                {
                    **one._asdict(),
                    "name": PLACES[one.place],
                    "bodies": [
                        {**body._asdict(), "name": DIALECTS[body.dialect]}
                        for body in write_tried(one)
                    ],
                }
                for one in try_policy(request, actor, row, form.cleaned_data["text"])
            ]
        except Refused as refused:
            refused.add_to(form)
    context = {"form": form, "policy": row, "id": id_text(row.id), "tried": tried}
    return render(request, "usage/policies/try.html", context, status=422 if form.errors else 200)


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
def policy_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    row = policies.access_policy(actor, id)
    if request.method == "POST":
        policies.remove_policy(actor, row)
        messages.success(request, gettext("Policy %(name)s deleted.") % {"name": row.name})
        return redirect_to(request, "policies", slug_of(actor))
    return render_dialog(request, "usage/policies/policy_remove.html", {"policy": row})
