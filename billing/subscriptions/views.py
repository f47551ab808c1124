"""The page of an organisation's subscription, and the operators' pages of subscription plans."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, organisation_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from billing.access import (
    access_subscription_plan,
    access_wallet,
    offered_plans,
    visible_subscription_plans,
)
from billing.currency.forms import MoneyField
from billing.models import Overage, SubscriptionPlan, SubscriptionPlanState
from billing.periods.months import month_after
from billing.prices.meter_words import meter_name
from billing.prices.multipliers import Multiplier
from billing.prices.words import meter_names, multiplier_words
from billing.subscriptions import subscription_plans, subscriptions
from billing.subscriptions.included_units import UnitTerm
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import (
    DESCRIPTION_MAX,
    read_multiplier,
    subscription_multipliers,
    unit_term,
)
from lib.forms.picker import PickText
from lib.forms.rows import Cell, RowsText
from lib.htmx import back_to, redirect_to, render_dialog, see_other
from lib.numbers.typed_counts import parse_typed_count
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table, status_filter

_BADGES = {
    SubscriptionPlanState.DRAFT: Badge(_("Draft"), icon="circle-dashed"),
    SubscriptionPlanState.OFFERED: Badge(_("Offered"), "ok"),
    SubscriptionPlanState.ARCHIVED: Badge(_("Archived"), icon="ban"),
}
PLANS = Table(
    "subscription-plans",
    _("Subscription plans"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column(
            "state",
            _("Status"),
            "badge",
            value=lambda row: _BADGES[SubscriptionPlanState(row.state)],
            sort="state",
            card="first",
        ),
        Column("price", _("Price per month"), "total", value="price_nano", sort=True, card="money"),
        Column(
            "included",
            _("Included usage"),
            "total",
            value="included_nano",
            sort=True,
            card="second",
        ),
        Column(
            "overage",
            _("Beyond the included usage"),
            value=lambda row: Overage(row.overage).label,
            sort="overage",
            chosen=False,
        ),
        Column(
            "multipliers",
            _("Price multipliers"),
            value=lambda row: multiplier_words(subscription_multipliers(row)),
            chosen=False,
        ),
        Column("subscribers", _("Subscribers"), "number", sort=True, priority=2),
        Column("description", _("Description"), sort=True, priority=3),
        Column("by", _("Created by"), value="written_by.email", chosen=False),
        Column("created", _("Created"), "ago", value="created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    filters=(Filter("q", _("Name"), "search"), status_filter(_BADGES)),
)


def _meter_select() -> forms.Select:
    names = [(meter, f"{meter_name(meter)} ({meter})") for meter in meter_names()]
    return forms.Select(choices=[("", "–"), *names])


def _model_picker(*, many: bool) -> PickText:
    """Return a picker of names and patterns of the installation's models."""
    url = reverse_lazy("installation_model_choices")
    return PickText({"class": "input mono"}, many=many, strict=True, url=url)


class PlanForm(forms.Form):
    """A new plan."""

    name = forms.CharField(label=_("Name"), max_length=60)
    price = MoneyField(label=_("Price per month (USD)"))
    included = MoneyField(
        label=_("Included usage per month (USD)"),
        help_text=_("Usage at list prices that needs no balance. More is paid from the balance."),
    )
    units = forms.CharField(
        label=_("Included units per month"),
        help_text=_("Without models, a meter is for all. Patterns such as gpt-5* are valid."),
        max_length=10_000,
        required=False,
        widget=RowsText(
            [
                Cell("meter", _("Meter"), _meter_select),
                Cell("count", _("Units"), lambda: forms.TextInput({"inputmode": "numeric"})),
                Cell("models", _("Models"), lambda: _model_picker(many=True)),
            ],
            lambda line: [*line.split(maxsplit=2)],
            "{} {} {}".format,
        ),
    )
    multipliers = forms.CharField(
        label=_("Price multipliers"),
        help_text=_("The first row that fits a model applies."),
        max_length=12_000,
        required=False,
        widget=RowsText(
            [
                Cell("model", _("Model or pattern"), lambda: _model_picker(many=False)),
                Cell("factor", _("Multiplier"), lambda: forms.TextInput({"inputmode": "decimal"})),
            ],
            str.split,
            "{} {}".format,
        ),
    )
    overage = forms.ChoiceField(
        label=_("Beyond the included usage"), choices=Overage.choices, initial=Overage.BALANCE
    )
    description = forms.CharField(
        label=_("Description"), max_length=DESCRIPTION_MAX, required=False
    )

    def clean_units(self) -> tuple[UnitTerm, ...]:
        terms = []
        for line in self.cleaned_data["units"].splitlines():
            meter, _space, rest = line.strip().partition(" ")
            count, _space, models = rest.strip().partition(" ")
            if not meter:
                continue
            units = parse_typed_count(count, 18)
            if units is None:
                text = gettext("Enter a meter and a number of units: %(line)s")
                raise forms.ValidationError(text % {"line": line[:80]})
            names = [name.strip() for name in models.split(",") if name.strip()]
            try:
                terms.append(unit_term(meter, names, units))
            except Refused as refused:
                raise forms.ValidationError(refused.message) from refused
        return tuple(terms)

    def clean_multipliers(self) -> tuple[Multiplier, ...]:
        multipliers = []
        for line in self.cleaned_data["multipliers"].splitlines():
            words = line.split()
            if not words:
                continue
            if len(words) != 2:
                text = gettext("Enter a model or pattern and a multiplier: %(line)s")
                raise forms.ValidationError(text % {"line": line[:80]})
            try:
                multipliers.append(read_multiplier(*words))
            except Refused as refused:
                raise forms.ValidationError(refused.message) from refused
        return tuple(multipliers)


