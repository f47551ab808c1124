"""Home (W03): the month's usage and the matters that need attention, in separately loaded panels.
The start page: a person's first request, from the key to its answer. The page of the first run
(W01): operator, organisation, channel, key, first request; a step is done when its result
exists, so that people can resume.

Each panel has its own request, so that a slow or failing panel delays no other. Without scripts,
`?panels=all` renders them all in the page.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, person_of, slug_of
from accounts.guards.guards import operator_page, organisation_page
from accounts.keys import keys
from accounts.models import Key, KeyKind
from accounts.names.names import NAME_MAX
from accounts.roles.rules import HAS_KEYS
from accounts.sign_up.first_run import create_first_organisation
from config.home.overview import OVERVIEW
from config.home.panels import PANELS, Panel, panels_for
from gateway.access import every_channel
from gateway.code_examples.example_models import MODEL
from gateway.code_examples.examples import codes_with_key, example_models, first_call, is_text_model
from gateway.listed_models.shown_models import models_for
from lib import clock
from lib.htmx import render_part, see_other
from lib.ids import id_text
from lib.refusal import Refused
from usage.organisations.first_call import has_called, last_used_model, latest_call, sees_traffic

log = logging.getLogger(__name__)


@organisation_page("models.read")
@require_safe
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    if wants_start(request, actor):
        return start_page(request, actor)
    context = {"panels": _slots(request, actor, PANELS), "today": clock.now()}
    return render(request, "config/home/home.html", context)


@organisation_page("models.read")
@require_safe
def home_panel(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    return _panel(request, actor, PANELS, name)


@operator_page("channels.read")
@require_safe
def installation(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show an operator how the installation does."""
    may_write = access.scope_of(actor, "channels.write") is not None
    context = {"panels": _slots(request, actor, OVERVIEW), "may_write": may_write}
    return render(request, "config/home/installation.html", context)


