"""Monthly partitions of the attempts and usage records, cut on the time inside their ids.

A default partition takes what has none, so that no row is ever refused; months are made ahead of
their time because a month whose rows already lie in the default partition cannot be cut any more.
"""

import datetime as dt
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper

from lib import clock
from lib.ids import first_id_at

PARTITIONED = ("usage_attempt", "usage_usagerecord")
ID_SLACK = dt.timedelta(days=1)
"""Ids are made by the processes' clocks, times by the database's; nothing is a day apart."""
_AHEAD = 3
# Making one waits for whoever reads the table, such as a backup; meanwhile nobody could write. It
# is tried again an hour later.
_LOCK_WAIT_MS = 1000


def ensure_partitions(since: dt.date | None = None) -> list[str]:
    """Make the partitions of this month and the next three that are missing, or of all months from
    a date on; their names."""
    made: list[str] = []
    this_month = clock.now().date().replace(day=1)
    month = (since or this_month).replace(day=1)
    last = (this_month + _AHEAD * dt.timedelta(days=31)).replace(day=1)
    with connection.cursor() as cursor:
        while month <= last:
            following = (month + dt.timedelta(days=32)).replace(day=1)
            for table in PARTITIONED:
                name = f"{table}_{month:%Y_%m}"
                cursor.execute("SELECT to_regclass(%s)", [name])
                if cursor.fetchone() == (None,):
                    _make(cursor, name, table, f"FROM ('{_edge(month)}') TO ('{_edge(following)}')")
                    made.append(name)
            month = following
    return made


def _make(cursor: CursorWrapper, name: str, table: str, span: str) -> None:
    with transaction.atomic():
        cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}")
        cursor.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES {span}")
        # The triggers of rows come from the table; this one does not.
        cursor.execute(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once()"
        )


def ids_near(id: UUID) -> tuple[UUID, UUID]:
    """The range of the ids of a request's attempts and records, by the id of the request."""
    slack = ID_SLACK // dt.timedelta(milliseconds=1)
    at = id.int >> 80
    return UUID(int=max(at - slack, 0) << 80), UUID(int=min(at + slack, 2**48 - 1) << 80)


def made_until() -> dt.date | None:
    """The last month, by its first day, that every table has a partition for."""
    with connection.cursor() as cursor:
        cursor.execute(_MADE_UNTIL, {"tables": list(PARTITIONED)})
        until: dt.date | None = cursor.fetchone()[0]
    return until


def has_rows_outside() -> bool:
    """Whether a default partition has taken rows, whose month cannot be made any more."""
    found = " OR ".join(f"EXISTS (SELECT FROM {table}_other)" for table in PARTITIONED)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {found}")
        return bool(cursor.fetchone()[0])


def ensure_at_migration(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    ensure_partitions()


def _edge(month: dt.date) -> str:
    return str(first_id_at(dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)))


_MADE_UNTIL = """
    SELECT min(until) FROM (
        SELECT (SELECT max(to_date(right(part.relname, 7), 'YYYY_MM'))
                FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
                WHERE inhparent = name::regclass AND part.relname ~ '_[0-9]{4}_[0-9]{2}$') AS until
        FROM unnest(%(tables)s::text[]) AS name
    ) tables HAVING count(until) = count(*)"""
