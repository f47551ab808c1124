"""The one place where the product reads the wall clock (house rule: `now()` nowhere else).

Money time is the database's own clock; this one is for pages and deadlines of links.
"""

import datetime as dt


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def rfc3339(at: dt.datetime) -> str:
    """Format a time as the management API does: in UTC, to the millisecond."""
    precision = "milliseconds" if at.microsecond >= 1000 else "seconds"
    return at.astimezone(dt.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
