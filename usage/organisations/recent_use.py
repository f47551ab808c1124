"""The use of members: spending in the month, and the time of the last request."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from lib import clock
from usage.buckets.buckets import Span
from usage.filters.visibility import Where, run, visible
from usage.rollups.levels import since, summed

_BACK = dt.timedelta(days=90)


class MemberUse(NamedTuple):
    """`spent_nano` is the summed spending of the calendar month (UTC). `last_at` is the quarter
    hour of the last request within 90 days."""

    spent_nano: int
    last_at: dt.datetime | None


NO_USE = MemberUse(0, None)


def use_of_members(actor: Actor, user_ids: Sequence[int]) -> dict[int, MemberUse]:
    """Return the use of those people who used anything, as far as the actor may see it."""
    if not user_ids or scope_of(actor, "usage.read") is None:
        return {}
    now = clock.now()
    text, parameters = visible(actor, "usage.read")
    where = Where(
        f"{text} AND r.user_id = ANY (%(users)s)", {**parameters, "users": list(user_ids)}
    )
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    # Two spans, because no day or hour may extend over the start of the month.
    rows = summed(where, [Span(now - _BACK, month), since(month)])
    sums = run(_SUMS.format(rows=rows.text, where=where.text), {**rows.parameters, "month": month})
    return {user: MemberUse(spent, at) for user, spent, at in sums}


# The last sum gives the day or hour, and its quarters give the rest.
_SUMS = """
    SELECT used.user_id, used.spent_nano, coalesce((
        SELECT max(r.bucket_at) FROM usage_rollup r
        WHERE {where} AND r.user_id = used.user_id AND r.bucket_at >= used.last_at
          AND r.bucket_at < used.last_at + interval '1 day'), used.last_at)
    FROM (
        SELECT r.user_id, max(r.bucket_at) AS last_at,
               coalesce(sum(r.charge_nano) FILTER (WHERE r.bucket_at >= %(month)s), 0)::bigint
                   AS spent_nano
        FROM {rows} r GROUP BY r.user_id
    ) used"""


Dimension = Literal["team_id", "user_id", "organisation_id"]


def month_spending(actor: Actor, by: Dimension) -> dict[Any, int]:
    """Return the charged nano by team or person; empty for readers without access to usage."""
    if scope_of(actor, "usage.read") is None:
        return {}
    where = visible(actor, "usage.read")
    return _sums(by, where.text, where.parameters)


def month_spending_of(organisations: Sequence[UUID]) -> dict[Any, int]:
    """Return the charged nano of each of these organisations, for operators."""
    where = "r.organisation_id = ANY (%(organisations)s)"
    return _sums("organisation_id", where, {"organisations": list(organisations)})


def _sums(by: Dimension, where: str, parameters: dict[str, Any]) -> dict[Any, int]:
    begin = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = summed(Where(where, parameters), [since(begin)])
    text = f"""
        SELECT r.{by}, sum(r.charge_nano)::bigint FROM {rows.text} r GROUP BY r.{by}"""  # noqa: S608 - names
    return dict(run(text, rows.parameters))
