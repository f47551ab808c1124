"""The page of the first run, from the operator's account to the first answer (W01)."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, person_of
from accounts.access.guards import operator_page
from accounts.organisations.names import NAME_MAX
from accounts.sign_up.first_run import create_first_organisation
from config.home.set_up_steps import LIVE, SKIPPED, step_of
from gateway.models import Channel
from lib.htmx import see_other
from lib.refusal import Refused


class OrganisationForm(forms.Form):
    """The organisation of the first operator."""

    name = forms.CharField(
        label=gettext_lazy("Organisation name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )


@operator_page("channels.write")
@require_safe
def set_up_steps(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    return _page(request, actor, OrganisationForm())


@operator_page("channels.write")
@require_POST
def set_up_organisation(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = OrganisationForm(request.POST)
    if form.is_valid():
        try:
            create_first_organisation(person_of(actor), form.cleaned_data["name"])
        except Refused as refused:
            refused.add_to(form)
        else:
            return see_other("set_up_steps")
    return _page(request, actor, form)


@operator_page("channels.write")
@require_POST
def set_up_skip(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Continue without a channel for the rest of the session."""
    request.session[SKIPPED] = True
    return see_other("set_up_steps")


def _page(request: HttpRequest, actor: Actor, form: OrganisationForm) -> HttpResponse:
    step = step_of(request, actor)
    context: dict[str, Any] = {
        "step": step,
        "live": step == LIVE,
        "form": form,
        "channels": list(Channel.objects.order_by("name")[:3]),
        "slug": actor.organisation.slug if actor.organisation else "",
    }
    status = 422 if form.is_bound else 200
    return render(request, "config/home/set_up_steps.html", context, status=status)
