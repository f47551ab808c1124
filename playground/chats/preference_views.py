"""A person's settings for the playground, and those that apply to everybody."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, organisation_of, person_of, slug_of
from accounts.guards.guards import organisation_page
from dialects.errors.errors import RequestFault
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, see_other, toast
from lib.refusal import Refused
from playground.chats.desk import keys_context
from playground.conversations.title_rules import CHEAPEST
from playground.conversations.titles import default_title_model, most_nano, naming_totals
from playground.models import Leaving, PayerRule
from playground.models_offered.offered_models import chat_models
from playground.panel.words import PAYER_RULES, SHORTCUTS
from playground.payers.payer_rules import change_rules, roles_of, rules_of
from playground.payers.paying import (
    check_project,
    choose_default_payer,
    chosen_default,
    payers_context,
    read_payer,
)
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
from playground.relaying.relaying import relay_of
from relay.errors import DatabaseAway

# What saves a part of a form, by the field that shows that the form has it.
_Parts: TypeAlias = Mapping[str, Callable[[Actor, Mapping[str, str]], None]]


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
def preferences_save(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _save(request, actor, _OWN)


@organisation_page("playground.write")
@require_POST
def playground_rules_save(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _save(request, actor, _RULES)


@transaction.atomic
def _save(request: HttpRequest, actor: Actor, parts: _Parts) -> HttpResponse:
    """Save each part whose field the form has. A part that is refused keeps its former state, and
    the page says why; the others are saved. Raises Http404 for a form that the page cannot send,
    and saves nothing of it."""
    refusals, form = [], request.POST.dict()
    for field, save in parts.items():
        if field in form:
            try:
                save(actor, form)
            except Refused as refused:
                refusals.append(refused.message)
    for message in refusals:
        messages.error(request, message)
    if not refusals:
        messages.success(request, gettext("Saved."))
    elif len(refusals) < len(parts):
        messages.success(request, gettext("The other settings are saved."))
    return see_other("playground_preferences", slug_of(actor))


def _save_leaving(actor: Actor, form: Mapping[str, str]) -> None:
    choose_leaving(actor, Leaving(_choice(form["leaving"], Leaving.values)))


def _save_default_model(actor: Actor, form: Mapping[str, str]) -> None:
    present = preference_of(person_of(actor)).default_model
    choose_default_model(actor, _model(actor, form["default_model"], present))


def _save_default_payer(actor: Actor, form: Mapping[str, str]) -> None:
    key_id, project = form["key"], form.get("project", "")
    if key_id == form.get("shown_key"):
        # The page shows another key while the chosen one cannot pay, which stays chosen.
        payer = replace(chosen_default(actor), project=check_project(project))
    else:
        payer = read_payer(actor, key_id, project)
    choose_default_payer(actor, payer)


def _save_title_model(actor: Actor, form: Mapping[str, str]) -> None:
    chosen, present = form["title_model"], preference_of(person_of(actor)).title_model
    choose_title_model(actor, chosen if chosen == CHEAPEST else _model(actor, chosen, present))


def _save_shortcuts(actor: Actor, form: Mapping[str, str]) -> None:
    try:
        letters = read_letters({act: form.get(act, "") for act in DEFAULTS})
    except ShortcutConflict as conflict:
        names = {"act": SHORTCUTS[conflict.act], "other": SHORTCUTS[conflict.other]}
        message = gettext("%(act)s and %(other)s cannot use the same letter.")
        raise Refused(conflict.act, message % names) from conflict
    choose_keys(
        actor,
        letters,
        letter_keys="letter_keys" in form,
        enter_sends=form["sends"] != "ctrl",
    )


def _save_leaving_rule(actor: Actor, form: Mapping[str, str]) -> None:
    minutes = _choice(form["minutes"], ["", *map(str, MINUTES)])
    set_leaving_rule(actor, int(minutes) * 60 if minutes else None)


def _save_payer_rules(actor: Actor, form: Mapping[str, str]) -> None:
    roles = roles_of(organisation_of(actor))
    rules = {role: form[role] for role in roles if role in form}
    for rule in rules.values():
        _choice(rule, PayerRule.values)
    change_rules(actor, rules)


def _save_organisation_model(actor: Actor, form: Mapping[str, str]) -> None:
    present = organisation_model(organisation_of(actor))
    choose_organisation_model(actor, _model(actor, form["organisation_model"], present))


_OWN: Final[_Parts] = {
    "leaving": _save_leaving,
    "default_model": _save_default_model,
    "key": _save_default_payer,
    "title_model": _save_title_model,
    "sends": _save_shortcuts,
}
_RULES: Final[_Parts] = {
    "minutes": _save_leaving_rule,
    "payer_rules": _save_payer_rules,
    "organisation_model": _save_organisation_model,
}


def _choice(value: str, values: Iterable[str]) -> str:
    if value not in values:
        raise Http404  # not one of the form's choices
    return value


def _model(actor: Actor, model: str, present: str) -> str:
    """Return the offered model of that name, or "" for none; the `present` one stays if it is no
    longer offered. Raises Refused for another one that is not offered."""
    if model and model != present and model not in {one.name for one in chat_models(actor)}:
        message = gettext("%(model)s is not offered any more. Choose another model.")
        raise Refused("model", message % {"model": model})
    return model


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
    models, preference = chat_models(actor), preference_of(person_of(actor))
    common = organisation_model(organisation)
    offered = {"", CHEAPEST, *(model.name for model in models)}
    payers = payers_context(actor, {}, None)
    return {
        "slug": organisation.slug,
        "preference": preference,
        "rule_minutes": None if seconds_max is None else seconds_max // 60,
        "minutes": MINUTES,
        "may_rule": scope_of(actor, "playground.write") is not None,
        "models": models,
        "organisation_model": common,
        "gone": {preference.default_model, preference.title_model, common} - offered,
        "named": naming_totals(actor),
        "letters": LETTERS,
        "rules": [(role, name, rules[role]) for role, name in roles_of(organisation).items()],
        "rule_names": PAYER_RULES.items(),
        **payers,
        "payer_replaced": chosen_default(actor).chosen_key not in (None, payers["payer"].key),
        **keys_context(actor),
    }
