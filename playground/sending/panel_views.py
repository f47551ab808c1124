"""Parts beside the chat: the maximum cost, the panel's panes, presets, code and debug views."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page
from billing.balances.balances import balance
from billing.currency.money import format_usd
from content.prompts.settings import Settings
from dialects.errors.errors import RequestFault
from gateway.code_examples.examples import (
    FORM_NAMES,
    LANGUAGE_NAMES,
    code_context,
    snippet_language,
)
from gateway.code_examples.snippets import FORMS, Form, Language, convert_to_form
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, toast
from lib.ids import id_text
from lib.refusal import Refused
from playground.answers.events import wire_of_run
from playground.conversations.conversations import access_run, access_run_record
from playground.models_offered.offered_models import capabilities_of_model, chat_models
from playground.panel.json_schema import check_schema, schema_like
from playground.panel.json_text import InvalidJson, parse_json
from playground.panel.panel import panel_context
from playground.panel.parameters import InvalidSetting, parameters_of
from playground.panel.presets import access_preset, delete_preset, save_preset
from playground.panel.settings import (
    read_raw,
    read_schema,
    read_settings,
    read_tools,
    unknown_members,
    write_json,
)
from playground.panel.words import invalid_text
from playground.payers.paying import Payer
from playground.relaying.relaying import relay_of
from playground.runs.runs import request_of_run
from playground.turns.context_window import Context
from playground.turns.form import form_values, panel_settings, read_form
from playground.turns.request import build_request, context_for, shorten_request
from playground.turns.summaries import excerpt_to_summarise, most_nano
from playground.turns.turns import TurnForm, TurnRefused, draft_of, files_of
from relay.errors import DatabaseAway
from relay.hold_sizes.bound import Bound

# Longer files are shortened in the code of a request, because nobody reads or pastes them.
_CODE_CHARACTERS_MAX = 200_000


@dataclass(frozen=True)
class ContextUsage:
    """The share of a model's context that a turn uses. None if the context size is unknown."""

    model: str
    context: Context
    context_max: int | None

    @property
    def too_much(self) -> bool:
        return self.context_max is not None and self.context.used > self.context_max


@dataclass(frozen=True)
class BoundLine:
    """The cost of a turn over all its columns. `expected_nano` is None if one of them has none.
    `available_nano` is the smaller of the balance and the payer's budgets; `by_budget` says that a
    budget is smaller."""

    hold_nano: int
    expected_nano: int | None
    available_nano: int
    by_budget: bool
    input_tokens: int
    output_tokens: int
    usage: ContextUsage
    price_version_id: int | None
    fits: bool
    output_cap: int | None

    @property
    def after_nano(self) -> int:
        return self.available_nano - (self.expected_nano or 0)

    @property
    def left_nano(self) -> int:
        return max(self.available_nano, 0)


