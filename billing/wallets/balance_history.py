"""An organisation's balance per day, computed from its statements. The last day has the present
balance."""

import datetime as dt
from collections.abc import Sequence
from typing import Final, NamedTuple

from accounts.models import Organisation
from billing.ledger.statement import USAGE, Statement
from lib import clock

_DAY: Final = dt.timedelta(days=1)


class BalanceDay(NamedTuple):
    """One day of UTC: the balance at its end, and the money added that day (top-ups, codes,
    credits)."""

    on: dt.date
    balance_nano: int
    added_nano: int


def balance_days(organisation: Organisation, statements: Sequence[Statement]) -> list[BalanceDay]:
    """Return every day of the statements from the organisation's first day to today."""
    today = clock.now().astimezone(dt.UTC).date()
    first = max(statements[0].month, organisation.created_at.astimezone(dt.UTC).date())
    balance_nano = statements[0].opening_nano
    ends: dict[dt.date, int] = {}
    added: dict[dt.date, int] = {}
    for line in (line for month in statements for line in reversed(month.lines)):
        on = line.at.astimezone(dt.UTC).date()
        ends[on] = line.balance_nano
        if line.kind != USAGE and line.amount_nano > 0:
            added[on] = added.get(on, 0) + line.amount_nano
    days = []
    for n in range((today - first).days + 1):
        on = first + n * _DAY
        balance_nano = ends.get(on, balance_nano)
        days.append(BalanceDay(on, balance_nano, added.get(on, 0)))
    return days
