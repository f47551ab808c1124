"""The current use of a channel's limits, counted as admission counts it."""

from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils.translation import gettext_lazy as _

from billing.currency.words import beside_text, limit_text
from gateway.channels.fields import LIMITS
from gateway.health.sql import Spend, read_spend
from gateway.models import Channel
from lib.numbers.formatting import group_digits

_LABELS: Final = {
    "rpm": _("Requests per minute"),
    "tpm": _("Tokens per minute"),
    "parallel": _("Concurrent requests"),
}


class LimitUse(NamedTuple):
    """One limit of a channel, and its current use; in nano for a limit of `money`."""

    label: Any
    used: int
    most: int
    money: bool = False

    @property
    def used_text(self) -> str:
        return beside_text(self.used, self.most) if self.money else group_digits(self.used)

    @property
    def most_text(self) -> str:
        return limit_text(self.most) if self.money else group_digits(self.most)

    @property
    def reached(self) -> bool:
        return self.used >= self.most


def limits_of(channel: Channel) -> list[LimitUse]:
    """Return the limits of the channel; without any, nothing is queried."""
    return [*_limits_of(channel), *_caps(channel)]


def _caps(channel: Channel) -> list[LimitUse]:
    caps = (channel.spend_cap_day_nano, channel.spend_cap_month_nano)
    if caps == (None, None):
        return []
    text, parameters = read_spend([channel.id])
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        spend = Spend(*cursor.fetchone())
    labels, spent = (_("Cost today"), _("Cost this month")), (spend.day_nano, spend.month_nano)
    return [
        LimitUse(label, nano, cap, money=True)
        for label, nano, cap in zip(labels, spent, caps, strict=True)
        if cap is not None
    ]


def _limits_of(channel: Channel) -> list[LimitUse]:
    most = {name: getattr(channel, name) for name in LIMITS}
    if not any(most.values()):
        return []
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"channel": channel.id})
        used = dict(zip(LIMITS, cursor.fetchone(), strict=True))
    return [
        LimitUse(_LABELS[name], used[name], count)
        for name, count in most.items()
        if count is not None
    ]


_USED: Final = """
    SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(tokens), 0)::bigint, (
        SELECT count(*) FROM billing_hold
        WHERE leased_channel_id = %(channel)s AND state = 'open' AND expires_at > now())
    FROM billing_ratesecond
    WHERE subject_id = %(channel)s AND second >= floor(extract(epoch FROM now()))::bigint - 60"""
