"""What a key has spent since the beginning of the day, the week and the month (UTC)."""

import datetime as dt
from typing import NamedTuple

from accounts.access.actors import Actor
from lib import clock
from usage.filters.visibility import run, visible
from usage.rollups.levels import since, summed


class Spending(NamedTuple):
    """The charged amounts in nano since the beginning of the present day, of the week (Monday), and
    of the month."""

    day_nano: int
    week_nano: int
    month_nano: int


def spending_of(actor: Actor) -> Spending:
    """Return the spending that the actor may see. A model key sees the key's own."""
    day = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    begins = day, day - dt.timedelta(days=day.weekday()), day.replace(day=1)
    return Spending(*(_spent_since(actor, begin_at) for begin_at in begins))


def _spent_since(actor: Actor, begin_at: dt.datetime) -> int:
    rows = summed(visible(actor, "usage.read"), [since(begin_at)])
    [(spent_nano,)] = run(_SPENT.format(rows=rows.text), rows.parameters)
    return int(spent_nano)


_SPENT = "SELECT coalesce(sum(r.charge_nano), 0)::bigint FROM {rows} r"
