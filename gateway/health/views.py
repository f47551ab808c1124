"""Parts of channel pages that refresh while open: state and figures (W71)."""

import datetime as dt
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_channel, visible_channels
from gateway.health.figures import ChannelFigures, Figures
from gateway.health.reports import ChannelTroubles, Trouble
from gateway.health.rests import last_rest
from gateway.health.rows import (
    KEY_BADGES,
    channel_row,
    failing_badge,
    key_rows,
    model_badges,
)
from gateway.health.uptime import uptime_by_channel
from gateway.models import Channel
from lib import clock
from lib.ids import id_text
from lib.tables.table import Badge
from usage.filters.filters import UTC_ZONE, between
from usage.overview.views import rows_url
from usage.requests.words import KINDS

# What made a channel rest ended shortly before.
_BEFORE: Final = dt.timedelta(minutes=1)


@operator_page("channels.read")
@require_safe
def channel_states(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the states of all channels, each in its place in the list."""
    troubles, figures = ChannelTroubles(), ChannelFigures()
    rows = [
        channel_row(channel, troubles.of(channel), figures.of_channel(channel.id))
        for channel in visible_channels(actor)
    ]
    return render(request, "gateway/health/_channel_states.html", {"rows": rows})


@operator_page("channels.read")
@require_safe
def channel_health(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the figures of one channel, with its state."""
    channel = access_channel(actor, id)
    trouble = ChannelTroubles().of(channel)
    context = health_context(actor, channel, trouble)
    return render(request, "gateway/health/_channel_health.html", {**context, "polled": True})


def health_context(actor: Actor, channel: Channel, trouble: Trouble) -> dict[str, Any]:
    """Build the context of the panel: the channel's row, figures and states of the channel, its
    models and its keys, and its last rest."""
    figures = ChannelFigures(channel.id)
    models = model_badges(channel, trouble.models)
    by_key = figures.by_key(channel.id)
    return {
        **channel_row(channel, trouble, figures.of_channel(channel.id)),
        "by_model": [
            (name, _state_of_part(models[name], its), its)
            for name, its in figures.by_model(channel.id, models)
        ],
        "by_key": [
            (row | {"badge": _state_of_part(row["badge"], its)}, its)
            for row in key_rows(channel, trouble.keys)
            for its in [by_key.get(str(row["key"].id), Figures())]
        ],
        "uptime": uptime_by_channel(channel.id).get(channel.id),
        "rest": rest_words(actor, channel),
    }


def _state_of_part(badge: Badge, figures: Figures) -> Badge:
    """Return the state of a model or key. One that is not paused may fail all the same."""
    return (failing_badge(figures) or badge) if badge is KEY_BADGES["good"] else badge


def rest_words(actor: Actor, channel: Channel) -> dict[str, Any] | None:
    """Return the channel's last rest for its page, or None: its times, its cause, and the address
    of the requests around its beginning in the operator's own organisation, "" without one."""
    rest = last_rest(channel)
    if rest is None:
        return None
    end_at = (rest.ended_at or clock.now()) + _BEFORE
    around = between(rest.began_at - _BEFORE, end_at, UTC_ZONE, clock.now())
    url = ""
    if actor.organisation is not None:
        url = rows_url(actor, around, channel=id_text(channel.id))
    return {"rest": rest, "cause": KINDS.get(rest.kind, ""), "requests_url": url}
