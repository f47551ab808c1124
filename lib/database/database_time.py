"""The database's time, which is the time of money (docs/promises.md, "Time")."""

import datetime as dt

from django.db import connection


def database_now() -> dt.datetime:
    """Return the database's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: dt.datetime = cursor.fetchone()[0]
    return now
