"""Rollups: sums of the usage records per quarter of an hour, replaced and never incremented (I16).

Records are never changed, so what is out of date is told by what is new: every record carries the
id of the transaction that wrote it. A run reads up from the oldest transaction of this database
that was not over at the last run; the buckets of those records are deleted and summed again from
all their records. Whatever the order of commits, no record is missed, and any number of runs gives
the same bytes.

Complete means: no record of a request admitted before `complete_to` can still come. What may come
is known beforehand: an open hold is an attempt whose record is missing, and a transaction that is
still open may yet bring an attempt or a refusal that was admitted when it began.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from billing.rules.meters import METERS
from lib.open_transactions import OPEN_HERE
from lib.postgres_tools import BACKUP_NAME
from usage.rules.outcomes import FAILED_SQL


class Rolled(NamedTuple):
    """What a run did: buckets replaced (of one organisation each), rollup rows written."""

    buckets: int
    rows: int


def roll_up(*, rest: bool = False) -> Rolled | None:
    """Bring the rollups up to date; None when another process is at it, which does this work too.

    With `rest`, None as well for twenty times as long as the last run took: a bucket is summed
    anew at every run, which under a heavy load must not cost more than the requests themselves.

    Rebuilds everything where there is no cursor yet, and where the cursor is ahead of the
    database's transactions: that is a dump restored into a younger server.
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
    """Replace all rollups in the caller's transaction.

    `settled_at` is an instant before which no transaction is open any more.
    """
    cursor.execute(_DROP_ALL)
    rows = _write_rows(cursor, _WRITE_ALL)
    cursor.execute(_COUNT_BUCKETS)
    buckets: int = cursor.fetchone()[0]
    _advance(cursor, settled_at, forget=True)
    return Rolled(buckets, rows)


