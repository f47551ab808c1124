"""The setting of trial credit, for operators (W76), and the page where a new person creates an
organisation (W02), which gets it."""

from typing import cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, signed_in_view
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.models import User
from accounts.names.names import NAME_MAX
from accounts.sign_up import sign_up
from billing.currency.forms import MoneyField
from billing.currency.money import format_usd
from billing.models import TrialOnce
from billing.trials import trials
from billing.trials.rules import DAYS_MAX
from lib.htmx import see_other
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused


class TrialCreditForm(forms.Form):
    """What an organisation gets when a new person creates it."""

    amount = MoneyField(label=gettext_lazy("Amount (USD)"), help_text=gettext_lazy("0 gives none."))
    once = forms.ChoiceField(
        label=gettext_lazy("Once for each"),
        choices=[
            (TrialOnce.DOMAIN.value, gettext_lazy("Email domain")),
            (TrialOnce.PERSON.value, gettext_lazy("Person")),
        ],
        help_text=gettext_lazy("At public email providers, it is once for each person."),
    )
    days = WholeNumberField(
        label=gettext_lazy("Expires after (days)"),
        required=False,
        min_value=1,
        max_value=DAYS_MAX,
        help_text=gettext_lazy("Leave it empty for credit that never expires."),
    )


class OwnOrganisationForm(forms.Form):
    """The name of a new person's organisation."""

    name = forms.CharField(
        label=gettext_lazy("Organisation name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    gettext_lazy("change trial credit"), gettext_lazy("People"), gettext_lazy("Trial credit")
)
def trial_credit(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = TrialCreditForm(request.POST or None, initial=trials.describe_setting())
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            trials.save_trial_setting(
                actor,
                amount=format_usd(data["amount"]),
                once=data["once"],
                days=data["days"],
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            waits = trials.waiting_amount()
            asked = waits is not None and waits.changes[0]["after"] == format_usd(data["amount"])
            saved = gettext("Settings saved.")
            messages.success(
                request, gettext("Another operator has to approve it.") if asked else saved
            )
            return see_other("trial_credit")
    waits = trials.waiting_amount()
    proposed = trials.show_amount(waits.changes[0]).after if waits else ""
    context = {"form": form, "approval": waits, "proposed": proposed}
    status = 422 if form.errors else 200
    return render(request, "billing/trials/trial_credit.html", context, status=status)


def no_organisation(request: HttpRequest, user: User) -> HttpResponse:
    """Return the page for a person without an organisation: how to join one, or a form to create
    one."""
    form = OwnOrganisationForm() if sign_up.may_found(user) else None
    return _name_page(request, user, form)


@signed_in_view
@require_POST
def own_organisation(request: HttpRequest) -> HttpResponseBase:
    user = cast(User, request.user)
    form = OwnOrganisationForm(request.POST)
    if form.is_valid():
        try:
            organisation = trials.create_organisation(user, form.cleaned_data["name"])
        except Refused as refused:
            refused.add_to(form)
        else:
            return see_other("home", organisation.slug)
    if actors.last_membership(request, user) is not None:
        return redirect("root")
    return _name_page(request, user, form, status=422)


def _name_page(
    request: HttpRequest, user: User, form: OwnOrganisationForm | None, *, status: int = 200
) -> HttpResponse:
    context = {"form": form, "trial": trials.offer_to(user) if form else None}
    return render(request, "billing/trials/no_organisation.html", context, status=status)
