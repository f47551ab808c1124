"""Dropping what has been kept long enough: whole partitions and objects, never rows."""

import datetime as dt

from django.db import OperationalError, connection, transaction

from content.log.objects import drop_texts
from content.log.sealed import content_store
from content.sinks.sinks import used_content_sinks
from lib import clock
from lib.database.table_locks import LOCK_WAIT_MS


def drop_expired() -> int:
    """Drop the partitions and objects whose time is over. Return the number of partitions. One that
    another transaction uses, such as a backup, is dropped by a later run; nobody can read it until
    then. Raises StoreAway."""
    dropped = 0
    for name, drop_at in _partitions():
        if drop_at <= clock.now():
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                    for sink in used_content_sinks():
                        sink.count_expired(drop_at)
                    cursor.execute(f"DROP TABLE {name}")
                dropped += 1
            except OperationalError:
                continue
    store = content_store()
    if store is not None:
        drop_texts(store, clock.now())
    return dropped


def _partitions() -> list[tuple[str, dt.datetime]]:
    """Return the partitions and the times at which they are dropped."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS)
        return list(cursor.fetchall())


_PARTITIONS = """
    SELECT part.oid::regclass::text,
           to_timestamp(right(part.relname, 13), 'YYYY_MM_DD_HH24')::timestamp AT TIME ZONE 'UTC'
    FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
    WHERE inhparent = 'content_entry'::regclass
    ORDER BY 2"""
