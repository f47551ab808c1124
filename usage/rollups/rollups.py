"""Rollups: sums of the usage records per quarter hour, replaced and never incremented (I16).

Hours are summed from quarters and days from hours, for reports over long times (`level_rules.py`).
They exist up to a mark that advances by at most a day per run, also in an installation that had
none. New records before the mark are summed again on every level.

The quarters of the last hour are summed from minutes, and the minutes from records. So a run reads
the records of the minutes that have new ones, however many the quarter has. A late record has its
minute summed again; one that is older than the minutes, its whole quarter.

Records never change, so new records show which sums are out of date: every record has the id of the
transaction that wrote it. A run reads the records since the oldest transaction of this database
that was open at the last run. The minutes of those records are deleted and summed again from all
their records, and their quarters from all their minutes. So no record is missed, in whatever order
transactions commit, and any number of runs gives the same bytes.

Complete means that no record of a request admitted before `complete_to` can still arrive. What may
arrive is known: an open hold is an attempt whose record is missing, and an open transaction may
still write an attempt or a refusal that was admitted when it began.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from billing.prices.meters import METERS
from lib.database.open_transactions import OPEN_HERE
from lib.database.postgres_tools import BACKUP_NAME
from lib.ids import ID_SLACK, first_id_at
from usage.buckets.buckets import Span
from usage.records.outcomes import FAILED_SQL
from usage.rollups.level_rules import WIDTHS, AnyLevel, Bucket, Level, runs, start_of
from usage.rollups.levels import ALWAYS, COMMON, TABLES, columns_of
from usage.rollups.sums import MERGED_SAVED, MERGED_TIMES, OWN_SUM, TIME_SUMS, TIMES

MINUTES_KEPT: Final = dt.timedelta(hours=1)
"""How long there are sums of minutes. Most requests end sooner."""


class Rolled(NamedTuple):
    """The result of a run: the number of replaced quarters (of one organisation each), and of rows
    written for them."""

    buckets: int
    rows: int


def roll_up(*, rest: bool = False) -> Rolled | None:
    """Bring the rollups up to date. Return None if another process is doing that.

    With `rest`, also return None for twenty times the duration of the last run. Every run sums the
    current minute again, which under heavy load must not cost more than the requests themselves.

    Rebuild everything if there is no cursor yet, or if the cursor is ahead of the database's
    transactions, because a dump was restored into a newer server with fewer transactions.
    """
    try:
        with _sole_reader(wait=False) as (cursor, settled_at):
            return None if rest and _resting(cursor) else _replace_new(cursor, settled_at)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return None
        raise


def rebuild() -> Rolled:
    """Replace all rollups from the records."""
    with _sole_reader(wait=True) as (cursor, settled_at):
        return replace_all(cursor, settled_at)


def replace_all(cursor: CursorWrapper, settled_at: dt.datetime) -> Rolled:
    """Replace all rollups except those of detached months, in the caller's transaction.

    `settled_at` is an instant before which every transaction has ended.
    """
    cursor.execute(_DROP_ALL)
    levels_to = _levels_may_reach(cursor)
    rows = 0
    cursor.execute(_DETACHED)
    detached = cursor.fetchall()
    # Day by day, because more sums would not fit into memory.
    for day in _days_of_records(cursor):
        if any(from_at <= day.start_at < to_at for from_at, to_at in detached):
            continue
        rows += _execute(cursor, _WRITE_QUARTERS, _bounds(day))
        _fill_levels(cursor, Span(day.start_at, min(day.end_at, levels_to)))
    cursor.execute(_COUNT_BUCKETS)
    buckets: int = cursor.fetchone()[0]
    _advance(cursor, settled_at, levels_to, _move_minutes(cursor, None), forget=True)
    return Rolled(buckets, rows)


@contextmanager
def _sole_reader(*, wait: bool) -> Iterator[tuple[CursorWrapper, dt.datetime]]:
    """Let only one process run, with a snapshot that is taken after it got the lock.

    The open transactions are read before that snapshot. A transaction that ended in between is
    visible in the snapshot; one that began in between admits nothing before that reading.
    """
    with connection.cursor() as cursor:
        cursor.execute(SETTLED_AT)
        settled_at: dt.datetime = cursor.fetchone()[0]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Locking takes no snapshot. The first query after it does.
        cursor.execute(_LOCK if wait else f"{_LOCK} NOWAIT")
        # There are many small groups. Sorting them on disk takes ten times as long.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        yield cursor, settled_at


def _resting(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT now() < rest_until FROM usage_rollupwatermark")
    row = cursor.fetchone()
    return bool(row and row[0])


def _replace_new(cursor: CursorWrapper, settled_at: dt.datetime) -> Rolled:
    cursor.execute(_READ_CURSOR)
    row = cursor.fetchone()
    if row is None or row[0] > row[1]:
        return replace_all(cursor, settled_at)
    levels_to: dt.datetime | None = row[2]
    minutes_from: dt.datetime | None = row[3]
    cursor.execute(_FIND_DIRTY, {"xid": str(row[0])})
    dirty: list[Bucket] = cursor.fetchall()
    minutes = [one for one in dirty if minutes_from is not None and one[1] >= minutes_from]
    _replace(cursor, "minute", minutes, _WRITE_DIRTY["minute"])
    of_minutes = _around(minutes, "quarter")
    rows = _replace(cursor, "quarter", of_minutes, _WRITE_DIRTY_OF_MINUTES)
    # A quarter has all its minutes, or none.
    quarters = _around(dirty, "quarter")
    rows += _replace(cursor, "quarter", quarters - of_minutes, _WRITE_DIRTY["quarter"])
    if levels_to is not None:
        hours = {(of, start_of(at, "hour")) for of, at in quarters if at < levels_to}
        day_to = start_of(levels_to, "day")
        days = {(of, start_of(at, "day")) for of, at in hours if at < day_to}
        _replace(cursor, "hour", hours, _WRITE_DIRTY["hour"])
        _replace(cursor, "day", days, _WRITE_DIRTY["day"])
    levels_to = _move_levels(cursor, levels_to)
    _advance(cursor, settled_at, levels_to, _move_minutes(cursor, minutes_from))
    return Rolled(len(quarters), rows)


def _around(buckets: Iterable[Bucket], level: Level) -> set[Bucket]:
    """Return the buckets of a level that contain these."""
    return {(organisation_id, start_of(at, level)) for organisation_id, at in buckets}


def _replace(cursor: CursorWrapper, level: AnyLevel, dirty: Iterable[Bucket], write: str) -> int:
    """Delete some buckets of a level, and sum them again by the statement `write`. Return the
    number of rows written."""
    rows = 0
    for span, buckets in runs(dirty, level):
        organisations, starts = zip(*buckets, strict=True)
        parameters = {
            **_bounds(span), "organisations": list(organisations), "buckets": list(starts),
        }  # fmt: skip
        _execute(cursor, _DROP_DIRTY.format(table=_TABLES[level]), parameters)
        rows += _execute(cursor, write, parameters)
    return rows


def _move_minutes(cursor: CursorWrapper, minutes_from: dt.datetime | None) -> dt.datetime:
    """Delete the minutes that are no longer kept, or sum those that are if there are none. Return
    from when on there are minutes now."""
    reach = start_of(_now(cursor) - MINUTES_KEPT, "quarter")
    if minutes_from is None:
        _execute(cursor, _WRITE_MINUTES, _bounds(Span(reach, ALWAYS.end_at)))
        return reach
    if reach <= minutes_from:
        # A clock that was set back does not bring minutes back.
        return minutes_from
    _execute(cursor, _DROP_MINUTES, {"minutes_from": reach})
    return reach


def _move_levels(cursor: CursorWrapper, levels_to: dt.datetime | None) -> dt.datetime:
    """Sum the hours and days that are over and not summed yet, at most one day. Return how far the
    levels are complete now."""
    reach = _levels_may_reach(cursor)
    if levels_to is None:
        cursor.execute(_FIRST_BUCKET)
        first: dt.datetime | None = cursor.fetchone()[0]
        levels_to = reach if first is None else start_of(first, "day")
    until = min(reach, start_of(levels_to, "day") + WIDTHS["day"])
    if until <= levels_to:
        return levels_to
    _fill_levels(cursor, Span(levels_to, until))
    return until


def _fill_levels(cursor: CursorWrapper, span: Span) -> None:
    """Sum the hours of a span that has none, and the days that end in it."""
    if span.start_at >= span.end_at:
        return
    cursor.execute(_ORGANISATIONS)
    known = {"organisations": cursor.fetchone()[0]}
    _execute(cursor, _WRITE_HOURS, _bounds(span) | known)
    days = Span(start_of(span.start_at, "day"), start_of(span.end_at, "day"))
    if days.start_at < days.end_at:
        _execute(cursor, _WRITE_DAYS, _bounds(days) | known)


def _levels_may_reach(cursor: CursorWrapper) -> dt.datetime:
    """Return the end of the last hour that has been over for a while. Most late records belong to
    the last minutes, and would require summing the last hour again each time."""
    return start_of(_now(cursor) - WIDTHS["quarter"], "hour")


def _now(cursor: CursorWrapper) -> dt.datetime:
    cursor.execute("SELECT now()")
    at: dt.datetime = cursor.fetchone()[0]
    return at


def _days_of_records(cursor: CursorWrapper) -> Iterator[Span]:
    """Yield the UTC days that have records, in their order."""
    after: dt.datetime | None = None
    while True:
        cursor.execute(_NEXT_RECORD, {"after": after})
        at: dt.datetime | None = cursor.fetchone()[0]
        if at is None:
            return
        day_at = start_of(at, "day")
        after = day_at + WIDTHS["day"]
        yield Span(day_at, after)


def _bounds(span: Span) -> dict[str, Any]:
    """Return a span as a statement's constants, so that partitions of other months are not
    opened."""
    return {
        "start_at": span.start_at,
        "end_at": span.end_at,
        "first_id": first_id_at(span.start_at - ID_SLACK),
        "end_id": first_id_at(span.end_at + ID_SLACK),
    }


def _execute(cursor: CursorWrapper, text: str, parameters: dict[str, Any]) -> int:
    cursor.execute(text, parameters)
    return int(cursor.rowcount)


def _advance(
    cursor: CursorWrapper,
    settled_at: dt.datetime,
    levels_to: dt.datetime,
    minutes_from: dt.datetime,
    *,
    forget: bool = False,
) -> None:
    moved = {"settled_at": settled_at, "levels_to": levels_to, "minutes_from": minutes_from}
    cursor.execute(_ADVANCE, {**moved, "forget": forget})


_TABLES: Final[dict[AnyLevel, str]] = {
    "minute": "usage_minuterollup",
    "quarter": TABLES["quarter"],
    "hour": TABLES["hour"],
    "day": TABLES["day"],
}

_LOCK: Final = "LOCK TABLE usage_rollupwatermark IN EXCLUSIVE MODE"

# An active backend without a transaction is about to begin one. A backup writes nothing.
SETTLED_AT: Final = f"""
    SELECT least(now(), min(coalesce(xact_start, query_start)))
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL OR state = 'active')
      AND (application_name IS DISTINCT FROM '{BACKUP_NAME}' OR backend_xid IS NOT NULL)"""  # noqa: S608

_READ_CURSOR: Final = """
    SELECT xid, pg_snapshot_xmax(pg_current_snapshot())::text::bigint, levels_to, minutes_from
    FROM usage_rollupwatermark"""

# The oldest transaction that is invisible to this snapshot and may still write here.
_OLDEST_OPEN: Final = f"""
    least(pg_current_xact_id_if_assigned()::text::bigint,
          pg_snapshot_xmin({OPEN_HERE})::text::bigint)"""

# Everything that this snapshot sees is summed. So a higher mark can only come from another server
# through a dump, whose records the rebuild after it has summed.
_FIND_DIRTY: Final = """
    SELECT DISTINCT organisation_id,
           date_bin('1 minute', admitted_at, 'epoch'::timestamptz) AS bucket_at
    FROM usage_usagerecord
    WHERE xid >= %(xid)s::text::xid8 AND xid < pg_snapshot_xmax(pg_current_snapshot())
      AND NOT EXISTS (
          SELECT FROM usage_detachedmonth m
          WHERE admitted_at >= m.from_at AND admitted_at < m.to_at)"""

_NEXT_RECORD: Final = """
    SELECT min(admitted_at) FROM usage_usagerecord
    WHERE admitted_at >= coalesce(%(after)s::timestamptz, '-infinity')"""
_FIRST_BUCKET: Final = """
    SELECT min(first.bucket_at) FROM accounts_organisation o CROSS JOIN LATERAL (
        SELECT bucket_at FROM usage_rollup WHERE organisation_id = o.id
        ORDER BY bucket_at LIMIT 1) first"""
_ORGANISATIONS: Final = "SELECT coalesce(array_agg(id), '{}') FROM accounts_organisation"

# The sums of a detached month stay, because its records are in a file.
_DETACHED: Final = "SELECT from_at, to_at FROM usage_detachedmonth"
_DROP_ALL: Final = "; ".join(
    f"""DELETE FROM {table} WHERE NOT EXISTS (
        SELECT FROM ({_DETACHED}) m WHERE bucket_at >= m.from_at AND bucket_at < m.to_at)"""  # noqa: S608
    for table in _TABLES.values()
)
_DROP_MINUTES: Final = "DELETE FROM usage_minuterollup WHERE bucket_at < %(minutes_from)s"
_DROP_DIRTY: Final = """
    DELETE FROM {table} rollup
    USING unnest(%(organisations)s::uuid[], %(buckets)s::timestamptz[])
        AS dirty (organisation_id, bucket_at)
    WHERE rollup.organisation_id = dirty.organisation_id AND rollup.bucket_at = dirty.bucket_at
      AND rollup.bucket_at >= %(start_at)s AND rollup.bucket_at < %(end_at)s"""

_NIL: Final = "'00000000-0000-0000-0000-000000000000'::uuid"
_DIMENSIONS: Final = "organisation_id, bucket_at, team_id, key_id, user_id, model, channel_id"

# Unnesting every row's meters would cost several times as much as the rest. So the meters with
# columns are summed directly. The few others are collected, and unnested by group.
_REST: Final = """
    coalesce((
        SELECT jsonb_object_agg(meter, units) FROM (
            SELECT meter, sum(units::bigint)::bigint AS units
            FROM jsonb_array_elements(rests) AS rest, jsonb_each_text(rest) AS one (meter, units)
            GROUP BY meter) counted), '{}')"""
_PLAIN: Final = ", ".join(f"'{name}'" for name in METERS)
_PLAIN_SUMS: Final = ", ".join(
    f"'{name}', sum((r.meters->>'{name}')::bigint)::bigint" for name in METERS
)
_TIMES: Final = ", ".join(TIMES)


def _gathered_sql(rest: str) -> str:
    return f"jsonb_agg({rest}) FILTER (WHERE {rest} <> '{{}}') AS rests"


_METER_SUMS: Final = (
    f"jsonb_strip_nulls(jsonb_build_object({_PLAIN_SUMS})) AS meters, "
    + _gathered_sql(f"(r.meters - ARRAY[{_PLAIN}])")
)


def _bucket(at: str, level: AnyLevel) -> str:
    return f"date_bin('{WIDTHS[level].total_seconds():.0f} seconds', {at}, 'epoch'::timestamptz)"


def _dirty_condition(bucket_at: str) -> str:
    return f"""
        AND (r.organisation_id, {bucket_at}) IN (
            SELECT * FROM unnest(%(organisations)s::uuid[], %(buckets)s::timestamptz[]))"""  # noqa: S608


def _write_finest(level: Literal["minute", "quarter"], also: str = "") -> str:
    """Return a statement that sums records."""
    sums = f"""
        SELECT r.organisation_id, {_bucket("r.admitted_at", level)} AS bucket_at, r.team_id,
               r.key_id, coalesce(r.user_id, 0) AS user_id, r.model,
               coalesce(r.channel_id, {_NIL}) AS channel_id, max(r.channel_name) AS channel_name,
               count(*) FILTER (WHERE r.final) AS requests,
               count(*) FILTER (WHERE r.final AND {FAILED_SQL}) AS errors, {_METER_SUMS},
               sum(r.charge_nano)::bigint AS charge_nano, {MERGED_SAVED}, {OWN_SUM},
               {TIME_SUMS}
        FROM (
            SELECT * FROM usage_usagerecord r
            WHERE r.admitted_at >= %(start_at)s AND r.admitted_at < %(end_at)s
              AND r.id >= %(first_id)s AND r.id < %(end_id)s
            -- By the index of admissions. A planner without statistics would rather read all of an
            -- organisation between the two ids, which are days apart.
            OFFSET 0
        ) r
        WHERE true {also}
        GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 - only constants are put in
    return _insert_sums(_TABLES[level], sums)


