"""Monthly partitions of holds, attempts and usage records, cut on the time inside their ids: those
of an attempt have its id, and lie in the month in which it began (docs/adr/0019).

A default partition takes what has none, so that no row is ever refused; months are made ahead of
their time because a month whose rows already lie in the default partition cannot be cut any more.
"""

import datetime as dt
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper

from lib import clock
from lib.ids import first_id_at, id_before
from lib.partition_split import end_of_first

PARTITIONED = ("usage_attempt", "usage_usagerecord", "billing_hold")
ID_SLACK = dt.timedelta(days=1)
"""Ids are made by the processes' clocks, times by the database's; nothing is a day apart."""
_AHEAD = 3
# Making one waits for whoever reads the table, such as a backup; meanwhile nobody could write. It
# is tried again an hour later.
_LOCK_WAIT_MS = 1000
# A hold is updated when it ends, for which its page has room.
_STORED = {"billing_hold": " WITH (fillfactor = 60)"}


def ensure_partitions(since: dt.date | None = None) -> list[str]:
    """Make the partitions of this month and the next three that are missing, or of all months from
    a date on; their names."""
    made: list[str] = []
    this_month = clock.now().date().replace(day=1)
    month = (since or this_month).replace(day=1)
    last = (this_month + _AHEAD * dt.timedelta(days=31)).replace(day=1)
    with connection.cursor() as cursor:
        begin = _begin(cursor)
        while month <= last:
            following = (month + dt.timedelta(days=32)).replace(day=1)
            for table, first in begin.items():
                name = f"{table}_{month:%Y_%m}"
                cursor.execute("SELECT to_regclass(%s)", [name])
                if cursor.fetchone() == (None,) and first_id_at(_start(month)) >= first:
                    _make(cursor, name, table, f"FROM ('{_edge(month)}') TO ('{_edge(following)}')")
                    made.append(name)
            month = following
    return made


def _begin(cursor: CursorWrapper) -> dict[str, UUID]:
    """The id from which on each table is cut. One that a migration has not come to is left out."""
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'p' AND relname = ANY (%s) "
        "AND relnamespace = current_schema()::regnamespace",
        [list(PARTITIONED)],
    )
    return {table: end_of_first(table) or UUID(int=0) for (table,) in cursor.fetchall()}


def _make(cursor: CursorWrapper, name: str, table: str, span: str) -> None:
    with transaction.atomic():
        cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}")
        stored = _STORED.get(table, "")
        cursor.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES {span}{stored}")
        # The triggers of rows come from the table; this one, of what is written once, does not.
        cursor.execute(
            "SELECT FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = 'never_emptied'",
            [table],
        )
        if cursor.fetchone() is not None:
            cursor.execute(
                f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {name} "
                "FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once()"
            )


def ids_near(id: UUID) -> tuple[UUID, UUID]:
    """The range of the ids of a request's attempts and records, by the id of the request."""
    return id_before(id, ID_SLACK), id_before(id, -ID_SLACK)


def made_until() -> dt.date | None:
    """The last month, by its first day, that every table has a partition for."""
    with connection.cursor() as cursor:
        cursor.execute(_MADE_UNTIL, {"tables": list(PARTITIONED)})
        until: dt.date | None = cursor.fetchone()[0]
    return until


def has_rows_outside() -> bool:
    """Whether a default partition has taken rows, whose month cannot be made any more."""
    with connection.cursor() as cursor:
        found = [f"EXISTS (SELECT FROM {table}_other)" for table in _begin(cursor)]
        cursor.execute(f"SELECT {' OR '.join(found)}")
        return bool(cursor.fetchone()[0])


def ensure_at_migration(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    ensure_partitions()


def _edge(month: dt.date) -> str:
    return str(first_id_at(_start(month)))


def _start(month: dt.date) -> dt.datetime:
    return dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)


_MADE_UNTIL = """
    SELECT min(until) FROM (
        SELECT (SELECT max(to_date(right(part.relname, 7), 'YYYY_MM'))
                FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
                WHERE inhparent = to_regclass(name)
                  AND part.relname ~ '_[0-9]{4}_[0-9]{2}$') AS until
        FROM unnest(%(tables)s::text[]) AS name
    ) tables HAVING count(until) = count(*)"""
