"""The start page: a person's first request, from the key to its answer."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, person_of, slug_of
from accounts.access.guards import organisation_page
from accounts.keys import keys
from accounts.models import Key, KeyKind
from accounts.roles.rules import HAS_KEYS
from config.home.set_up_views import set_up_context
from gateway.code_examples.examples import (
    MODEL,
    codes_with_key,
    example_models,
    first_call,
    is_text_model,
)
from gateway.public_models.shown_models import models_for
from lib.htmx import render_part, see_other
from lib.ids import id_text
from lib.refusal import Refused
from usage.organisations.first_call import has_called, last_used_model, latest_call, sees_traffic

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
