"""Reads a form of the playground into `turns.TurnForm`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import Http404, QueryDict
from django.utils.translation import gettext

from accounts.access.actors import Actor
from content.prompts.settings import Settings
from content.prompts.variables import FILLED_MAX, is_too_long, missing
from lib.ids import id_text, new_id, parse_id
from lib.refusal import Refused
from playground.attachments.rules import FILES_MAX
from playground.compare.rules import COLUMNS_MAX
from playground.conversations.conversations import (
    access_attachment,
    access_conversation,
    access_message,
)
from playground.conversations.message_runs import settings_of
from playground.models import Attachment, Conversation, Message
from playground.models_offered.offered_models import capabilities_of_model, chat_models
from playground.panel.panel import form_of
from playground.panel.parameters import InvalidSetting, parameters_of
from playground.panel.presets import access_preset
from playground.panel.settings import read_settings
from playground.panel.words import invalid_text, unread_text
from playground.payers.paying import Payer, payer_of_form
from playground.turns.turns import Column, TurnForm, TurnRefused


def read_form(actor: Actor, form: QueryDict) -> TurnForm:
    """Read the form. Raises TurnRefused."""
    models = form.getlist("model")[:COLUMNS_MAX]
    offered = {model.name for model in chat_models(actor)}
    if not models or not set(models) <= offered:
        raise TurnRefused("model", gettext("Choose a model."))
    id = form.get("conversation", "")
    conversation = access_conversation(actor, id, temporary=True) if id else None
    answered = read_answered(actor, form)
    files = read_files(actor, form)
    return TurnForm(
        columns=_columns(actor, form, models, answered, conversation),
        # A form sends a newline as two characters; the model gets what was typed.
        text=form.get("edited", form.get("text", "")).replace("\r\n", "\n").replace("\x00", ""),
        token=parse_id(form.get("token", "")) or new_id(),
        payer=read_form_payer(actor, form, conversation),
        conversation=conversation,
        retry=parse_id(form.get("retry", "")),
        instead=parse_id(form.get("instead", "")),
        answered=answered.id if answered else None,
        results=read_results(answered, form) if answered else (),
        files=files,
        compare="compare" in form,
        blind="blind" in form,
        temporary="temporary" in form,
    )


def read_form_payer(actor: Actor, form: QueryDict, conversation: Conversation | None) -> Payer:
    """Return the payer of the form. Raises TurnRefused."""
    try:
        return payer_of_form(actor, form_values(form), conversation)
    except Refused as refused:
        raise TurnRefused(refused.field, refused.message) from refused


def form_values(form: QueryDict) -> dict[str, str]:
    """Return a form's values; of several with the same name, the last."""
    return {name: str(form[name]).replace("\x00", "") for name in form}


def read_answered(actor: Actor, form: QueryDict) -> Message | None:
    """Return the answer for whose tool calls the form has results."""
    id = form.get("answered", "")
    return access_message(actor, id) if id else None


def read_results(answered: Message, form: QueryDict) -> list[dict[str, Any]]:
    """Return a result for each call. Raises TurnRefused if one is missing."""
    results = []
    for call in answered.parts.get("calls", ()):
        content = form.get(f"result.{call['id']}", "").replace("\r\n", "\n").replace("\x00", "")
        failed = f"failed.{call['id']}" in form
        if not content.strip() and not failed:
            message = gettext("Enter a result for %(name)s, or return an error.") % {
                "name": call["name"]
            }
            raise TurnRefused("results", message)
        if failed:
            content = content or "error"
        results.append(
            {"call_id": call["id"], "name": call["name"], "content": content, "failed": failed}
        )
    if not results:
        raise Http404
    return results


def read_files(actor: Actor, form: QueryDict) -> list[Attachment]:
    """Read the message's files. Raises TurnRefused for too many."""
    if "instead" in form:
        # A new version keeps the files of the old one. Those in the composer stay for the next
        # message.
        ids = [_short_id(text) for text in form.getlist("kept_file")]
    else:
        ids = [] if {"retry", "answered"} & set(form) else form.getlist("file")
    if len(ids) > FILES_MAX:
        raise TurnRefused("file", gettext("You can attach up to %(n)s files.") % {"n": FILES_MAX})
    return [access_attachment(actor, id) for id in ids]


