"""The page of the first run (W01): operator, organisation, channel, key, first request. A step is
done when its result exists, so that people can resume."""

from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, person_of
from accounts.access.guards import operator_page
from accounts.models import KeyKind
from accounts.organisations.names import NAME_MAX
from accounts.roles.rules import HAS_KEYS
from accounts.sign_up.first_run import create_first_organisation
from gateway.models import Channel
from lib.htmx import see_other
from lib.refusal import Refused
from usage.organisations.first_call import has_called

SKIPPED: Final = "set_up_channel_skipped"
OPERATOR, ORGANISATION, CHANNEL, KEY, REQUEST, LIVE = range(1, 7)


def step_of(request: HttpRequest, actor: Actor) -> int:
    """Return the next step, or LIVE when all are done."""
    if actor.organisation is None:
        return ORGANISATION
    if actor.authority.scope_of(HAS_KEYS) is None or has_called(actor):
        return LIVE
    if not Channel.objects.exists() and not request.session.get(SKIPPED):
        return CHANNEL
    own = access.living_keys(actor).filter(user=actor.user, kind=KeyKind.RELAY)
    return REQUEST if own.exists() else KEY


def set_up_context(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """Build the context of an operator's start page: the current step of the first run."""
    if not actor.operator:
        return {}
    step = step_of(request, actor)
    return {"set_up_step": step if step < LIVE else 0}


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
