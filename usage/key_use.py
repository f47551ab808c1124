"""What keys were used for: spent in the month, and when last."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from accounts.actors import Actor
from lib import clock
from usage.rules.buckets import BUCKET
from usage.visibility import run, visible

_BACK = dt.timedelta(days=90)


class KeyUse(NamedTuple):
    """`spent_nano` in the calendar month (UTC) as far as it is summed; `last_at` within 90 days."""

    spent_nano: int
    last_at: dt.datetime | None


def use_of_keys(actor: Actor, key_ids: Sequence[UUID]) -> dict[UUID, KeyUse]:
    """The use of those keys that were used, as far as the actor may see it."""
    now = clock.now()
    where = visible(actor, "usage.read")
    parameters = {
        **where.parameters,
        "keys": list(key_ids),
        "month": now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        "since": now - _BACK,
    }
    sums = run(_SUMS.format(where=where.text), parameters)
    if not sums:
        return {}
    parameters |= {
        "keys": [key for key, _, _ in sums],
        "buckets": [at for _, _, at in sums],
        "ends": [at + BUCKET for _, _, at in sums],
    }
    last = dict(run(_LAST.format(where=where.text), parameters))
    return {key: KeyUse(spent, last.get(key, at)) for key, spent, at in sums}


_SUMS = """
    SELECT r.key_id,
           coalesce(sum(r.charge_nano) FILTER (WHERE r.bucket_at >= %(month)s), 0)::bigint,
           max(r.bucket_at)
    FROM usage_rollup r
    WHERE {where} AND r.key_id = ANY (%(keys)s) AND r.bucket_at >= %(since)s
    GROUP BY r.key_id"""

# The quarter of an hour is known from the sums; the moment in it stands in the records.
_LAST = """
    SELECT r.key_id, max(r.admitted_at) FROM usage_usagerecord r
    JOIN unnest(%(keys)s::uuid[], %(buckets)s::timestamptz[], %(ends)s::timestamptz[])
        AS last (key_id, bucket_at, end_at)
        ON r.key_id = last.key_id AND r.admitted_at >= last.bucket_at
        AND r.admitted_at < last.end_at
    WHERE {where}
    GROUP BY r.key_id"""