@contextmanager
def _sole_reader(*, wait: bool) -> Iterator[tuple[CursorWrapper, dt.datetime]]:
    """One process at a time, with one snapshot that is later than its lock.

    The open transactions are looked at before that snapshot: one that ended in between is visible
    in it, one that began in between admits nothing earlier than that look.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED_AT)
        settled_at: dt.datetime = cursor.fetchone()[0]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Locking takes no snapshot: the first query after it does.
        cursor.execute(_LOCK if wait else f"{_LOCK} NOWAIT")
        # Groups are many and small; sorting them on disk instead takes ten times as long.
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
    cursor.execute(_FIND_DIRTY, {"xid": str(row[0])})
    organisations, buckets = cursor.fetchone()
    rows = 0
    if buckets:
        dirty = {"organisations": organisations, "buckets": buckets}
        cursor.execute(_DROP_DIRTY, dirty)
        rows = _write_rows(cursor, _WRITE_DIRTY, dirty)
    _advance(cursor, settled_at)
    return Rolled(len(buckets or ()), rows)


def _write_rows(cursor: CursorWrapper, text: str, parameters: dict[str, Any] | None = None) -> int:
    cursor.execute(text, parameters)
    return int(cursor.rowcount)


def _advance(cursor: CursorWrapper, settled_at: dt.datetime, *, forget: bool = False) -> None:
    cursor.execute(_ADVANCE, {"settled_at": settled_at, "forget": forget})


_LOCK: Final = "LOCK TABLE usage_rollupwatermark IN EXCLUSIVE MODE"

# A backend that is active and has no transaction yet is about to begin one. A backup writes
# nothing.
_SETTLED_AT: Final = f"""
    SELECT least(now(), min(coalesce(xact_start, query_start)))
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL OR state = 'active')
      AND (application_name IS DISTINCT FROM '{BACKUP_NAME}' OR backend_xid IS NOT NULL)"""  # noqa: S608

_READ_CURSOR: Final = """
    SELECT xid, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    FROM usage_rollupwatermark"""

# The oldest transaction that this snapshot does not see and that may yet write here.
_OLDEST_OPEN: Final = f"""
    least(pg_current_xact_id_if_assigned()::text::bigint,
          pg_snapshot_xmin({OPEN_HERE})::text::bigint)"""

# Everything that this snapshot sees is summed, so what is above its end can only be the mark of
# another server, brought along by a dump: those records were summed by the rebuild after it.
_FIND_DIRTY: Final = """
    SELECT array_agg(organisation_id ORDER BY bucket_at, organisation_id),
           array_agg(bucket_at ORDER BY bucket_at, organisation_id)
    FROM (
        SELECT DISTINCT organisation_id,
               date_bin('15 minutes', admitted_at, 'epoch'::timestamptz) AS bucket_at
        FROM usage_usagerecord
        WHERE xid >= %(xid)s::text::xid8 AND xid < pg_snapshot_xmax(pg_current_snapshot())
    ) dirty"""

_DROP_ALL: Final = "DELETE FROM usage_rollup"
_DROP_DIRTY: Final = """
    DELETE FROM usage_rollup rollup
    USING unnest(%(organisations)s::uuid[], %(buckets)s::timestamptz[])
        AS dirty (organisation_id, bucket_at)
    WHERE rollup.organisation_id = dirty.organisation_id AND rollup.bucket_at = dirty.bucket_at"""

_NIL: Final = "'00000000-0000-0000-0000-000000000000'::uuid"
_DIMENSIONS: Final = "organisation_id, bucket_at, team_id, key_id, user_id, model, channel_id"


# Unnesting every record's meters costs several times what all the rest does, so those that have a
# name of their own are summed in place; only variants such as images[1024] are unnested.
_PLAIN: Final = ", ".join(f"'{name}'" for name in METERS)
_PLAIN_SUMS: Final = ", ".join(
    f"'{name}', sum((r.meters->>'{name}')::bigint)::bigint" for name in METERS
)


def _write(bucket_at: str, source: str) -> str:
    keys = f"""
        r.organisation_id, {bucket_at} AS bucket_at, r.team_id, r.key_id,
        coalesce(r.user_id, 0) AS user_id, r.model, coalesce(r.channel_id, {_NIL}) AS channel_id"""
    return f"""
    WITH sums AS (
        SELECT {keys}, max(r.channel_name) AS channel_name,
               count(*) FILTER (WHERE r.final) AS requests,
               count(*) FILTER (WHERE r.final AND {FAILED_SQL}) AS errors,
               jsonb_strip_nulls(jsonb_build_object({_PLAIN_SUMS})) AS meters,
               sum(r.charge_nano)::bigint AS charge_nano
        FROM {source} GROUP BY 1, 2, 3, 4, 5, 6, 7
    ),
    variant AS (
        SELECT {keys}, counted.meter, sum(counted.units::bigint)::bigint AS units
        FROM {source}, jsonb_each_text(r.meters - ARRAY[{_PLAIN}]) AS counted (meter, units)
        WHERE r.meters - ARRAY[{_PLAIN}] <> '{{}}'
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ),
    variants AS (
        SELECT {_DIMENSIONS}, jsonb_object_agg(meter, units) AS meters
        FROM variant GROUP BY {_DIMENSIONS}
    )
    INSERT INTO usage_rollup ({_DIMENSIONS}, channel_name, requests, errors, meters, charge_nano)
    SELECT {_DIMENSIONS}, channel_name, requests, errors,
           sums.meters || coalesce(variants.meters, '{{}}'), charge_nano
    FROM sums LEFT JOIN variants USING ({_DIMENSIONS})
    ORDER BY {_DIMENSIONS}"""  # noqa: S608 - only constants are put in


_WRITE_ALL: Final = _write(
    "date_bin('15 minutes', r.admitted_at, 'epoch'::timestamptz)", "usage_usagerecord r"
)
_WRITE_DIRTY: Final = _write(
    "quarter.bucket_at",
    """(SELECT DISTINCT bucket_at FROM unnest(%(buckets)s::timestamptz[]) AS bucket_at) AS quarter
        JOIN usage_usagerecord r ON r.admitted_at >= quarter.bucket_at
            AND r.admitted_at < quarter.bucket_at + interval '15 minutes'
            AND (r.organisation_id, quarter.bucket_at) IN (
                SELECT * FROM unnest(%(organisations)s::uuid[], %(buckets)s::timestamptz[]))""",
)

_COUNT_BUCKETS: Final = "SELECT count(DISTINCT (organisation_id, bucket_at)) FROM usage_rollup"

# What was complete stays so; only a rebuild may find less, after a restored dump.
_ADVANCE: Final = f"""
    INSERT INTO usage_rollupwatermark AS watermark (id, xid, complete_to, rest_until)
    SELECT 1, {_OLDEST_OPEN},
           least(%(settled_at)s, min(opened_at)),
           clock_timestamp() + 20 * (clock_timestamp() - now())
    FROM billing_hold WHERE state = 'open'
    ON CONFLICT (id) DO UPDATE
    SET xid = excluded.xid, rest_until = excluded.rest_until,
        complete_to = CASE WHEN %(forget)s THEN excluded.complete_to
                           ELSE greatest(watermark.complete_to, excluded.complete_to) END"""  # noqa: S608
