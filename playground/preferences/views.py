"""A person's settings for the playground, and those that apply to everybody."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, organisation_of, person_of, slug_of
from accounts.access.guards import organisation_page
from dialects.errors.errors import RequestFault
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, see_other, toast
from lib.refusal import Refused
from playground.chats.desk import keys_context
from playground.chats.title_rules import CHEAPEST
from playground.chats.titles import default_title_model, most_nano, naming_totals
from playground.models import Leaving
from playground.models_offered.offered_models import chat_models
from playground.panel.words import PAYER_RULES, SHORTCUTS
from playground.payers.payer_rules import change_rules, roles_of, rules_of
from playground.payers.paying import choose_default_payer, payers_context, read_payer
from playground.preferences.preferences import (
    choose_default_model,
    choose_keys,
    choose_leaving,
    choose_organisation_model,
    choose_title_model,
    leaving_seconds_max,
    organisation_model,
    preference_of,
    set_leaving_rule,
)
from playground.preferences.shortcuts import DEFAULTS, LETTERS, ShortcutConflict, read_letters
from playground.preferences.unwatched import MINUTES
from playground.runs.relaying import relay_of
from relay.front.errors import DatabaseAway


@organisation_page("playground.use")
@require_safe
async def preferences(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    context = await run_in_database(_context, actor)
    context |= await _title_cost(request, actor, context["preference"].title_model)
    return await run_in_database(
        render, request, "playground/preferences/preferences.html", context
    )


@organisation_page("playground.use")
@require_POST
async def title_cost(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the maximum cost of a name by the chosen model."""
    context = await _title_cost(request, actor, request.POST.get("title_model", ""))
    return await run_in_database(
        render, request, "playground/preferences/_title_cost.html", context
    )


@organisation_page("playground.use")
@require_POST
def title_model_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    cheapest = request.POST.get("title_model") == CHEAPEST
    choose_title_model(actor, CHEAPEST if cheapest else _model(request, actor, "title_model"))
    return _save_preferences(request, actor)


@organisation_page("playground.use")
@require_POST
def payer_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make the composer's current payer the default for new chats."""
    form = request.POST
    back = HttpResponse(status=204) if is_htmx(request) else see_other("playground", slug_of(actor))
    try:
        payer = read_payer(actor, form.get("key", ""), form.get("project", ""))
    except Refused as refused:
        return toast(back, refused.message, tone="bad")
    choose_default_payer(actor, payer)
    return toast(back, gettext("New chats will be paid for this way."))


@organisation_page("playground.use")
@require_POST
def default_payer_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Do the same as `payer_choose`, on the settings page."""
    form = request.POST
    try:
        payer = read_payer(actor, form.get("key", ""), form.get("project", ""))
    except Refused as refused:
        messages.error(request, refused.message)
        return see_other("playground_preferences", slug_of(actor))
    choose_default_payer(actor, payer)
    return _save_preferences(request, actor)


@organisation_page("playground.write")
@require_POST
def payer_rules_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    roles = roles_of(organisation_of(actor))
    rules = {role: request.POST[role] for role in roles if role in request.POST}
    try:
        change_rules(actor, rules)
    except Refused as refused:
        raise Http404 from refused  # not one of the form's choices
    return _save_preferences(request, actor)


@organisation_page("playground.use")
@require_POST
def models_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    choose_default_model(actor, _model(request, actor, "default_model"))
    return _save_preferences(request, actor)


@organisation_page("playground.write")
@require_POST
def organisation_model_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    choose_organisation_model(actor, _model(request, actor, "default_model"))
    return _save_preferences(request, actor)


def _model(request: HttpRequest, actor: Actor, field: str) -> str:
    """Return the offered model that a field names, or "" for none."""
    model = request.POST.get(field, "")
    if model and model not in {offered.name for offered in chat_models(actor)}:
        raise Http404
    return model


@organisation_page("playground.use")
@require_POST
def keys_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    typed = {act: request.POST.get(act, "") for act in DEFAULTS}
    try:
        letters = read_letters(typed)
    except ShortcutConflict as conflict:
        message = gettext("%(act)s and %(other)s cannot use the same letter.")
        names = {"act": SHORTCUTS[conflict.act], "other": SHORTCUTS[conflict.other]}
        messages.error(request, message % names)
        return see_other("playground_preferences", slug_of(actor))
    choose_keys(
        actor,
        letters,
        letter_keys="letter_keys" in request.POST,
        enter_sends=request.POST.get("sends") != "ctrl",
    )
    return _save_preferences(request, actor)


async def _title_cost(request: HttpRequest, actor: Actor, chosen: str) -> dict[str, Any]:
    if not chosen:
        return {}
    model = await run_in_database(default_title_model, actor, chosen)
    if not model:
        return {"title_refused": gettext("No model is cheap enough, so the first words are used.")}
    try:
        return {"title_nano": await most_nano(actor, relay_of(request), model)}
    except RequestFault as fault:
        return {"title_refused": fault.message}
    except DatabaseAway:
        return {"title_refused": gettext("The cost cannot be shown right now.")}


def _context(actor: Actor) -> dict[str, Any]:
    organisation = organisation_of(actor)
    seconds_max, rules = leaving_seconds_max(organisation), rules_of(organisation)
    return {
        "slug": organisation.slug,
        "preference": preference_of(person_of(actor)),
        "rule_minutes": None if seconds_max is None else seconds_max // 60,
        "minutes": MINUTES,
        "may_rule": scope_of(actor, "playground.write") is not None,
        "models": chat_models(actor),
        "organisation_model": organisation_model(organisation),
        "named": naming_totals(actor),
        "letters": LETTERS,
        "rules": [(role, name, rules[role]) for role, name in roles_of(organisation).items()],
        "rule_names": PAYER_RULES.items(),
        **payers_context(actor, {}, None),
        **keys_context(actor),
    }


@organisation_page("playground.use")
@require_POST
def leaving_choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    word = request.POST.get("leaving", "")
    if word not in Leaving.values:
        raise Http404
    choose_leaving(actor, Leaving(word))
    return _save_preferences(request, actor)


@organisation_page("playground.write")
@require_POST
def leaving_rule(request: HttpRequest, actor: Actor) -> HttpResponse:
    word = request.POST.get("minutes", "")
    if word and word not in map(str, MINUTES):
        raise Http404
    set_leaving_rule(actor, int(word) * 60 if word else None)
    return _save_preferences(request, actor)


def _save_preferences(request: HttpRequest, actor: Actor) -> HttpResponse:
    messages.success(request, gettext("Saved."))
    return see_other("playground_preferences", slug_of(actor))
