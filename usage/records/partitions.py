"""Monthly partitions of holds, attempts and usage records, by the time inside their ids. The rows
of an attempt share its id, and are in the month in which it began (docs/adr/0019).

A default partition accepts rows without a partition, so that no row is refused. Months are created
in advance, because a month with rows in the default partition can no longer be split off.
"""

import datetime as dt
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper

from lib import clock
from lib.database.partition_split import end_of_first
from lib.database.table_locks import LOCK_WAIT_MS
from lib.ids import first_id_at

PARTITIONED = ("usage_attempt", "usage_usagerecord", "billing_hold")
_AHEAD = 3
# A hold is updated when it ends, so its page keeps free space.
_STORED = {"billing_hold": " WITH (fillfactor = 60)"}


def ensure_partitions(since: dt.date | None = None) -> list[str]:
    """Create missing partitions of this month and the next three, or of all months from `since` on.
    Return their names."""
    created: list[str] = []
    this_month = clock.now().date().replace(day=1)
    month = (since or this_month).replace(day=1)
    last = (this_month + _AHEAD * dt.timedelta(days=31)).replace(day=1)
    with connection.cursor() as cursor:
        begin = _begin(cursor)
        while month <= last:
            for table, first in begin.items():
                name = name_of(table, month)
                cursor.execute("SELECT to_regclass(%s)", [name])
                if cursor.fetchone() == (None,) and ids_of(month)[0] >= first:
                    _make(cursor, table, month)
                    created.append(name)
            month = next_month(month)
    return created


def _begin(cursor: CursorWrapper) -> dict[str, UUID]:
    """Return the id at which each table's partitions begin. A table that is not migrated yet is
    left out."""
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'p' AND relname = ANY (%s) "
        "AND relnamespace = current_schema()::regnamespace",
        [list(PARTITIONED)],
    )
    return {table: end_of_first(table) or UUID(int=0) for (table,) in cursor.fetchall()}


def _make(cursor: CursorWrapper, table: str, month: dt.date) -> None:
    with transaction.atomic():
        # Another transaction, such as a backup, may hold the table. The next try is an hour later.
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        make_partition(cursor, table, month)


def name_of(table: str, month: dt.date) -> str:
    """Return the name of a month's partition. `month` is its first day."""
    return f"{table}_{month:%Y_%m}"


def next_month(month: dt.date) -> dt.date:
    """Return the first day of the next month."""
    return (month + dt.timedelta(days=32)).replace(day=1)


def ids_of(month: dt.date) -> tuple[UUID, UUID]:
    """Return the smallest id of a month, and the smallest id of the next month."""
    return first_id_at(_start(month)), first_id_at(_start(next_month(month)))


def has_own(month: dt.date) -> bool:
    """Return whether every table has a separate partition for this month."""
    with connection.cursor() as cursor:
        cursor.execute(_OWN, [[name_of(table, month) for table in PARTITIONED]])
        return bool(cursor.fetchone()[0] == len(PARTITIONED))


def make_partition(cursor: CursorWrapper, table: str, month: dt.date) -> None:
    """Create the partition of a month that has none, in the caller's transaction."""
    first, end = ids_of(month)
    stored = _STORED.get(table, "")
    span = f"FROM ('{first}') TO ('{end}')"
    cursor.execute(
        f"CREATE TABLE {name_of(table, month)} PARTITION OF {table} FOR VALUES {span}{stored}"
    )
    guard_partition(cursor, table, month)


def guard_partition(cursor: CursorWrapper, table: str, month: dt.date) -> None:
    """Add the trigger that prevents emptying an append-only table. Row triggers are inherited from
    the table, but this one is not."""
    cursor.execute(
        "SELECT FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = 'never_emptied'",
        [table],
    )
    if cursor.fetchone() is not None:
        cursor.execute(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {name_of(table, month)} "
            "FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once()"
        )


def partitioned_until() -> dt.date | None:
    """Return the first day of the last month for which every table has a partition."""
    with connection.cursor() as cursor:
        cursor.execute(_MADE_UNTIL, {"tables": list(PARTITIONED)})
        until: dt.date | None = cursor.fetchone()[0]
    return until


def has_rows_outside() -> bool:
    """Return whether a default partition has rows, which means that no partition can be created for
    their month any more."""
    with connection.cursor() as cursor:
        conditions = [f"EXISTS (SELECT FROM {table}_other)" for table in _begin(cursor)]
        cursor.execute(f"SELECT {' OR '.join(conditions)}")
        return bool(cursor.fetchone()[0])


def ensure_at_migration(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    ensure_partitions()


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

_OWN = """
    SELECT count(*) FROM unnest(%s::text[]) AS name JOIN pg_class ON oid = to_regclass(name)
    WHERE relispartition"""
