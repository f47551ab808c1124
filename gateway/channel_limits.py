"""What is used of the limits of a channel, as the admission counts it."""

from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils.translation import gettext_lazy as _

from gateway.channel_fields import LIMITS
from gateway.models import Channel

_LABELS: Final = {
    "rpm": _("Requests per minute"),
    "tpm": _("Tokens per minute"),
    "parallel": _("Concurrent requests"),
}


class LimitUse(NamedTuple):
    """One limit of a channel, and how much of it is used now."""

    label: Any
    used: int
    most: int

    @property
    def reached(self) -> bool:
        return self.used >= self.most


def limits_of(channel: Channel) -> list[LimitUse]:
    """Those that the channel has; nothing is read where it has none."""
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