def _write_quarters_of_minutes() -> str:
    bucket_at = _bucket("r.bucket_at", "quarter")
    sums = f"""
        SELECT r.organisation_id, {bucket_at} AS bucket_at, r.team_id, r.key_id, r.user_id, r.model,
               r.channel_id, max(r.channel_name) AS channel_name,
               sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors, {_METER_SUMS},
               sum(r.charge_nano)::bigint AS charge_nano, {MERGED_SAVED}, {OWN_SUM},
               {MERGED_TIMES}
        FROM usage_minuterollup r
        WHERE r.organisation_id = ANY (%(organisations)s::uuid[])
          AND r.bucket_at >= %(start_at)s AND r.bucket_at < %(end_at)s {_dirty_condition(bucket_at)}
        GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 - only constants are put in
    return _insert_sums(TABLES["quarter"], sums)


def _insert_sums(table: str, sums: str) -> str:
    return f"""
    WITH sums AS ({sums}
    )
    INSERT INTO {table} (
        {_DIMENSIONS}, channel_name, requests, errors, meters, charge_nano, saved_nano, own_nano,
        {_TIMES})
    SELECT {_DIMENSIONS}, channel_name, requests, errors, meters || {_REST}, charge_nano,
           saved_nano, own_nano, {_TIMES}
    FROM sums ORDER BY {_DIMENSIONS}"""  # noqa: S608 - only constants are put in


def _write_level(level: Literal["hour", "day"], also: str = "") -> str:
    finer: Level = "quarter" if level == "hour" else "hour"
    common, rest = columns_of(finer)
    sums = ", ".join(
        f"sum({column})::bigint AS {name}" for name, column in zip(COMMON, common, strict=True)
    )
    counted = ", ".join(COMMON)
    return f"""
    WITH sums AS (
        SELECT r.organisation_id, {_bucket("r.bucket_at", level)} AS bucket_at, r.team_id,
               r.key_id, r.user_id, r.model, r.channel_id, max(r.channel_name) AS channel_name,
               sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors, {sums},
               {_gathered_sql(rest)}, sum(r.charge_nano)::bigint AS charge_nano, {MERGED_SAVED},
               {OWN_SUM}, {MERGED_TIMES}
        FROM {TABLES[finer]} r
        -- By the key, which begins with it.
        WHERE r.organisation_id = ANY (%(organisations)s::uuid[])
          AND r.bucket_at >= %(start_at)s AND r.bucket_at < %(end_at)s {also}
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
    INSERT INTO {TABLES[level]} (
        {_DIMENSIONS}, channel_name, requests, errors, {counted}, meters, charge_nano, saved_nano,
        own_nano, {_TIMES})
    SELECT {_DIMENSIONS}, channel_name, requests, errors, {counted}, {_REST}, charge_nano,
           saved_nano, own_nano, {_TIMES}
    FROM sums ORDER BY {_DIMENSIONS}"""  # noqa: S608 - only constants are put in


_WRITE_MINUTES: Final = _write_finest("minute")
_WRITE_QUARTERS: Final = _write_finest("quarter")
_WRITE_HOURS: Final = _write_level("hour")
_WRITE_DAYS: Final = _write_level("day")
_WRITE_DIRTY: Final[dict[AnyLevel, str]] = {
    "minute": _write_finest("minute", _dirty_condition(_bucket("r.admitted_at", "minute"))),
    "quarter": _write_finest("quarter", _dirty_condition(_bucket("r.admitted_at", "quarter"))),
    "hour": _write_level("hour", _dirty_condition(_bucket("r.bucket_at", "hour"))),
    "day": _write_level("day", _dirty_condition(_bucket("r.bucket_at", "day"))),
}
_WRITE_DIRTY_OF_MINUTES: Final = _write_quarters_of_minutes()

_COUNT_BUCKETS: Final = "SELECT count(DISTINCT (organisation_id, bucket_at)) FROM usage_rollup"

# Never move the watermark back, except in a rebuild after a restored dump.
_ADVANCE: Final = f"""
    INSERT INTO usage_rollupwatermark AS watermark (
        id, xid, complete_to, levels_to, minutes_from, rest_until)
    SELECT 1, {_OLDEST_OPEN},
           least(%(settled_at)s, min(opened_at)), %(levels_to)s, %(minutes_from)s,
           clock_timestamp() + 20 * (clock_timestamp() - now())
    FROM billing_hold WHERE state = 'open'
    ON CONFLICT (id) DO UPDATE
    SET xid = excluded.xid, levels_to = excluded.levels_to,
        minutes_from = excluded.minutes_from, rest_until = excluded.rest_until,
        complete_to = CASE WHEN %(forget)s THEN excluded.complete_to
                           ELSE greatest(watermark.complete_to, excluded.complete_to) END"""  # noqa: S608
