"""Pages of plans, for operators (W74)."""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.actors import Actor
from accounts.guards import operator_page
from accounts.table_preferences import read_table
from billing.access import all_organisations
from billing.plans import (
    PlanRefused,
    SecondPersonNeeded,
    put_on_plan,
    remove_plan,
    save_plan,
    waiting_cuts,
)
from billing.rules.money import format_multiplier
from billing.rules.pricing import PPM
from gateway.access import access_plan, visible_plans
from gateway.price_forms import PlanForm
from gateway.price_views import price_tabs
from lib.htmx import see_other
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, State, Table

PLANS: Final = Table(
    "plans",
    _("Plans"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("multiplier", _("Multiplier"), "number", sort="ppm", card="money"),
        Column("models", _("Visible models"), card="second"),
        Column("organisations", _("Organisations"), "number", sort=True, card="last"),
    ),
    default_sort="name",
    filters=(Filter("q", _("Name or model"), "search"),),
    href="href",
)
_TEMPLATES: Final = ("gateway/plans.html", "gateway/_plans.html")


@operator_page("models.read")
@require_safe
def plans(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PLANS, request, actor)
    return answer_table(request, state, _source(actor, state), _TEMPLATES, _context(PlanForm()))


@operator_page("prices.write")
@require_POST
def plan_save(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = PlanForm(request.POST)
    if not form.is_valid():
        return _refused(request, actor, form)
    sent = form.cleaned_data
    try:
        save_plan(actor, sent["name"], multiplier_ppm=sent["multiplier"], models=sent["models"])
    except SecondPersonNeeded:
        messages.warning(request, _second_person())
    else:
        messages.success(request, gettext("Saved. The change applies to new requests."))
    return see_other("price_plan", visible_plans(actor).get(name=sent["name"]).id)


@operator_page("models.read")
@require_safe
def plan(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_plan(actor, id)
    form = PlanForm(
        initial={
            "name": stored.name,
            "multiplier": format_multiplier(stored.multiplier_ppm),
            "models": "\n".join(stored.model_patterns),
        }
    )
    form.fields["name"].widget.attrs["readonly"] = True
    on_it = {row.organisation_id for row in stored.organisations.all()}
    everybody = list(all_organisations(actor))
    context = {
        **price_tabs("plans"),
        "plan": stored,
        "form": form,
        "cuts": [
            {
                "cut": cut,
                "multiplier": format_multiplier(cut.multiplier_ppm),
                "own": actor.user is not None and cut.asked_by_id == actor.user.id,
            }
            for cut in waiting_cuts(stored)
        ],
        "members": [organisation for organisation in everybody if organisation.id in on_it],
        "others": [organisation for organisation in everybody if organisation.id not in on_it],
    }
    return render(request, "gateway/plan.html", context)


@operator_page("prices.write")
@require_POST
def plan_member(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    """Put an organisation on this plan, or take it off."""
    stored = access_plan(actor, id)
    organisation = all_organisations(actor).filter(slug=request.POST.get("slug", "")).first()
    if organisation is not None:
        try:
            put_on_plan(actor, organisation, "" if "off" in request.POST else stored.name)
        except SecondPersonNeeded:
            messages.warning(request, _second_person())
    return see_other("price_plan", stored.id)


def _second_person() -> str:
    return gettext("This cuts prices by more than half. Another operator must confirm it.")


@operator_page("prices.write")
@require_POST
def plan_remove(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_plan(actor, id)
    try:
        remove_plan(actor, stored)
    except PlanRefused as error:
        messages.error(request, str(error))
        return see_other("price_plan", stored.id)
    messages.success(request, gettext("Plan %s deleted.") % stored.name)
    return see_other("price_plans")


def _refused(request: HttpRequest, actor: Actor, form: PlanForm) -> HttpResponseBase:
    state = read_table(PLANS, request, actor)
    response = answer_table(request, state, _source(actor, state), _TEMPLATES, _context(form))
    response.status_code = 422
    return response


def _context(form: PlanForm) -> dict[str, Any]:
    return {**price_tabs("plans"), "form": form}


def _source(actor: Actor, state: State) -> ListSource[dict[str, Any]]:
    query = state.value("q").lower()
    return ListSource(
        [row for row in _rows(actor) if query in f"{row['name']} {row['models']}".lower()]
    )


def _rows(actor: Actor) -> list[dict[str, Any]]:
    rows = [
        _row(
            plan.name,
            plan.multiplier_ppm,
            plan.model_patterns,
            plan.organisations.count(),
            reverse("price_plan", args=[plan.id]),
        )
        for plan in visible_plans(actor)
    ]
    on_any = sum(row["organisations"] for row in rows)
    # Whoever is on no plan pays the list prices, which is a plan that nobody can change.
    standard = _row(gettext("Standard"), PPM, (), all_organisations(actor).count() - on_any, "")
    return [standard, *rows]


def _row(
    name: str, ppm: int, patterns: Sequence[str], organisations: int, href: str
) -> dict[str, Any]:
    return {
        "id": href,
        "name": name,
        "ppm": ppm,
        "multiplier": f"× {format_multiplier(ppm)}",
        "models": ", ".join(patterns),
        "organisations": organisations,
        "href": href,
    }
