"""Lifetimes of sessions: 12 hours idle (1 hour for an operator), at most 7 days."""

import datetime as dt
from typing import Final

IDLE: Final = dt.timedelta(hours=12)
IDLE_OPERATOR: Final = dt.timedelta(hours=1)
ABSOLUTE: Final = dt.timedelta(days=7)


def is_over(
    created_at: dt.datetime, seen_at: dt.datetime, now: dt.datetime, *, operator: bool
) -> bool:
    """Return whether a session that began and was last used then has ended by `now`."""
    idle = IDLE_OPERATOR if operator else IDLE
    return now - seen_at >= idle or now - created_at >= ABSOLUTE