@operator_page("channels.read")
@require_safe
def installation_panel(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    return _panel(request, actor, OVERVIEW, name)


def _slots(request: HttpRequest, actor: Actor, panels: Mapping[str, Panel]) -> dict[str, Any]:
    """Return the places of the panels on their page, filled if the address asks for it."""
    inline = "panels" in request.GET
    return {
        panel.name: {
            "panel": panel,
            "url": _panel_url(actor, panels, panel),
            "html": _render(request, actor, panels, panel) if inline else "",
        }
        for panel in panels_for(actor, panels)
    }


def _panel_url(actor: Actor, panels: Mapping[str, Panel], panel: Panel) -> str:
    if panels is OVERVIEW:
        return reverse("installation_panel", args=[panel.name])
    return reverse("home_panel", args=[slug_of(actor), panel.name])


def _panel(
    request: HttpRequest, actor: Actor, panels: Mapping[str, Panel], name: str
) -> HttpResponse:
    panel = panels.get(name)
    if panel is None or panel not in panels_for(actor, panels):
        raise Http404
    return HttpResponse(_render(request, actor, panels, panel))


def _render(request: HttpRequest, actor: Actor, panels: Mapping[str, Panel], panel: Panel) -> str:
    """Return the rendered panel. If it fails, return a message with a retry link."""
    url = _panel_url(actor, panels, panel)
    context: dict[str, Any] = {"panel": panel, "actor": actor, "panel_url": url}
    try:
        filled = {**context, **panel.read(request, actor)}
        return render_to_string(f"config/home/_{panel.name}.html", filled, request)
    except Exception:
        log.exception("the panel %s failed", url)
        return render_to_string("config/home/_failed.html", context, request)


_SKIP_COOKIE = "start_skipped"
_YEAR_S = 365 * 24 * 3600
_KEYS_SHOWN = 3


def wants_start(request: HttpRequest, actor: Actor) -> bool:
    """Return whether Home is the start page: until there is traffic, or it was skipped."""
    if actor.authority.scope_of(HAS_KEYS) is None or _SKIP_COOKIE in request.COOKIES:
        return False
    return not sees_traffic(actor)


@organisation_page("models.read")
@require_safe
def start(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the start page, even to those who have finished it."""
    return start_page(request, actor)


def start_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    return render(
        request, "config/home/start.html", {**_context(actor), **set_up_context(request, actor)}
    )


@organisation_page("keys.write_own")
@require_POST
def start_key(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Create a key. Only this response has the key's text."""
    name = request.POST.get("name", "").strip()[:120]
    secret, refused = "", ""
    # A name that the person typed is theirs to change; ours is numbered.
    mint = keys.mint_key if name else keys.mint_numbered_key
    try:
        _, secret = mint(
            actor,
            access.access_team(actor),
            name or gettext("First key"),
            kind=KeyKind.RELAY,
            user=person_of(actor),
        )
    except Refused as error:
        refused = error.message
    context = {**_context(actor, secret), "key_name": name, "refused": refused}
    status = 422 if refused else 200
    return render_part(
        request, "config/home/start.html", "config/home/_start_steps.html", context, status=status
    )


@organisation_page("models.read")
@require_POST
def start_skip(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Skip the start page. From now on this browser shows the organisation's dashboard."""
    slug = slug_of(actor)
    response = see_other("home", slug)
    response.set_cookie(
        _SKIP_COOKIE,
        "1",
        max_age=_YEAR_S,
        path=reverse("home", args=[slug]),
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return response


@organisation_page("models.read")
@require_safe
def first_request(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show whether the person's first request has arrived. The page polls until it has."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("start", slug_of(actor))
    return render(request, "config/home/_first_request.html", _first_context(actor))


def _context(actor: Actor, secret: str = "") -> dict[str, Any]:
    model = _model(actor)
    return {
        "may_create": access.scope_of(actor, "keys.write_own") is not None,
        "own_keys": _own_keys(actor),
        "secret": secret,
        "model": model,
        "base_url": f"{settings.PUBLIC_URL}/v1",
        "codes": codes_with_key(first_call(model), secret),
        **_first_context(actor),
    }


def _own_keys(actor: Actor) -> list[Key]:
    """Return a few of the person's own keys; [] if they may not have or see keys."""
    if any(access.scope_of(actor, action) is None for action in (HAS_KEYS, "keys.read")):
        return []
    return list(access.living_keys(actor).filter(user=actor.user, kind=KeyKind.RELAY)[:_KEYS_SHOWN])


def _model(actor: Actor) -> str:
    """Return the chat model that the person used last, else the cheapest one."""
    models = models_for(actor)
    last = last_used_model(actor)
    chats = {model.name for model in models if is_text_model(model)}
    return last if last in chats else example_models(models)[MODEL]


def _first_context(actor: Actor) -> dict[str, Any]:
    row = latest_call(actor)
    called = has_called(actor)
    return {"first": row, "first_id": id_text(row.request_id) if row else "", "called": called}


SKIPPED: Final = "set_up_channel_skipped"
OPERATOR, ORGANISATION, CHANNEL, KEY, REQUEST, LIVE = range(1, 7)


def step_of(request: HttpRequest, actor: Actor) -> int:
    """Return the next step, or LIVE when all are done."""
    if actor.organisation is None:
        return ORGANISATION
    if actor.authority.scope_of(HAS_KEYS) is None or has_called(actor):
        return LIVE
    if not every_channel(actor).exists() and not request.session.get(SKIPPED):
        return CHANNEL
    own = access.living_keys(actor).filter(user=actor.user, kind=KeyKind.RELAY)
    return REQUEST if own.exists() else KEY


def set_up_context(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """Build the context of an operator's start page: the current step of the first run."""
    if not actor.operator:
        return {}
    step = step_of(request, actor)
    return {"set_up_step": step if step < LIVE else 0, "set_up_left": _steps_left(step)}


def _steps_left(step: int) -> str:
    """Return how many steps of the first run are left, and the next one; "" when all are done."""
    if step >= LIVE:
        return ""
    count = LIVE - step
    text = ngettext("%(n)s step left: %(next)s", "%(n)s steps left: %(next)s", count)
    return text % {"n": count, "next": _NEXT_STEPS[step]}


_NEXT_STEPS: Final = {
    ORGANISATION: gettext_lazy("name your organisation"),
    CHANNEL: gettext_lazy("add a provider"),
    KEY: gettext_lazy("create an API key"),
    REQUEST: gettext_lazy("send a request"),
}


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
        "channels": list(every_channel(actor).order_by("name")[:3]),
        "slug": actor.organisation.slug if actor.organisation else "",
    }
    status = 422 if form.is_bound else 200
    return render(request, "config/home/set_up_steps.html", context, status=status)
