"""What members did: spent in the month, and when they were seen last."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from accounts.access import scope_of
from accounts.actors import Actor
from lib import clock
from usage.visibility import run, visible

_BACK = dt.timedelta(days=90)


class MemberUse(NamedTuple):
    """`spent_nano` in the calendar month (UTC) as far as it is summed; `last_at` is the quarter of
    an hour of the last request within 90 days."""

    spent_nano: int
    last_at: dt.datetime | None


NO_USE = MemberUse(0, None)


def use_of_members(actor: Actor, user_ids: Sequence[int]) -> dict[int, MemberUse]:
    """The use of those people who used anything, as far as the actor may see it."""
    if not user_ids or scope_of(actor, "usage.read") is None:
        return {}
    now = clock.now()
    where = visible(actor, "usage.read")
    parameters = {
        **where.parameters,
        "users": list(user_ids),
        "month": now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        "since": now - _BACK,
    }
    rows = run(_SUMS.format(where=where.text), parameters)
    return {user: MemberUse(spent, at) for user, spent, at in rows}


_SUMS = """
    SELECT r.user_id,
           coalesce(sum(r.charge_nano) FILTER (WHERE r.bucket_at >= %(month)s), 0)::bigint,
           max(r.bucket_at)
    FROM usage_rollup r
    WHERE {where} AND r.user_id = ANY (%(users)s) AND r.bucket_at >= %(since)s
    GROUP BY r.user_id"""
