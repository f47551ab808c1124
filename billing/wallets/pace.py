"""How long a balance lasts at what was spent of late."""

import datetime as dt
from typing import Final, NamedTuple

DAYS: Final = 7
"""So many last days tell how fast it is spent."""
_FAR_DAYS: Final = 365


class Pace(NamedTuple):
    """How long the balance lasts: `state` is none, now, later or date."""

    state: str
    on: dt.date | None = None
    days: int = 0


def pace_days(lived: int) -> int:
    """Over how many days, today included, an organisation's spending is looked at that has lived
    so many."""
    return min(DAYS, max(1, lived))


def pace_of(total_nano: int, spent_nano: int, days: int, today: dt.date) -> Pace:
    """Where a balance leads of which so much was spent in the last `days`."""
    if total_nano <= 0:
        return Pace("now")
    if spent_nano <= 0:
        return Pace("none")
    left = total_nano * days // spent_nano
    if left > _FAR_DAYS:
        return Pace("later")
    return Pace("date", today + dt.timedelta(days=left), left)
