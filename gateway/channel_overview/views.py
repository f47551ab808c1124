"""Pages of the control plane, for operators: channels, their test, models (W71, W72)."""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.prices.prices import ListedPrice
from billing.prices.pricing import PPM
from gateway.access import access_channel, every_channel, visible_channels
from gateway.catalogue.model_changes import changes_of
from gateway.channel_overview.forms import CheckForm, SwitchForm
from gateway.channels.channel_tests.scheduled_tests import check_by_rule
from gateway.channels.channels import switch_capability
from gateway.channels.overrides.conditions import display_conditions
from gateway.channels.passthrough.rules import path_of
from gateway.channels.served_models import (
    price_of,
    prices_in_force,
    testable_names,
    unpriced_models,
)
from gateway.health.figures import ChannelFigures, last_uses
from gateway.health.reports import ChannelTroubles
from gateway.health.rows import channel_row, key_rows, taken_out_words
from gateway.health.uptime import uptime_by_channel
from gateway.health.views import health_context
from gateway.limits.channel_limit_use import limits_of
from gateway.listed_models.shown_models import CAPABILITIES
from gateway.models import Channel, Route
from gateway.own_keys.views import channel_offer_context
from gateway.price_book.price_book import BookEntry
from gateway.prices.upstream_prices.upstream_prices import open_proposals, publishes_prices
from gateway.provider_accounts.balances.balances import reads_balance
from gateway.provider_accounts.balances.rows import balance_limits, offers_balance
from gateway.settings.installation import installation_settings
from lib.htmx import is_htmx, render_part, see_other
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, State, Table

CHANNELS: Final = Table(
    "channels",
    _("Channels"),
    (
        Column("name", _("Name"), value="channel.name", sort=True, card="title"),
        Column("state", _("Status"), "badge", card="first"),
        Column("provider", _("Provider"), sort=True, priority=2, card="second"),
        Column(
            "in_flight", _("In flight"), "number", value="figures.in_flight", sort=True, priority=3
        ),
        Column(
            "ttft",
            _("TTFT"),
            "duration",
            value="figures.p50_ms",
            unit=_("p50"),
            chosen=False,
            hint=_("Time to first token"),
        ),
        Column(
            "uptime", _("Uptime"), value="uptime.percent", sort=True, unit=_("24 h"), priority=3
        ),
        Column("host", _("Host"), sort=True, chosen=False),
        Column("models", _("Models"), priority=3),
        Column("priority", _("Priority"), "number", value="channel.priority", sort="order"),
        Column("weight", _("Weight"), "number", value="channel.weight", sort=True, chosen=False),
        Column(
            "balance", _("Balance"), priority=3, hint=_("What the keys have left at the provider")
        ),
        Column("labels", _("Labels"), priority=4),
        Column("tested", _("Last test"), "ago", value="check.at", sort=True, card="last"),
    ),
    default_sort="priority",
    filters=(
        Filter("q", _("Channel, provider, model or label"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                ("", _("Any status")),
                ("on", _("On")),
                ("off", _("Off")),
                ("archived", _("Archived")),
            ),
        ),
    ),
    href="href",
    bulk=(("edit", _("Edit")),),
)


@operator_page("channels.read")
@require_safe
def channel_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(CHANNELS, request, actor)
    archived = state.value("state") == "archived"
    channels = (
        every_channel(actor).exclude(archived_at=None) if archived else visible_channels(actor)
    )
    troubles, figures = ChannelTroubles(), ChannelFigures()
    every = [
        channel_row(channel, troubles.of(channel), figures.of_channel(channel.id))
        for channel in channels
    ]
    strips = uptime_by_channel()
    rows = [
        {**row, "order": order, "uptime": strips.get(row["channel"].id)}
        for order, row in enumerate(every)
        if _channel_fits(row, state)
    ]
    context = {
        "any": archived or bool(every),
        "may_write": scope_of(actor, "channels.write") is not None,
        "may_test": scope_of(actor, "channels.test") is not None,
        "commands": _COMMANDS,
        "command": settings.COMMAND,
    }
    if context["may_write"] and not archived:
        context["bulk_url"] = reverse("channels_several")
    templates = (
        "gateway/channel_overview/channels.html",
        "gateway/channel_overview/_channels.html",
    )
    return answer_table(request, state, ListSource(rows), templates, context)


