"""The spending of this month (UTC), by one column of the rollups."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from lib import clock
from usage.reports.visibility import Where, run, visible
from usage.rollups.levels import since, summed

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
