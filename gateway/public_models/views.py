"""Pages of models and public prices, visible as the operator's settings say."""

from functools import wraps
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import open_page, organisation_page, redirect_to_sign_in
from accounts.preferences.table_preferences import read_table
from gateway.code_examples.examples import FORM_NAMES, call_of, code_context, snippet_language
from gateway.code_examples.snippets import FORMS, Form
from gateway.listed_models.shown_models import (
    CAPABILITIES,
    ListedModel,
    capability_names,
    models_for,
)
from gateway.model_entries.entries import ending_of
from gateway.price_book.calculator import calculated_context
from gateway.price_book.columns import PRICE_COLUMNS, linked_rows
from gateway.price_book.price_book import BookEntry, price_book
from gateway.settings.installation import installation_settings
from lib import clock
from lib.numbers.formatting import compact, units_of
from lib.sentences import join_words
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, State, Table

_CONTEXTS: Final = (32_000, 128_000, 200_000, 1_000_000)
_COMPARED_MAX: Final = 4

MODELS: Final = Table(
    "models",
    _("Models"),
    (
        Column("name", _("Model"), sort=True, card="title"),
        Column("provider", _("Provider"), sort=True, card="second"),
        Column("context", _("Context"), "number", sort=True, card="last", hint=_("Tokens")),
        Column("max_output", _("Max output"), "number", sort=True, chosen=False),
        Column("capabilities", _("Capabilities"), priority=3),
        Column("aliases", _("Aliases"), chosen=False),
        Column("ends", _("Retired from"), "time", sort=True, chosen=False),
        *PRICE_COLUMNS,
    ),
    default_sort="name",
    key="name",
    filters=(
        Filter("q", _("Model or provider"), "search"),
        Filter("cap", _("Capability"), choices=(("", _("Any capability")), *CAPABILITIES.items())),
        Filter("provider", _("Provider"), choices=(("", _("Any provider")),)),
        Filter("ctx", _("Context"), choices=(("", _("Any context")),)),
    ),
    href="href",
    bulk=(("compare", _("Compare in playground")),),
)
PRICING: Final = Table(
    "pricing",
    _("Prices"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("condition", _("Applies to"), sort=True, priority=3, card="second"),
        *PRICE_COLUMNS,
    ),
    default_sort="model",
    filters=(Filter("q", _("Model"), "search"),),
    href="href",
)


def _guard_page(view: Any) -> Any:
    """Guard a page that everybody may see if the operator allows it, or else every signed-in
    person."""

    @wraps(view)
    def guarded(request: HttpRequest, actor: Actor | None, **kwargs: Any) -> HttpResponseBase:
        if actor is None and not installation_settings().public_models:
            return redirect_to_sign_in(request)
        return cast(HttpResponseBase, view(request, actor, **kwargs))

    return open_page(guarded)


@_guard_page
@require_safe
def model_catalogue(request: HttpRequest, actor: Actor | None) -> HttpResponseBase:
    models = models_for(actor)
    owners = sorted({model.owner for model in models if model.owner})
    choices = {
        "provider": [("", gettext("Any provider")), *((name, name) for name in owners)],
        "ctx": [("", gettext("Any context")), *((str(n), _count_text(n)) for n in _CONTEXTS)],
    }
    state = read_table(MODELS, request, actor, choices=choices)
    slug = slug_of(actor) if actor is not None and _may_try(actor) else ""
    rows = [_model_row(model) for model in models if _matches_filters(model, state)]
    context = {"bulk_url": reverse("models_compare", args=[slug]) if slug else ""}
    templates = ("gateway/public_models/catalogue.html", "gateway/public_models/_catalogue.html")

    def make(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, **_model_cells(row["shown"], slug)} for row in linked_rows(page)]

    return answer_table(request, state, ListSource(rows), templates, context, make)


@organisation_page("playground.use")
@require_POST
def models_compare(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Open a comparison of the selected models, at most the first few."""
    query = urlencode({"m": request.POST.getlist("id")[:_COMPARED_MAX]}, doseq=True)
    return redirect(f"{reverse('compare', args=[slug_of(actor)])}?{query}")


def _count_text(n: int) -> str:
    return gettext("%(n)s or more") % {"n": compact(n, units_of(get_language()))}


def _model_row(model: ListedModel) -> dict[str, Any]:
    """Return the sort values of a model. The rest is computed only for the models of a page."""
    return {
        "id": model.name,
        "name": model.name,
        "model": model.name,
        "provider": model.owner,
        "context": model.can.context_max,
        "max_output": model.can.output_max,
        "ends": model.own_entry.sunset_at if model.own_entry else None,
        "entry": model.entry,
        "shown": model,
    }


def _model_cells(model: ListedModel, slug: str) -> dict[str, str]:
    return {
        "try_href": _try_href(slug, model.name) if slug and model.chats else "",
        "capabilities": join_words(model.capabilities.values()),
        "aliases": ", ".join(model.aliases),
    }


def _try_href(slug: str, name: str) -> str:
    return f"{reverse('playground', args=[slug])}?m={quote(name, safe='')}"


@_guard_page
@require_safe
def model_page(request: HttpRequest, actor: Actor | None, name: str) -> HttpResponse:
    model = next(
        (model for model in models_for(actor) if model.name == name),
        None,
    )
    if model is None:
        raise Http404
    language = snippet_language(request)
    form_name = request.GET.get("form", "")
    form: Form = next((model for model in FORMS if model == form_name), "chat_completions")
    call = call_of(model, form)
    try_href = ""
    if actor is not None and _may_try(actor) and model.chats:
        try_href = _try_href(slug_of(actor), name)
    context = {
        "model": model,
        "ending": ending_of(model.own_entry),
        "form": form,
        "forms": FORM_NAMES,
        "try_href": try_href,
        **code_context(call, language),
    }
    return render(request, "gateway/public_models/model.html", context)


@_guard_page
@require_safe
def pricing(request: HttpRequest, actor: Actor | None) -> HttpResponseBase:
    book = price_book(None, clock.now())
    state = read_table(PRICING, request, actor)
    query = state.value("q").lower()
    rows = [_pricing_row(entry) for entry in book.entries if query in entry.model.lower()]
    context = {
        "models": [entry.model for entry in book.entries[:1]],
        "calc_open": True,
        **calculated_context(request, book),
    }
    templates = ("gateway/public_models/pricing.html", "gateway/public_models/_pricing.html")
    return answer_table(request, state, ListSource(rows), templates, context, linked_rows)


def _pricing_row(entry: BookEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "model": entry.model,
        "condition": entry.condition,
        "entry": entry,
    }


def _matches_filters(model: ListedModel, state: State) -> bool:
    query, cap, provider = (state.value(name) for name in ("q", "cap", "provider"))
    words = [model.name, model.owner, *model.aliases]
    return (
        (not query or any(query.lower() in word.lower() for word in words))
        and (not cap or cap in capability_names(model))
        and (not provider or model.owner == provider)
        and (model.can.context_max or 0) >= int(state.value("ctx") or 0)
    )


def _may_try(actor: Actor) -> bool:
    return actor.organisation is not None and scope_of(actor, "playground.use") is not None
