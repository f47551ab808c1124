"""Parts of channel pages that refresh while open: state and figures (W71)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from gateway.access import access_channel, visible_channels
from gateway.channels.rows import channel_row, key_rows, model_badges
from gateway.health.figures import ChannelFigures, Figures
from gateway.health.reports import ChannelTroubles, Trouble
from gateway.health.uptime import uptime_by_channel
from gateway.models import Channel


@operator_page("channels.read")
@require_safe
def channel_states(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the states of all channels, each in its place in the list."""
    troubles, figures = ChannelTroubles(), ChannelFigures()
    rows = [
        {
            **channel_row(channel, troubles.of(channel)),
            "figures": figures.of_channel(channel.id),
        }
        for channel in visible_channels(actor)
    ]
    return render(request, "gateway/health/_channel_states.html", {"rows": rows})


@operator_page("channels.read")
@require_safe
def channel_health(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the figures of one channel, with its state."""
    channel = access_channel(actor, id)
    trouble = ChannelTroubles().of(channel)
    context = {**channel_row(channel, trouble), **health_context(channel, trouble)}
    return render(request, "gateway/health/_channel_health.html", {**context, "polled": True})


def health_context(channel: Channel, trouble: Trouble) -> dict[str, Any]:
    """Build the context of the panel: figures and states of the channel, its models and its
    keys."""
    figures = ChannelFigures(channel.id)
    models = model_badges(channel, trouble.models)
    by_key = figures.by_key(channel.id)
    return {
        "figures": figures.of_channel(channel.id),
        "by_model": [
            (name, models[name], its) for name, its in figures.by_model(channel.id, models)
        ],
        "by_key": [
            (row, by_key.get(str(row["key"].id), Figures()))
            for row in key_rows(channel, trouble.keys)
        ],
        "uptime": uptime_by_channel(channel.id).get(channel.id),
    }
