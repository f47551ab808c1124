"""Stop requests to channels whose spending cap is reached, until the day or month ends. Each
process reads the settled costs once per second; requests that are running then, or start before the
next read, come on top. Nothing is read if no channel has a cap."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal
from uuid import UUID

from gateway.health.sql import Spend, read_spend
from relay.catalogue.snapshot import Channel, Snapshot
from relay.database.database import Row, Statement
from relay.health.channel_health import Health

_SpendReason = Literal["spend_day", "spend_month"]
_REASONS: Final[tuple[_SpendReason, _SpendReason]] = ("spend_day", "spend_month")


async def apply_spend_caps(
    health: Health, snapshot: Snapshot, ask: Callable[[Statement], Awaitable[Sequence[Row]]]
) -> None:
    """Block the channels that have reached their cap, and unblock the others. Raises
    DatabaseFailed.
    """
    if not snapshot.spend_capped:
        return
    channels = [snapshot.channels[channel_id] for channel_id in snapshot.spend_capped]
    for row in await ask(read_spend([channel.uuid for channel in channels])):
        spend = _spend(row)
        _apply(health, snapshot.channels[str(spend.channel_id)], spend)


def _apply(health: Health, channel: Channel, spend: Spend) -> None:
    spent = (spend.day_nano, spend.month_nano)
    left = (spend.day_left_s, spend.month_left_s)
    for reason, cap, nano, left_s in zip(_REASONS, channel.spend_caps, spent, left, strict=True):
        reached = cap is not None and nano >= cap
        health.bar(channel, reason, left_s if reached else 0.0)
        if reached:
            health.alert_channel(channel, reason)


def _spend(row: Row) -> Spend:
    channel_id, day, month, day_left_s, month_left_s = row
    return Spend(
        UUID(channel_id or ""),
        int(day or 0),
        int(month or 0),
        float(day_left_s or 0),
        float(month_left_s or 0),
    )
