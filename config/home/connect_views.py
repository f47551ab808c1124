"""The page that connects a coding agent: choose the agent and a model, create a key, copy the
lines, and see the first request arrive."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import access
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys
from accounts.models import KeyKind
from content.rules.log_rules import rule_of_model
from content.rules.words import rule_text
from gateway.code_examples.agents import AGENTS, SYSTEM_NAMES, Agent, Connection, Paste, System
from gateway.code_examples.example_models import MODEL
from gateway.code_examples.examples import example_models, is_text_model
from gateway.code_examples.highlighting import highlight_code
from gateway.listed_models.shown_models import ListedModel, models_for
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from usage.organisations.first_call import last_used_model, latest_call
from usage.requests.words import app_name

_AGENT: Final = "claude-code"
_PLACEHOLDER: Final = "sk-…"


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def connect(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the lines to paste into an agent. A POST creates a key; only that response has the key's
    text."""
    chosen = request.POST if request.method == "POST" else request.GET
    slug = chosen.get("agent", "")
    slug = slug if slug in AGENTS else _AGENT
    secret, refused = "", ""
    if request.method == "POST":
        try:
            _, secret = keys.mint_numbered_key(
                actor,
                access.access_team(actor),
                AGENTS[slug].name,
                kind=KeyKind.RELAY,
                user=person_of(actor),
            )
        except Refused as error:
            refused = error.message
    models = [model for model in models_for(actor) if is_text_model(model)]
    by_name = {model.name: model for model in models}
    asked = chosen.get("model", "")
    model = asked if asked in by_name else _default_model(actor, models)
    system = _system(request, chosen.get("system", ""))
    at = Connection(
        settings.PUBLIC_URL,
        secret or _PLACEHOLDER,
        model,
        system,
        **_abilities(by_name.get(model)),
    )
    context = {
        "agents": [(one, agent.name) for one, agent in AGENTS.items()],
        "agent": slug,
        "agent_name": AGENTS[slug].name,
        "models": sorted(by_name),
        "model": model,
        "lacks_tools": AGENTS[slug].tools and model in by_name and not by_name[model].can.tools,
        "systems": SYSTEM_NAMES,
        "system": system,
        "secret": secret,
        "refused": refused,
        "kept": _kept(actor, model),
        "since": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
        **_paste_lines(AGENTS[slug], at),
    }
    status = 422 if refused else 200
    return render(request, "config/home/connect.html", context, status=status)


@organisation_page("keys.write_own")
@require_safe
def connect_request(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the person's first request since the page was opened. The page polls this view."""
    since = request.GET.get("since", "")
    return render(request, "config/home/_connect_request.html", _arrived(actor, since))


def _kept(actor: Actor, model: str) -> str:
    """Return what the content log keeps of the requests of a new key to a model; "" for nothing."""
    team = access.visible_teams(actor).filter(archived_at=None).first()
    rule = rule_of_model(organisation_of(actor), team, model)
    return rule_text(rule) if rule is not None and rule.keep != "nothing" else ""


def _paste_lines(agent: Agent, at: Connection) -> dict[str, Any]:
    pastes = agent.pastes(at) if agent.pastes else []
    return {
        "pastes": _highlight(pastes),
        "sign_in": _highlight(agent.sign_in(at) if agent.sign_in else []),
        "values": agent.values(at) if agent.values else [],
        "window": agent.window,
        "public": agent.public,
    }


def _highlight(pastes: Iterable[Paste]) -> list[tuple[Paste, str]]:
    return [(paste, highlight_code(paste.text, paste.language)) for paste in pastes]


def _default_model(actor: Actor, models: list[ListedModel]) -> str:
    """Return the model that the person used last, else the cheapest one; one without tools, which
    agents need, only if there is no other."""
    models = [model for model in models if model.can.tools] or models
    last = last_used_model(actor)
    return last if last in {model.name for model in models} else example_models(models)[MODEL]


def _abilities(model: ListedModel | None) -> dict[str, Any]:
    """Return the model's abilities that agents need to know."""
    if model is None:
        return {}
    limits = model.can.context_max, model.can.output_max
    return {
        "images": model.senses_known and "image" in model.can.inputs,
        "limits": limits if all(limits) else None,
    }


def _system(request: HttpRequest, asked: str) -> System:
    known = next((system for system in SYSTEM_NAMES if system == asked), None)
    if known is not None:
        return known
    return "windows" if "Windows" in request.headers.get("user-agent", "") else "unix"


def _arrived(actor: Actor, since: str) -> dict[str, Any]:
    try:
        begun_at = dt.datetime.fromisoformat(since)
    except ValueError:
        begun_at = None
    row = latest_call(actor, begun_at if begun_at and begun_at.tzinfo else None)
    return {
        "row": row,
        "row_id": id_text(row.request_id) if row else "",
        "app": app_name(row.app) if row else "",
        "since": since,
    }
