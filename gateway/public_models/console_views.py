"""The models console for operators: every public model with its entry and probe (W72)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import ROLE_NAMES, scope_of
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.prices.pricing import PPM
from billing.prices.words import source_name
from gateway.access import access_channel, visible_aliases
from gateway.catalogue.access import visible_model_proposals
from gateway.catalogue.words import display_proposal
from gateway.channels.channel_tests.words import describe_check
from gateway.channels.served_models import Server
from gateway.listed_models.public_models import PublicModel, Standing, availability_of
from gateway.listed_models.shown_models import CAPABILITIES, capabilities_in
from gateway.model_entries.entries import save_entry
from gateway.models import ModelEntry
from gateway.price_book.columns import PRICE_COLUMNS, add_cells
from gateway.price_book.price_book import BookEntry
from gateway.public_models.access import access_model, visible_models
from gateway.public_models.forms import EntryForm, ProbeForm, initial_of
from gateway.public_models.probes import probe_model
from gateway.settings.installation import installation_settings
from lib.htmx import see_other
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from lib.sentences import join_words
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, State, Table

ROUTES: Final = Table(
    "routes",
    _("Models and routes"),
    (
        Column("name", _("Model"), sort=True, card="title"),
        Column("state", _("Status"), "badge", sort="standing", priority=2),
        Column("channels", _("Served by"), card="second"),
        Column("capabilities", _("Capabilities"), chosen=False),
        Column("context", _("Context"), "number", sort=True, priority=3, hint=_("Tokens")),
        Column("max_output", _("Max output"), "number", sort=True, chosen=False),
        Column("visible", _("Visible to"), priority=4),
        *PRICE_COLUMNS,
        Column("price", _("Price"), "badge", sort="price_state", priority=2, card="first"),
    ),
    default_sort="name",
    key="name",
    filters=(
        Filter("q", _("Model, alias or channel"), "search"),
        Filter(
            "state",
            _("Price"),
            choices=(
                ("", _("Any price")),
                ("priced", _("Priced")),
                ("unpriced", _("Unpriced")),
                ("draft", _("Drafted")),
            ),
        ),
        Filter("cap", _("Capability"), choices=(("", _("Any capability")), *CAPABILITIES.items())),
        Filter(
            "life",
            _("Status"),
            choices=(
                ("", _("Any status")),
                ("current", _("Current")),
                ("deprecated", _("Deprecated")),
                ("retired", _("Retired")),
                ("alias", _("Alias")),
            ),
        ),
    ),
    href="href",
)
_STANDINGS: Final[Mapping[Standing, Badge | None]] = {
    "current": None,
    "alias": Badge(_("Alias")),
    "deprecated": Badge(_("Deprecated"), "warn"),
    "retired": Badge(_("Retired"), "bad"),
}


@operator_page("models.read")
@require_safe
def model_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ROUTES, request, actor)
    models = visible_models(actor)
    context = {
        "unpriced": sum(
            1
            for model in models
            if model.price_state != "priced" and model.servers and not model.target
        ),
        "rule": installation_settings().unpriced_models,
        "waiting": visible_model_proposals(actor).count(),
    }
    rows = [_sort_row(model) for model in models if _matches_filters(model, state)]
    templates = ("gateway/public_models/models.html", "gateway/public_models/_models.html")
    return answer_table(request, state, ListSource(rows), templates, context, _page)


@operator_page("channels.read")
@require_safe
def model_admin(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    return _model_page(request, actor, access_model(actor, name))


@operator_page("channels.write")
@require_POST
def model_admin_save(request: HttpRequest, actor: Actor, name: str) -> HttpResponseBase:
    model = access_model(actor, name)
    form = EntryForm(request.POST, entry=model.entry)
    if form.is_valid():
        try:
            save_entry(actor, name, aliases=form.alias_names(), **form.entry_fields())
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved. The change applies to new requests."))
            return see_other("model_admin", name)
    return _model_page(request, actor, model, form=form, status=422)


@operator_page("channels.test")
@require_POST
def model_probe(request: HttpRequest, actor: Actor, name: str) -> HttpResponseBase:
    model = access_model(actor, name)
    form = ProbeForm(model, request.POST)
    if form.is_valid():
        channel = access_channel(actor, form.cleaned_data["channel"])
        try:
            probe_model(actor, model, channel, form.tries_chosen())
        except Refused as refused:
            refused.add_to(form)
        else:
            return see_other("model_admin", name)
    return _model_page(request, actor, model, probe_form=form, status=422)


def _sort_row(model: PublicModel) -> dict[str, Any]:
    """Return the sort values of a name. The rest is computed only for the names of a page."""
    entry = BookEntry(model.name, model.price, PPM) if model.price else None
    return {
        "name": model.name,
        "model": model,
        "entry": entry,
        "standing": availability_of(model),
        "price_state": model.price_state,
        "context": None if model.pattern else model.can.context_max,
        "max_output": None if model.pattern else model.can.output_max,
    }


def _page(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, **_cells(row["model"])} for row in add_cells(rows)]


def _cells(model: PublicModel) -> dict[str, Any]:
    price = model.price
    new_href = f"{reverse('price_new')}?{urlencode({'model': model.target or model.name})}"
    return {
        "href": _href(model),
        "price_href": reverse("price", args=[price.price_id]) if price else "",
        "new_href": "" if price else new_href,
        "servers": model.servers,
        "channels": ", ".join(_server_words(model, server) for server in model.servers),
        "price": _price_badge(model),
        "state": _STANDINGS[availability_of(model)],
        "capabilities": join_words(_capabilities(model).values()),
        "visible": _visible_words(model.entry),
    }


def _href(model: PublicModel) -> str:
    """Return the address of a model. A pattern, and a name with a line break, has none."""
    if model.pattern or "\n" in model.name:
        return ""
    return reverse("model_admin", args=[model.name])


def _capabilities(model: PublicModel) -> dict[str, str]:
    names = capabilities_in(model.can) if model.known and not model.pattern else []
    return {name: str(CAPABILITIES[name]) for name in names}


def _visible_words(entry: ModelEntry | None) -> str:
    if entry is None or not (entry.plans or entry.roles):
        return gettext("Everyone")
    return " · ".join([*entry.plans, *(str(ROLE_NAMES[role]) for role in entry.roles)])


def _server_words(model: PublicModel, server: Server) -> str:
    name = server.channel.name
    if server.upstream_model and server.upstream_model != model.name:
        name = gettext("%(channel)s as %(model)s") % {
            "channel": name,
            "model": server.upstream_model,
        }
    off = gettext("(off)")
    return name if server.channel.enabled else f"{name} {off}"


def _price_badge(model: PublicModel) -> Badge:
    if model.price:
        hint = model.price.source if model.price.from_catalogue else ""
        return Badge(source_name(model.price), hint=hint)
    if model.price_state == "draft":
        return Badge(_("Draft"), "info", "pencil")
    if not model.priced:
        return Badge(_("No price"), "warn")
    n = len(model.priced)
    text = ngettext("%(n)s price", "%(n)s prices", n) % {"n": group_digits(n)}
    return Badge(text, hint=", ".join(model.priced[:20]))


def _matches_filters(model: PublicModel, state: State) -> bool:
    words = [model.name, *model.aliases, *(server.channel.name for server in model.servers)]
    if not any(state.value("q").lower() in word.lower() for word in words):
        return False
    price, cap, life = (state.value(name) for name in ("state", "cap", "life"))
    prices = {"unpriced": ("missing", "draft")}.get(price, (price,))
    return (
        (not price or model.price_state in prices)
        and (not cap or cap in _capabilities(model))
        and (not life or availability_of(model) == life)
    )


def _model_page(
    request: HttpRequest,
    actor: Actor,
    model: PublicModel,
    *,
    form: EntryForm | None = None,
    probe_form: ProbeForm | None = None,
    status: int = 200,
) -> HttpResponse:
    name = model.target or model.name
    aliases = visible_aliases(actor).filter(target=model.name).values_list("name", flat=True)
    proposals = visible_model_proposals(actor).filter(model=name)
    entry = model.entry
    context = {
        "model": model,
        "cells": _cells(model),
        "price": model.price,
        "form": form or EntryForm(entry=entry, initial=initial_of(entry, list(aliases))),
        "probe_form": probe_form or ProbeForm(model),
        "probe": _display_probe(entry),
        "proposals": [display_proposal(row) for row in proposals],
        "may_write": scope_of(actor, "channels.write") is not None,
        "may_test": scope_of(actor, "channels.test") is not None,
        "rule": installation_settings().unpriced_models,
    }
    return render(request, "gateway/public_models/model_admin.html", context, status=status)


def _display_probe(entry: ModelEntry | None) -> dict[str, Any] | None:
    if entry is None or entry.probe is None:
        return None
    return {
        **entry.probe,
        "at": dt.datetime.fromisoformat(entry.probe["at"]),
        "results": [describe_check(one) for one in entry.probe["results"]],
    }
