"""The only module that reads the wall clock (house rule: no `now()` elsewhere). Money uses the
database's clock; this one is for pages and expiring links.
"""

import datetime as dt


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def rfc3339(at: dt.datetime) -> str:
    """Format a time as the management API does: in UTC, to the millisecond."""
    precision = "milliseconds" if at.microsecond >= 1000 else "seconds"
    return at.astimezone(dt.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