def _short_id(text: str) -> str:
    """Return the id of a stored file as pages write it, or "" for an invalid one."""
    try:
        return id_text(UUID(text))
    except ValueError:
        return ""


def _columns(
    actor: Actor,
    form: QueryDict,
    models: Sequence[str],
    answered: Message | None,
    conversation: Conversation | None,
) -> list[Column]:
    """Return the models to ask, and the settings for each: those of the page's panel, or those of
    the previous answer."""
    if "as_before" in form or answered is not None:
        return [_column_as_before(actor, form, model, answered) for model in models]
    presets = form.getlist("preset")
    before = conversation.columns if conversation else []
    columns = []
    for number, model in enumerate(models):
        preset = presets[number] if number < len(presets) and len(models) > 1 else ""
        if preset:
            stored = _preset_settings(actor, preset, before[number : number + 1])
            settings = fitting(model, stored)
        else:
            settings = panel_settings(model, form_values(form))
        if "compare" in form:
            settings = _limit_to_one_answer(settings)
        _check(actor, form, model, settings)
        columns.append(Column(model, settings.stored(), preset))
    return columns


def _preset_settings(actor: Actor, id: str, before: Sequence[Mapping[str, Any]]) -> Settings:
    """Return the settings of a preset. If it no longer exists, or is no longer shared, a column
    that has begun with it keeps its settings, which are in `before`. Raises TurnRefused."""
    try:
        return Settings.from_stored(access_preset(actor, id).settings)
    except Http404:
        for column in before:
            if column.get("preset") == id:
                return Settings.from_stored(column["settings"])
    message = gettext("A preset that you chose no longer exists. Reload the page.")
    raise TurnRefused("preset", message)


def panel_settings(model: str, form: Mapping[str, str]) -> Settings:
    """Return the settings of the panel that the model supports. Raises TurnRefused."""
    try:
        settings, _ = read_settings(form, parameters_of(capabilities_of_model(model)))
    except InvalidSetting as invalid:
        raise TurnRefused(invalid.field, invalid_text(invalid)) from invalid
    return settings


def checked_settings(model: str, stored: Settings) -> Settings:
    """Return settings that a program provided, validated. Raises Refused for invalid ones and for
    parameters that the model does not support."""
    try:
        settings, dropped = read_settings(
            form_of(stored), parameters_of(capabilities_of_model(model))
        )
    except InvalidSetting as invalid:
        raise Refused("settings." + invalid.field, invalid_text(invalid)) from invalid
    if dropped:
        text = gettext("%(model)s does not take %(name)s.")
        raise Refused("settings.params", text % {"model": model, "name": dropped[0]})
    return settings


def fitting(model: str, settings: Settings) -> Settings:
    """Return settings for another model, without those that this one does not support."""
    supported = {parameter.name for parameter in parameters_of(capabilities_of_model(model))}
    stored = settings.stored()
    params = {name: value for name, value in settings.params.items() if name in supported}
    return Settings.from_stored(stored | {"params": params})


def _limit_to_one_answer(settings: Settings) -> Settings:
    """Request only one answer, because a column continues from one answer."""
    params = {name: value for name, value in settings.params.items() if name != "n"}
    return replace(settings, params=params)


def _column_as_before(
    actor: Actor, form: QueryDict, model: str, answered: Message | None
) -> Column:
    message = answered or access_message(actor, form.get("as_before", ""))
    settings = Settings.from_stored(settings_of(message))
    return Column(model, fitting(model, settings).stored(), again=message.column)


def _check(actor: Actor, form: QueryDict, model: str, settings: Settings) -> None:
    """Refuse what a later step would refuse, or silently lose."""
    unfilled = missing(settings.system, settings.variables)
    if unfilled:
        message = gettext("Fill in these system prompt variables: %(names)s.")
        raise TurnRefused("system", message % {"names": ", ".join(unfilled)})
    if is_too_long(settings.system, settings.variables):
        message = gettext("The filled prompt has more than %(most)s characters.")
        raise TurnRefused("system", message % {"most": FILLED_MAX})
    inputs = capabilities_of_model(model).inputs
    kinds = {file.kind: True for file in read_files(actor, form)
             if file.kind != "text" and file.kind not in inputs}  # fmt: skip
    if kinds:
        raise TurnRefused("file", unread_text(model, kinds))
