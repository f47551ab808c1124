"""Let two transactions meet in a known order."""

import os

import psycopg
from django.db import connection

_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"


def await_waiting() -> None:
    """Return once another connection of this database waits for a lock."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(os.environ["DATABASE_URL"], dbname=name, autocommit=True) as watcher:
        for _ in range(20_000):
            row = watcher.execute(_WAITS, [name]).fetchone()
            if row is not None and row[0]:
                return
    raise AssertionError("nobody waits")
