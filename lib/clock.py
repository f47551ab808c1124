"""The one place where the product reads the wall clock (house rule: `now()` nowhere else).

Money time is the database's own clock; this one is for pages and deadlines of links.
"""

import datetime as dt


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