def _channel_fits(row: Mapping[str, Any], state: State) -> bool:
    columns = [row[name] for name in ("provider", "host", "models", "labels")]
    words = " ".join([row["channel"].name, *columns]).lower()
    on = {"on": True, "off": False}.get(state.value("state"))
    return state.value("q").lower() in words and on in (None, row["channel"].enabled)


@operator_page("channels.read")
@require_safe
def channel(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    return _channel_page(request, actor, access_channel(actor, id))


@operator_page("channels.test")
@require_POST
def channel_test(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    channel = access_channel(actor, id)
    form = CheckForm(_testable_names(channel), request.POST)
    if not form.is_valid():
        return _channel_page(request, actor, channel, form, status=422)
    check_by_rule(actor, channel, form.cleaned_data["model"], form.cleaned_data["variant"])
    channel = access_channel(actor, id)
    if is_htmx(request):
        return _channel_page(request, actor, channel, form)
    return see_other("channel", id)


@operator_page("channels.write")
@require_POST
def channel_switch(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    channel = access_channel(actor, id)
    form = SwitchForm(_models(channel), request.POST)
    if not form.is_valid():
        return _channel_page(request, actor, channel, status=422)
    cleaned = form.cleaned_data
    switch_capability(actor, channel, cleaned["model"], cleaned["capability"], form.on)
    return see_other("channel", id)


def _channel_page(
    request: HttpRequest,
    actor: Actor,
    channel: Channel,
    form: CheckForm | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    last = channel.last_test or {}
    names = _testable_names(channel)
    trouble = ChannelTroubles().of(channel)
    prices = prices_in_force()
    initial = {name: last.get(name) for name in ("model", "variant")}
    context = {
        **health_context(actor, channel, trouble),
        "form": form or CheckForm(names, initial=initial),
        "testable": bool(names),
        "keys": key_rows(channel, trouble.keys, last_uses(channel)),
        "may_write": scope_of(actor, "channels.write") is not None,
        "may_test": scope_of(actor, "channels.test") is not None,
        "model_changes": len(changes_of(channel)),
        "publishes_prices": publishes_prices(channel),
        "price_proposals": open_proposals(channel),
        "limits": limits_of(channel),
        "taken_out": taken_out_words(channel),
        "reads_balance": reads_balance(channel),
        "offers_balance": offers_balance(channel),
        "balance_limits": balance_limits(channel),
        "switches": SwitchForm(_models(channel)),
        "mapped": _mapped(channel, prices),
        "unpriced": unpriced_models(channel, prices),
        "rule": installation_settings().unpriced_models,
        "may_price": scope_of(actor, "prices.write") is not None,
        "conditions": display_conditions(channel),
        **channel_offer_context(channel),
        "pass_through_path": path_of(channel.name),
    }
    return render_part(
        request,
        "gateway/channel_overview/channel.html",
        "gateway/channel_overview/_test.html",
        context,
        status=status,
    )


def _models(channel: Channel) -> list[str]:
    return [route.model for route in channel.routes.all()]


def _mapped(channel: Channel, prices: Mapping[str, ListedPrice]) -> list[dict[str, Any]]:
    """Return the channel's models as rows: the route, its overrides as text, and its price."""
    priced = {route: price_of(route.model, prices) for route in channel.routes.all()}
    return [
        {
            "route": route,
            "switched": _switch_texts(route),
            "entry": price and BookEntry(route.model, price, PPM),
            "price_id": price and price.price_id,
        }
        for route, price in priced.items()
    ]


def _switch_texts(route: Route) -> list[tuple[str, bool]]:
    """Return an operator's overrides for a model, as text."""
    return [(str(CAPABILITIES[name]), on) for name, on in sorted(route.can.items())]


def _testable_names(channel: Channel) -> list[str]:
    return testable_names(channel, (name for name in prices_in_force() if "*" not in name))


_COMMANDS = f"""\
{settings.COMMAND} export > weir.yaml
{settings.COMMAND} apply weir.yaml"""
