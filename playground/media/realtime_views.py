"""The realtime page: a person speaks with a model, or writes to it, over a WebSocket."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from dialects.errors.errors import RequestFault
from gateway.code_examples.examples import codes_with_key
from gateway.code_examples.snippets import SnippetRequest
from lib.database.async_database import run_in_database
from lib.ids import parse_id
from lib.refusal import Refused
from playground.media.orders import read_media_payer
from playground.media.realtime import charges_of, issue_ticket
from playground.media.realtime_rules import (
    INSTRUCTIONS_MAX,
    OUTPUTS,
    RATE,
    TURNS,
    VOICES,
    kept_settings,
    update_payload,
)
from playground.media.realtime_socket import TICKET_PROTOCOL
from playground.media.tabs import tabs_context
from playground.models_offered.offered_models import (
    connection_models,
    media_models,
    realtime_models,
)
from playground.payers.paying import Payer, payers_context
from playground.relaying.relaying import relay_of
from playground.turns.form import form_values
from relay.errors import DatabaseAway
from relay.realtime.connection_life import CONNECTION_IDLE_S, CONNECTION_S

_PATH: Final = "/v1/realtime"
_REQUESTS_MAX: Final = 500
# Only this page may use the microphone, and nothing else.
_PERMISSIONS: Final = "microphone=(self), camera=(), display-capture=(), geolocation=()"


@organisation_page("playground.read")
@require_safe
def realtime_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = form_values(request.GET)
    models, by_code = connection_models(actor)
    may_send = scope_of(actor, "playground.use") is not None
    context: dict[str, Any] = {
        "slug": slug_of(actor),
        **tabs_context(actor, "realtime"),
        "models": models,
        "by_code": by_code,
        "model": form["model"] if form.get("model") in models else "",
        "settings": kept_settings(form),
        "voices": VOICES,
        "outputs": OUTPUTS,
        "turns": TURNS,
        "instructions_max": INSTRUCTIONS_MAX,
        "writers": [model.name for model in media_models(actor, "transcription")],
        "rate": RATE,
        "minutes": int(CONNECTION_S // 60),
        "idle_minutes": int(CONNECTION_IDLE_S // 60),
        "may_send": may_send,
        **(payers_context(actor, form, None) if may_send else {}),
    }
    response = render(request, "playground/media/realtime.html", context)
    response["Permissions-Policy"] = _PERMISSIONS
    return response


@organisation_page("playground.use")
@require_POST
def realtime_ticket(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Issue the ticket with which the page's script opens a connection."""
    form = form_values(request.POST)
    try:
        model, payer = _read_request(actor, form)
        ticket = issue_ticket(actor, payer, model)
    except Refused as refused:
        return JsonResponse({"message": refused.message}, status=422)
    return JsonResponse(
        {
            "protocols": ["realtime", f"{TICKET_PROTOCOL}{ticket}"],
            "path": f"{_PATH}?model={quote(model, safe='')}",
            "session": update_payload(kept_settings(form)),
        }
    )


@organisation_page("playground.use")
@require_POST
async def realtime_bound(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the hold for a response."""
    context: dict[str, Any] = {}
    try:
        model, payer = await run_in_database(_read_request, actor, form_values(request.POST))
        relay = relay_of(request)
        principal = await payer.principal(actor, relay)
        context["bound"] = await relay.connection_bound(principal, model)
    except Refused as refused:
        context["blocked"] = refused.message
    except RequestFault as fault:
        context["blocked"] = fault.message
    except DatabaseAway:
        context["away"] = True
    return await run_in_database(render, request, "playground/media/_realtime_cost.html", context)


@organisation_page("playground.use")
@require_POST
def realtime_code(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the connection as code."""
    form = form_values(request.POST)
    model = form.get("model", "")
    call = SnippetRequest(
        "realtime",
        f"{_PATH}?model={quote(model, safe='')}",
        update_payload(kept_settings(form)),
        "GET",
        model,
    )
    context = {"codes": codes_with_key(call, ""), "id": "realtime", "slug": slug_of(actor)}
    return render(request, "playground/media/_media_code.html", context)


@organisation_page("playground.use")
@require_POST
def realtime_charges(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the charges of the responses of an ended connection."""
    asked = [parse_id(id) for id in request.POST.getlist("request")[:_REQUESTS_MAX]]
    charged = charges_of(actor, [id for id in asked if id is not None])
    context = {
        "slug": slug_of(actor),
        "charged": charged,
        "total_nano": sum(row["charge_nano"] for row in charged),
        "pending": len(asked) - len(charged),
    }
    return render(request, "playground/media/_realtime_charges.html", context)


def _read_request(actor: Actor, form: Mapping[str, str]) -> tuple[str, Payer]:
    """Return the model and the payer of a form. Raises Refused."""
    model = form.get("model", "")
    if model not in realtime_models(actor):
        raise Refused("model", gettext("Choose a model."))
    return model, read_media_payer(actor, form)
