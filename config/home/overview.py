"""The panels of an operator's overview: what needs attention, traffic, money, providers, jobs. Each
is loaded separately, as on Home."""

import datetime as dt
from typing import Final

from django.db import connection
from django.db.models import Sum
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.access.actors import Actor
from billing.models import TopUp
from config.home.attention import installation_attention
from config.home.panels import Context, Panel, channels_panel
from config.jobs.runs import job_states
from gateway.health.figures import ChannelFigures
from gateway.models import ChannelSpend, TrafficBucket
from lib import clock

_DAY: Final = dt.timedelta(days=1)


def _traffic(request: HttpRequest, actor: Actor) -> Context:
    """The last 24 hours, as far as the traffic is counted, and what runs now."""
    counted = TrafficBucket.objects.filter(bucket_at__gt=clock.now() - _DAY).aggregate(
        requests=Sum("requests", default=0),
        failed=Sum("failed_requests", default=0),
        tokens=Sum("output_tokens", default=0),
    )
    return {**counted, "in_flight": ChannelFigures().in_flight}


def _money(request: HttpRequest, actor: Actor) -> Context:
    """This month in UTC, of all organisations."""
    first = clock.now().astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_CHARGED, {"first": first})
        (charged_nano,) = cursor.fetchone()
    cost = ChannelSpend.objects.filter(day__gte=first.date())
    paid = TopUp.objects.filter(paid_at__gte=first, live=True)
    return {
        "first": first,
        "charged_nano": charged_nano,
        "cost_nano": cost.aggregate(nano=Sum("cost_nano", default=0))["nano"],
        "paid_nano": paid.aggregate(nano=Sum("amount_nano", default=0))["nano"],
    }


def _attention(request: HttpRequest, actor: Actor) -> Context:
    return {"items": installation_attention(actor)}


def _jobs(request: HttpRequest, actor: Actor) -> Context:
    states = job_states()
    return {"jobs": len(states), "late": [state for state in states if state.late]}


OVERVIEW: Final = {
    panel.name: panel
    for panel in (
        Panel("attention", _("Needs attention"), "channels.read", _attention),
        Panel("traffic", _("Last 24 hours"), "channels.read", _traffic),
        Panel("money", _("This month"), "credits.read", _money),
        Panel("channels", _("Channels"), "channels.read", channels_panel),
        Panel("jobs", _("Background jobs"), "channels.read", _jobs),
    )
}
# Of sums of a quarter of an hour, not of single requests.
_CHARGED: Final = """
    SELECT coalesce(sum(charge_nano), 0)::bigint FROM usage_rollup WHERE bucket_at >= %(first)s"""
