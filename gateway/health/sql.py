"""The cost of channels today and this month, according to the settled records, each counted once;
and totals of `/metrics` without labels."""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from lib.ids import id_array

Statement = tuple[str, dict[str, str]]

ZONE: Final = "UTC"
"""The time zone of the days and months of spending caps: the installation's
(config/settings.py)."""

Family = Literal[
    "shed", "dropped_lines", "damaged_records", "content_dropped", "guards_passed"
]  # fmt: skip
"""Requests refused by a busy process; dropped log lines; unreadable records of spools and journals;
requests missing from the content log; questions to guards that failed, after which texts passed
unchecked."""

ALONE: Final = ("shed", "dropped_lines", "damaged_records", "content_dropped", "guards_passed")
"""Totals that belong to no model or channel."""


class Spend(NamedTuple):
    """The spending of one channel, and the seconds until its day and month end."""

    channel_id: UUID
    day_nano: int
    month_nano: int
    day_left_s: float
    month_left_s: float


def read_spend(channel_ids: Iterable[UUID]) -> Statement:
    """Return the statement that reads a row of `Spend` for each of these channels, as texts or
    numbers."""
    return _READ_SPEND, {"channels": id_array(channel_ids), "zone": ZONE}


def add_to_total(family: Family, value: int) -> tuple[str, dict[str, Any]]:
    """Return the statement that adds a value to the total of all processes."""
    return _ADD, {"family": family, "value": value}


# The traffic count has the days (gateway/health/traffic.py). Records that its last run did not see
# are found by the snapshot that it stored.
_READ_SPEND: Final = """
    WITH clock AS (
        SELECT at, at::date AS today, date_trunc('month', at) AS month
        FROM (SELECT now() AT TIME ZONE %(zone)s AS at) here
    ),
    counted AS (
        SELECT coalesce((SELECT snapshot FROM gateway_trafficcursor), '1:1:')::pg_snapshot AS seen
    ),
    cost AS (
        SELECT channel_id, day, cost_nano FROM gateway_channelspend, clock
        WHERE channel_id = ANY (%(channels)s::uuid[]) AND day >= month
        UNION ALL
        SELECT r.channel_id, (r.ended_at AT TIME ZONE %(zone)s)::date,
               coalesce(r.cost_nano, r.charge_nano)
        FROM clock, counted, usage_usagerecord r
        WHERE r.xid >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(r.xid, seen)
          AND r.channel_id = ANY (%(channels)s::uuid[])
          AND r.ended_at >= month AT TIME ZONE %(zone)s
    )
    SELECT channel.id, coalesce(sum(cost_nano) FILTER (WHERE day = today), 0)::bigint,
           coalesce(sum(cost_nano), 0)::bigint,
           extract(epoch FROM today + 1 - at)::float,
           extract(epoch FROM month + interval '1 month' - at)::float
    FROM clock, unnest(%(channels)s::uuid[]) AS channel (id)
    LEFT JOIN cost ON cost.channel_id = channel.id
    GROUP BY channel.id, today, month, at"""

_ADD: Final = """
    INSERT INTO gateway_traffictotal AS total (family, labels, value, counts)
    VALUES (%(family)s, '{}', %(value)s::bigint, '{}')
    ON CONFLICT (family, labels) DO UPDATE SET value = total.value + excluded.value"""
