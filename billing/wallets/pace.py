"""How long a balance lasts at the recent rate of spending."""

import datetime as dt
from typing import Final, NamedTuple

DAYS: Final = 7
"""The number of recent days that determine the rate of spending."""
_FAR_DAYS: Final = 365


class Pace(NamedTuple):
    """How long the balance lasts: `state` is none, now, later or date."""

    state: str
    on: dt.date | None = None
    days: int = 0


def pace_days(lived: int) -> int:
    """Return the number of days, today included, over which to measure the spending of an
    organisation that is `lived` days old."""
    return min(DAYS, max(1, lived))


def pace_of(total_nano: int, spent_nano: int, days: int, today: dt.date) -> Pace:
    """Return how long a balance lasts if `spent_nano` was spent in the last `days` days."""
    if total_nano <= 0:
        return Pace("now")
    if spent_nano <= 0:
        return Pace("none")
    left = total_nano * days // spent_nano
    if left > _FAR_DAYS:
        return Pace("later")
    return Pace("date", today + dt.timedelta(days=left), left)
