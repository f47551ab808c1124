"""Pages of plans, for operators (W74)."""

from collections.abc import Sequence
from typing import Any, Final, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.models import Organisation, Team
from accounts.preferences.table_preferences import read_table
from billing.access import all_organisations
from billing.approvals.words import change_text
from billing.currency.money import MoneyInvalid, format_markup, parse_markup
from billing.price_plans.price_plans import (
    Holder,
    PlanRefused,
    SecondPersonNeeded,
    assign_plan,
    holders_of,
    remove_plan,
    save_plan,
    waiting_cuts,
)
from billing.prices.forms import markup_error
from billing.prices.pricing import PPM
from billing.prices.proposals import count_proposals
from billing.prices.words import marked_up, markup_words
from gateway.access import access_price_plan, visible_price_plans
from gateway.listed_models.model_fields import ModelsField
from gateway.prices.forms import PricePlanForm, PricePlanHolderForm
from lib.htmx import redirect_to, render_dialog, see_other
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, State, Table

PLANS: Final = Table(
    "plans",
    _("Price plans"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("markup", _("Markup (%)"), "number", sort="ppm", card="money"),
        Column("models", _("Visible models"), card="second"),
        Column("organisations", _("Organisations"), "number", sort=True, card="last"),
        Column("teams", _("Teams"), "number", sort=True, priority=2),
        Column("members", _("People"), "number", sort=True, priority=2),
    ),
    default_sort="name",
    filters=(Filter("q", _("Name or model"), "search"),),
    href="href",
)
_TEMPLATES: Final = ("gateway/prices/plans.html", "gateway/prices/_plans.html")


@operator_page("models.read")
@require_safe
def plans(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PLANS, request, actor)
    context = {"waiting": count_proposals(), "may_write": _may_write(actor)}
    return answer_table(request, state, _source(actor, state), _TEMPLATES, context)


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def plan_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = PricePlanForm(request.POST or None)
    if form.is_valid():
        name = form.cleaned_data["name"]
        if visible_price_plans(actor).filter(name=name).exists():
            form.add_error("name", gettext("There is already a plan with this name."))
        elif _save(request, actor, name, form):
            return redirect_to(request, "price_plan", visible_price_plans(actor).get(name=name).id)
    verb = gettext("Create plan")
    return _dialog(request, form, verb, verb, reverse("price_plans"), gettext("Price plans"))