@organisation_page("playground.use")
@require_POST
async def bound(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the cost line above Send, for the current form."""
    context: dict[str, Any] = {}
    try:
        turn_form, drafts, usage = await run_in_database(_drafts, request, actor)
        context["bound"] = await _bound(request, actor, turn_form.payer, drafts, usage)
        if usage.too_much and turn_form.conversation and not turn_form.compare:
            excerpt = await run_in_database(excerpt_to_summarise, turn_form)
            context["summary_nano"] = await most_nano(actor, relay_of(request), excerpt)
    except TurnRefused as refused:
        context["blocked"] = refused.message
    except RequestFault as fault:
        context["blocked"] = _fault_text(fault)
    except DatabaseAway:
        context["away"] = True
    return await run_in_database(_bound_page, request, actor, context)


def _fault_text(fault: RequestFault) -> str:
    if fault.kind == "max_cost_exceeded":
        return gettext(
            "This message could cost more than its limit. Raise the limit, or lower max output."
        )
    return fault.message


def _drafts(
    request: HttpRequest, actor: Actor
) -> tuple[TurnForm, list[tuple[str, bytes]], ContextUsage]:
    """Build the requests of the form: each column's model and body, and the context that the first
    one uses."""
    drafts, usages = [], []
    turn_form = read_form(actor, request.POST)
    for number, column in enumerate(turn_form.columns):
        body = draft_request(actor, turn_form, number)
        drafts.append((column.model, json.dumps(body).encode()))
        path, settings = draft_of(turn_form, number), Settings.from_stored(column.settings)
        can = capabilities_of_model(column.model)
        usages.append(ContextUsage(column.model, context_for(path, settings, can), can.context_max))
    return turn_form, drafts, usages[0]


def draft_request(actor: Actor, form: TurnForm, number: int) -> dict[str, Any]:
    """Return the body that a column would send now."""
    column, path = form.columns[number], draft_of(form, number)
    return build_request(
        column.model,
        path,
        Settings.from_stored(column.settings),
        capabilities_of_model(column.model),
        files_of(path, organisation_of(actor).id),
    )


async def _bound(
    request: HttpRequest,
    actor: Actor,
    payer: Payer,
    drafts: list[tuple[str, bytes]],
    usage: ContextUsage,
) -> BoundLine:
    relay = relay_of(request)
    principal = await payer.principal(actor, relay)
    bounds = [await relay.bound(principal, body, labels=payer.labels) for _, body in drafts]
    wallet = await run_in_database(balance, organisation_of(actor))
    return _bound_text(bounds, usage, wallet.available_nano)


def _bound_text(bounds: list[Bound], usage: ContextUsage, balance_nano: int) -> BoundLine:
    hold_nano = sum(bound.hold_nano for bound in bounds)
    expected = [bound.expected_nano for bound in bounds if bound.expected_nano is not None]
    first = bounds[0]
    return BoundLine(
        hold_nano=hold_nano,
        expected_nano=sum(expected) if len(expected) == len(bounds) else None,
        available_nano=first.available_nano,
        by_budget=first.available_nano < balance_nano,
        input_tokens=max(bound.input_tokens for bound in bounds),
        output_tokens=max(bound.output_tokens for bound in bounds),
        usage=usage,
        price_version_id=first.price_version_id,
        fits=(all(bound.fits for bound in bounds) and hold_nano <= max(first.available_nano, 0))
        or not hold_nano,
        output_cap=first.output_cap,
    )


def _bound_page(request: HttpRequest, actor: Actor, context: dict[str, Any]) -> HttpResponse:
    context["balance_shown"] = scope_of(actor, "balance.read") is not None
    context["may_ask"] = scope_of(actor, "budgets.ask") is not None
    context["slug"] = slug_of(actor)
    return render(request, "playground/panel/_turn_cost.html", context)


@organisation_page("playground.read")
@require_POST
def params(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the parameters of the chosen model. Values that the previous model shared are kept."""
    model = request.POST.get("model", "")
    form = form_values(request.POST)
    dropped: tuple[str, ...] = ()
    try:
        _, dropped = read_settings(form, parameters_of(capabilities_of_model(model)))
    except InvalidSetting:
        # Errors are reported when the form is sent; here the fields are only displayed.
        form = {name: word for name, word in form.items() if not name.startswith("p.")}
    context = panel_context(actor, model, form, dropped)
    models = chat_models(actor)
    context |= {"slug": slug_of(actor), "may_send": True, "models": models, "chosen_model": model}
    return render(request, "playground/panel/_params_laid.html", context)


@organisation_page("playground.read")
@require_POST
def check(request: HttpRequest, actor: Actor, what: str) -> HttpResponse:
    """Check whether tools, schema or body can be sent as typed. Show errors by path."""
    text = request.POST.get(what, "")
    context: dict[str, Any] = {"what": what, "faults": [], "empty": not text.strip()}
    try:
        if what == "tools":
            context["tools"] = read_tools(text)
        elif what == "schema":
            schema = read_schema(text)
            if schema is not None and "strict" in request.POST:
                context["faults"] = [f"{fault.path}: {fault.reason}"
                                     for fault in check_schema(schema, strict=True)]  # fmt: skip
        else:
            body = read_raw(text)
            context["passed"] = unknown_members(body) if body else ()
    except InvalidSetting as invalid:
        context["faults"] = [invalid_text(invalid)]
    return render(request, "playground/panel/_check.html", context)


@organisation_page("playground.read")
@require_POST
def schema_from_example(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Derive a schema from the editor's content, taken as an example answer."""
    text = request.POST.get("schema", "")
    context: dict[str, Any] = {"schema_text": text, "slug": slug_of(actor)}
    try:
        context["schema_text"] = write_json(schema_like(parse_json(text)))
    except InvalidJson as fault:
        context["error"] = gettext("Line %(line)s, column %(column)s: %(reason)s") % {
            "line": fault.line, "column": fault.column, "reason": fault.reason}  # fmt: skip
    return render(request, "playground/panel/_schema_text.html", context)


@organisation_page("playground.read")
@require_POST
def variables(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the fields of the system prompt's variables."""
    context = panel_context(actor, request.POST.get("model", ""), form_values(request.POST))
    return render(request, "playground/panel/_variables.html", context)


@organisation_page("playground.use")
@require_POST
def preset_save(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = form_values(request.POST)
    name, model = request.POST.get("preset_name", ""), form.get("model", "")
    try:
        if not name.strip():
            raise TurnRefused("preset_name", gettext("Enter a name for the preset."))
        settings = panel_settings(model, form)
        save_preset(actor, name, settings, shared="preset_shared" in request.POST)
    except (TurnRefused, Refused) as refused:
        return toast(HttpResponse(status=200), refused.message, tone="bad")
    response = _presets(request, actor)
    return toast(response, gettext("Preset saved."))


@organisation_page("playground.use")
@require_POST
def preset_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    delete_preset(access_preset(actor, id, own=True))
    if not is_htmx(request):
        return redirect("playground", slug_of(actor))
    return _presets(request, actor)


def _presets(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = panel_context(actor, request.POST.get("model", ""), {})
    context |= {"slug": slug_of(actor), "may_send": True}
    return render(request, "playground/panel/_presets.html", context)


@organisation_page("playground.read")
@require_safe
def debug(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the data of one run as sent and received."""
    run, record = access_run_record(actor, id)
    # An abandoned answer has its cost only in the books, and these may not have it yet.
    booked = {name: getattr(record, name) for name in ("hold_nano", "charge_nano") if record}
    outcome = booked | (run.outcome or {})
    head = outcome.get("head") or {}
    context = {
        "run": run,
        "request_id": id_text(run.request_id),
        "slug": slug_of(actor),
        "request_json": write_json(shorten_request(request_of_run(run))),
        "wire": wire_of_run(run),
        "head": head,
        "outcome": outcome,
        "hold": format_usd(outcome.get("hold_nano") or 0),
        "hold_nano": outcome.get("hold_nano"),
        "expected_nano": outcome.get("expected_nano"),
        "charge_nano": outcome.get("charge_nano"),
        "record": record,
        "operator": actor.operator,
        "ended": run.ended_at is not None,
    }
    return render(request, "playground/panel/_debug.html", context)


@organisation_page("playground.read")
@require_safe
def code(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show one run's request as code that sends it again, in three forms and three languages."""
    run = access_run(actor, id)
    url = reverse("run_code", args=[slug_of(actor), id])
    form, language = request.GET.get("form", ""), snippet_language(request)
    context = code_panel(actor, request_of_run(run), url, form, language)
    return render(request, "playground/panel/_code.html", context)


def code_panel(
    actor: Actor, body: dict[str, Any], url: str, form_name: str, language: Language
) -> dict[str, Any]:
    """Build the context of a request as code, in Chat Completions unless another form is named.
    `url` leads to the others."""
    form: Form = next((form for form in FORMS if form == form_name), "chat_completions")
    preview_body = shorten_request(body) if len(json.dumps(body)) > _CODE_CHARACTERS_MAX else body
    context: dict[str, Any] = {
        "code_url": url,
        "slug": slug_of(actor),
        "forms": FORM_NAMES,
        "form": form,
        "shortened": preview_body is not body,
        "may_make_key": scope_of(actor, "keys.write_own") is not None,
    }
    try:
        formed = convert_to_form(form, preview_body)
    except RequestFault as fault:
        return context | {
            "refused": fault.message,
            "languages": LANGUAGE_NAMES,
            "code_language": language,
        }
    return context | {"dropped": formed.dropped, **code_context(formed.request, language)}