class ChooseForm(forms.Form):
    """The chosen plan, and the preview that the person agreed to."""

    plan = forms.ModelChoiceField(
        SubscriptionPlan.objects.none(),
        label=pgettext_lazy("subscription", "Plan"),
        error_messages={"invalid_choice": _("This plan is not offered.")},
    )
    seen = forms.CharField(required=False, max_length=1000, widget=forms.HiddenInput)


# An organisation's own (W40) ---------------------------------------------------------------------


@organisation_page("balance.read")
@require_http_methods(["GET", "HEAD", "POST"])
def subscription(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    form = ChooseForm(request.POST or None)
    form.fields["plan"].queryset = offered_plans(actor)  # type: ignore[attr-defined]
    preview, status = None, 200
    if request.method == "POST":
        access.require(actor, "wallet.write")
        status = 422
        if form.is_valid():
            preview = _preview_choice(organisation, form)
            if preview is not None and form.cleaned_data["seen"] and _choose_plan(actor, form):
                messages.success(
                    request, gettext("Your plan is now %(plan)s.") % {"plan": preview.plan.name}
                )
                return see_other("subscription", organisation.slug)
            status = 422 if form.errors else 200
    context = {"form": form, "preview": preview, **_subscription_context(actor, organisation)}
    return render(request, "billing/subscriptions/subscription.html", context, status=status)


@organisation_page("wallet.write")
@require_POST
def subscription_cancel(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _change_renewal(request, actor, subscriptions.cancel_subscription)


@organisation_page("wallet.write")
@require_POST
def subscription_resume(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _change_renewal(request, actor, subscriptions.resume_subscription)


def _change_renewal(request: HttpRequest, actor: Actor, act: Any) -> HttpResponse:
    organisation = access_wallet(actor, "wallet.write")
    try:
        act(actor, organisation)
    except Refused as refused:
        messages.error(request, refused.message)
    return see_other("subscription", organisation.slug)


def _preview_choice(organisation: Organisation, form: ChooseForm) -> subscriptions.Preview | None:
    try:
        return subscriptions.preview_plan(organisation, form.cleaned_data["plan"])
    except Refused as refused:
        refused.add_to(form)
        return None


def _choose_plan(actor: Actor, form: ChooseForm) -> bool:
    organisation = access_wallet(actor, "wallet.write")
    cleaned = form.cleaned_data
    try:
        subscriptions.choose_plan(actor, organisation, cleaned["plan"], seen=cleaned["seen"])
    except Refused as refused:
        form.add_error(None, refused.message)
        return False
    return True


def _subscription_context(actor: Actor, organisation: Organisation) -> dict[str, Any]:
    current = subscriptions.subscription_of(organisation)
    return {
        "current": current,
        "included": subscriptions.included_in(current) if current else None,
        "units": subscriptions.units_of(current) if current else [],
        "renews_on": month_after(current.month) if current else None,
        "plans": list(offered_plans(actor)),
        "charges": current.charges.select_related("plan").order_by("-id")[:24] if current else [],
        "may_change": access.scope_of(actor, "wallet.write") is not None,
        "may_top_up": access.scope_of(actor, "topups.write") is not None,
    }


# Pages for operators ----------------------------------------------------------------------------


@operator_page("credits.read")
@require_safe
def subscription_plan_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PLANS, request, actor)
    rows = visible_subscription_plans(actor).filter(name__icontains=state.value("q"))
    if state.value("state"):
        rows = rows.filter(state=state.value("state"))
    templates = (
        "billing/subscriptions/subscription_plans.html",
        "billing/subscriptions/_subscription_plans.html",
    )
    context = {"may_write": access.scope_of(actor, "credits.write") is not None}
    return answer_table(request, state, QuerySource(rows), templates, context)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def subscription_plan_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = PlanForm(request.POST or None)
    if form.is_valid() and _save_plan(actor, form):
        messages.success(request, gettext("Plan created. Offer it when it is ready."))
        return redirect_to(request, "subscription_plans")
    template = "billing/subscriptions/subscription_plan_new.html"
    return render_dialog(request, template, {"form": form}, refused=form.is_bound)


@operator_page("credits.write")
@require_POST
def subscription_plan_offer(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    try:
        subscription_plans.offer_plan(actor, access_subscription_plan(actor, id))
        messages.success(request, gettext("Organisations can now subscribe to the plan."))
    except Refused as refused:
        messages.error(request, refused.message)
    return see_other(back_to(request, reverse("subscription_plans")))


@operator_page("credits.write")
@require_POST
def subscription_plan_archive(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    subscription_plans.archive_plan(actor, access_subscription_plan(actor, id))
    messages.success(request, gettext("Plan archived. Present subscriptions go on."))
    return see_other(back_to(request, reverse("subscription_plans")))


def _save_plan(actor: Actor, form: PlanForm) -> bool:
    cleaned = form.cleaned_data
    try:
        subscription_plans.write_plan(
            actor,
            cleaned["name"],
            Terms(cleaned["price"], cleaned["included"], cleaned["units"]),
            multipliers=cleaned["multipliers"],
            description=cleaned["description"],
            overage=cleaned["overage"],
        )
    except Refused as refused:
        refused.add_to(form)
        return False
    return True