@operator_page("models.read")
@require_safe
def markup_checked(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the effect of a markup on a price while it is typed."""
    try:
        ppm = parse_markup(request.GET.get("markup", ""))
    except MoneyInvalid:
        return render(request, "gateway/prices/_markup.html", {"wrong": markup_error()})
    context = {"before": marked_up(PPM, 10), "after": marked_up(ppm, 10)}
    return render(request, "gateway/prices/_markup.html", context)


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def plan_edit(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_price_plan(actor, id)
    initial = {
        "name": stored.name,
        "markup": format_markup(stored.multiplier_ppm),
        "models": ", ".join(stored.model_patterns),
    }
    form = PricePlanForm(request.POST or None, initial=initial)
    form.fields["name"].disabled = True
    # A plan keeps the name of a model that no longer exists.
    cast(ModelsField, form.fields["models"]).kept = stored.model_patterns
    if form.is_valid() and _save(request, actor, stored.name, form):
        return redirect_to(request, "price_plan", stored.id)
    title = gettext("Edit plan %(name)s") % {"name": stored.name}
    back = reverse("price_plan", args=[stored.id])
    return _dialog(request, form, title, gettext("Save"), back, stored.name)


def _save(request: HttpRequest, actor: Actor, name: str, form: PricePlanForm) -> bool:
    sent = form.cleaned_data
    try:
        save_plan(actor, name, multiplier_ppm=sent["markup"], models=sent["models"])
    except Refused as refused:
        refused.add_to(form)
        return False
    except SecondPersonNeeded:
        messages.warning(request, _second_person())
    else:
        messages.success(request, gettext("Saved. The change applies to new requests."))
    return True


def _dialog(
    request: HttpRequest, form: forms.Form, title: str, verb: str, back: str, back_text: str
) -> HttpResponseBase:
    context = {"form": form, "title": title, "verb": verb, "back": back, "back_text": back_text}
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("models.read")
@require_safe
def plan(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_price_plan(actor, id)
    context = {
        "waiting": count_proposals(),
        "plan": stored,
        "markup": markup_words(stored.multiplier_ppm),
        "may_write": _may_write(actor),
        "cuts": [(cut, change_text(cut)) for cut in waiting_cuts(stored)],
        "holders": [_holder_row(holder) for holder in holders_of(stored)],
    }
    return render(request, "gateway/prices/plan.html", context)


def _may_write(actor: Actor) -> bool:
    return access.scope_of(actor, "prices.write") is not None


def _holder_row(holder: Holder) -> dict[str, str]:
    """Return a holder of a plan as a table row, with its form values."""
    if isinstance(holder, Organisation):
        return {"name": holder.name, "level": "", "slug": holder.slug, "who": ""}
    if isinstance(holder, Team):
        row = {"name": holder.name, "level": gettext("Team"), "who": holder.slug}
    else:
        person = holder.user
        row = {"name": person.name or person.email, "level": gettext("Person"), "who": person.email}
    return row | {"slug": holder.organisation.slug}


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def plan_member(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    """Put an organisation, a team or a member on this plan, or remove it from the plan."""
    stored = access_price_plan(actor, id)
    form = PricePlanHolderForm(request.POST or None, organisations=all_organisations(actor))
    if not form.is_valid():
        title = gettext("Add to plan %(name)s") % {"name": stored.name}
        back = reverse("price_plan", args=[stored.id])
        return _dialog(request, form, title, gettext("Add to plan"), back, stored.name)
    try:
        assign_plan(
            actor, form.cleaned_data["holder"], "" if "off" in request.POST else stored.name
        )
    except SecondPersonNeeded:
        messages.warning(request, _second_person())
    return redirect_to(request, "price_plan", stored.id)


def _second_person() -> str:
    return gettext("This cuts prices by more than half. Another operator must approve it.")


@operator_page("prices.write")
@require_POST
def plan_remove(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    stored = access_price_plan(actor, id)
    try:
        remove_plan(actor, stored)
    except PlanRefused as error:
        messages.error(request, str(error))
        return see_other("price_plan", stored.id)
    messages.success(request, gettext("Plan %s deleted.") % stored.name)
    return see_other("price_plans")


def _source(actor: Actor, state: State) -> ListSource[dict[str, Any]]:
    query = state.value("q").lower()
    return ListSource(
        [row for row in _plan_rows(actor) if query in f"{row['name']} {row['models']}".lower()]
    )


def _plan_rows(actor: Actor) -> list[dict[str, Any]]:
    rows = [
        _plan_row(
            plan.name,
            plan.multiplier_ppm,
            plan.model_patterns,
            plan.organisation_count,  # type: ignore[attr-defined]
            reverse("price_plan", args=[plan.id]),
        )
        | {
            "plan_id": plan.id,
            "teams": plan.team_count,  # type: ignore[attr-defined]
            "members": plan.member_count,  # type: ignore[attr-defined]
        }
        for plan in visible_price_plans(actor)
    ]
    for row in rows:
        row["in_use"] = bool(row["organisations"] or row["teams"] or row["members"])
    on_any = sum(row["organisations"] for row in rows)
    # Without a plan, list prices apply; they are shown as a plan that cannot be changed.
    standard = _plan_row(
        gettext("Standard"), PPM, (), all_organisations(actor).count() - on_any, ""
    )
    return [standard, *rows]


def _plan_row(
    name: str, ppm: int, patterns: Sequence[str], organisations: int, href: str
) -> dict[str, Any]:
    return {
        "id": href,
        "name": name,
        "ppm": ppm,
        "markup": format_markup(ppm),
        "markup_words": markup_words(ppm),
        "models": ", ".join(patterns),
        "organisations": organisations,
        "href": href,
    }
