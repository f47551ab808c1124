"""The start page: a person's first own request, from the key to its answer."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts import access, keys
from accounts.actors import Actor, person_of, slug_of
from accounts.guards import organisation_page
from accounts.models import Key, KeyKind
from accounts.rules.roles import HAS_KEYS
from config.set_up_steps import set_up_context
from gateway.examples import MODEL, codes_with_key, example_models, first_call
from gateway.shown_models import models_for
from lib.htmx import render_part, see_other
from lib.ids import id_text
from lib.refusal import Refused
from usage.first_call import has_called, last_used_model, latest_call

_SKIPPED = "start_skipped"
_KEYS_SHOWN = 3


def wants_start(request: HttpRequest, actor: Actor) -> bool:
    """Whether home is still the start page: for who may call models and has not, unless skipped."""
    if actor.authority.scope_of(HAS_KEYS) is None:
        return False
    return slug_of(actor) not in request.session.get(_SKIPPED, ()) and not has_called(actor)


@organisation_page("models.read")
@require_safe
def start(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The start page, also for who is past it."""
    return start_page(request, actor)


def start_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    return render(request, "start.html", {**_context(actor), **set_up_context(request, actor)})


@organisation_page("keys.write_own")
@require_POST
def start_key(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a key; the answer is the only one that holds its text."""
    name = request.POST.get("name", "").strip()[:120]
    secret, refused = "", ""
    try:
        _, secret = keys.mint_key(
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
    return render_part(request, "start.html", "_start_steps.html", context, status=status)


@organisation_page("models.read")
@require_POST
def start_skip(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the dashboard from now on, for as long as the session lasts."""
    slug = slug_of(actor)
    request.session[_SKIPPED] = sorted({*request.session.get(_SKIPPED, ()), slug})
    return see_other("home", slug)


@organisation_page("models.read")
@require_safe
def first_request(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Whether the person's first request has come; the page asks until it has."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("start", slug_of(actor))
    return render(request, "_first_request.html", _first_context(actor))


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
    """A few of the person's own keys, where they may have and see some."""
    if any(access.scope_of(actor, action) is None for action in (HAS_KEYS, "keys.read")):
        return []
    return list(access.living_keys(actor).filter(user=actor.user, kind=KeyKind.RELAY)[:_KEYS_SHOWN])


def _model(actor: Actor) -> str:
    """The model that the person used last, else the cheapest that answers with text."""
    models = models_for(actor)
    last = last_used_model(actor)
    return last if last in {model.name for model in models} else example_models(models)[MODEL]


def _first_context(actor: Actor) -> dict[str, Any]:
    row = latest_call(actor)
    called = has_called(actor)
    return {"first": row, "first_id": id_text(row.request_id) if row else "", "called": called}
