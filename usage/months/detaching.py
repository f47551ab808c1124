# ruff: noqa: S608 - only names of our own tables are put in
"""Detach closed months of the books to files: the holds, attempts and records of a month leave the
database and can come back (docs/adr/0019). Their postings stay, and with them every balance,
statement and seal. The rollups of its days stay too.

The books keep signed sums in place of the rows. A month is detached, or attached, in one short
transaction. An interruption before that has no effect that a repetition does not overwrite: a month
that is about to be detached accepts no rows, so its file is complete.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Max
from psycopg.errors import DeadlockDetected, LockNotAvailable

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.models import BooksWalk, Seal, SealKind
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from lib.database.postgres_tools import BACKUP_NAME
from lib.database.table_locks import LOCK_WAIT_MS
from usage.books import walk as books_walk
from usage.books.walk import NEW, WHOLE
from usage.models import (
    BooksCheck,
    DetachedMonth,
    LateTruth,
    MonthFile,
    RollupWatermark,
)
from usage.month_files.file import (
    Manifest,
    MonthFileBroken,
    Rows,
    check_month_file,
    digest_of,
    read_manifest,
    read_part,
    write_month_file,
)
from usage.month_files.signatures import sign
from usage.months.close import find_unclosed
from usage.records.partitions import (
    PARTITIONED,
    guard_partition,
    has_own,
    ids_of,
    make_partition,
    name_of,
    next_month,
)
from usage.sinks.sinks import used_sinks

RESTS: Final = dt.timedelta(days=31)
"""How long after its end a month stays, so that processes can deliver what they have kept until
now."""
_INSTANT: Final = dt.timedelta(microseconds=1)
# The pause after a table was in use, and the number of attempts.
_REST_S: Final = 1
_TRIES: Final = 60
_HOLDS, _ATTEMPTS, _RECORDS = "billing_hold", "usage_attempt", "usage_usagerecord"
_TEXTS: Final = {_ATTEMPTS: "end_user = ''", _RECORDS: "end_user = '', message = ''"}
_ERASED: Final = """
    UPDATE {} SET {} WHERE user_id IN (
        SELECT id FROM accounts_user WHERE erased_at IS NOT NULL)"""
_CLOSED: Final = "month_is_detached"
_LATE_WAITS: Final = "Late usage of its requests is not posted yet."


class MonthRefused(Exception):
    """The month cannot be detached or attached now; `reasons` say why, one sentence each."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


class MonthState(NamedTuple):
    """A month with partitions. `writable` is false while it is being detached, or is detached."""

    month: dt.date
    writable: bool
    detached: DetachedMonth | None


class _MonthContents(NamedTuple):
    """What a month's rows contain. `ended_at` is when the last of them was resolved, ended or
    corrected; `from_at` to `to_at` are the UTC days of their admissions."""

    rows: int
    unresolved: int
    undecided: int
    newest_xid: int
    from_at: dt.datetime
    to_at: dt.datetime
    ended_at: dt.datetime


def month_states() -> list[MonthState]:
    """Return the months with partitions of their own, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, {"pattern": f"{_HOLDS}_[0-9]{{4}}_[0-9]{{2}}", "closed": _CLOSED})
        rows = cursor.fetchall()
    detached = {one.month: one for one in DetachedMonth.objects.select_related("file")}
    return [MonthState(month, writable, detached.get(month)) for month, writable in rows]


def obstacles(month: dt.date) -> list[str]:
    """Return the reasons why a month cannot be detached, one sentence each; empty if it can."""
    month_end = _start(next_month(month))
    if DetachedMonth.objects.filter(month=month).exists():
        return ["It is kept in a file already."]
    if not has_own(month):
        return [f"It has no partitions of its own. See {settings.COMMAND} month list."]
    if clock.now() < month_end + RESTS:
        return [f"It can be detached from {(month_end + RESTS).date().isoformat()} on."]
    contents = _read_contents(month)
    why = []
    if contents.unresolved:
        why.append(f"{contents.unresolved} of its holds are open or kept.")
    if contents.undecided:
        why.append(f"{contents.undecided} of its requests are under review.")
    if late_usage(month):
        why.append(_LATE_WAITS)
    until_at = max(month_end, contents.ended_at + _INSTANT)
    sealed_to = Seal.objects.filter(kind=SealKind.LEDGER).aggregate(to=Max("to_at"))["to"]
    if sealed_to is None or sealed_to < until_at:
        why.append(f"The ledger is not sealed to {clock.rfc3339(until_at)}.")
    open_at = contents.ended_at + _INSTANT
    slugs = [organisation.slug for organisation in find_unclosed(_start(month), open_at)]
    if slugs:
        names = ", ".join(slugs[:5]) + (", …" if len(slugs) > 5 else "")
        why.append(f"Invoices to {clock.rfc3339(open_at)} are not closed: {names}.")
    check = BooksCheck.objects.filter(id=1).first()
    if check is None or check.broken or _checked_to() <= until_at:
        why.append("The ledger has not been checked to its end, or a check failed.")
    mark = RollupWatermark.objects.first()
    if (
        mark is None
        or (mark.levels_to or _start(month)) < contents.to_at
        or (mark.xid <= contents.newest_xid)
    ):
        why.append("The rollups are not complete to its end.")
    for sink in used_sinks():
        complete_to = sink.backlog().complete_to
        if complete_to is None or complete_to < contents.ended_at:
            why.append(f"Not all of it is in {sink.title} yet.")
    return why


def late_usage(month: dt.date) -> int:
    """Return how many late endings of a month's attempts are not posted yet."""
    first, end = ids_of(month)
    late = LateTruth.objects.filter(attempt_id__gte=first, attempt_id__lt=end, posted_at=None)
    return late.filter(meters__isnull=False).count()


def late_counts() -> dict[dt.date, int]:
    """Return how many endings and records have arrived for each detached month and wait until it is
    attached."""
    with connection.cursor() as cursor:
        cursor.execute(_LATE_COUNTS)
        return dict(cursor.fetchall())


def detach(actor: Actor, month: dt.date, path: Path, key: bytes) -> DetachedMonth:
    """Write a month to a file and remove it from the database. Raises MonthRefused, and OSError if
    the file cannot be written; the month then stays as it was."""
    with _lock_detaching():
        if why := obstacles(month):
            raise MonthRefused(*why)
        if path.exists():
            _refuse_other_file(path, month, key)
        try:
            _close(month)
            write_month_file(path, key, month, _rows_of_month(month))
            manifest = check_month_file(path, key)
            leaving = _leaving(month, path, manifest, key)
            _exclusively(lambda cursor: _take_out(cursor, actor, leaving))
        finally:
            # This has no effect on a month that was detached.
            reopen(month)
    return leaving.month


def attach(actor: Actor, path: Path, key: bytes) -> DetachedMonth:
    """Attach a month from its file. Raises MonthRefused, MonthFileBroken and OSError; the month
    then stays detached."""
    with _lock_detaching():
        manifest = check_month_file(path, key)
        month = manifest.month
        detached = DetachedMonth.objects.select_related("file").filter(month=month).first()
        if detached is None:
            raise MonthRefused(f"{month:%Y-%m} is not kept in a file: it is in the database.")
        if digest_of(path) != bytes(detached.file.digest):
            raise MonthFileBroken(f"{path.name} is not the file that was written, byte for byte.")
        try:
            _load(path, manifest)
            _exclusively(lambda cursor: _restore_tables(cursor, actor, detached))
        finally:
            _drop_loaded(month)
    return detached


def reopen(month: dt.date) -> bool:
    """Let a month accept rows again after an interrupted detaching. Return False if no detaching
    was interrupted."""
    if DetachedMonth.objects.filter(month=month).exists():
        return False
    if month not in [state.month for state in month_states() if not state.writable]:
        return False

    def open_again(cursor: CursorWrapper) -> None:
        for table in PARTITIONED:
            cursor.execute(f"DROP TRIGGER IF EXISTS {_CLOSED} ON {name_of(table, month)}")
        _take_in_late(cursor, month)

    _patiently(open_again)
    return True


def check_file(path: Path, key: bytes) -> tuple[Manifest, bool]:
    """Check a file, and that it belongs to a detached month. Raises MonthFileBroken."""
    manifest = check_month_file(path, key)
    stored = MonthFile.objects.filter(month_id=manifest.month).first()
    digest = digest_of(path)
    if stored is not None and digest != bytes(stored.digest):
        raise MonthFileBroken(f"{path.name} is not the file that was written, byte for byte.")
    return manifest, stored is not None


def _read_contents(month: dt.date) -> _MonthContents:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK.format(**_partition_names(month)), {"start": _start(month)})
        row = cursor.fetchone()
        cursor.execute(_LAST_CORRECTION, _bounds(month))
        ((corrected_at,),) = cursor.fetchall()
    contents = _MonthContents(*row)
    return contents._replace(ended_at=max(contents.ended_at, corrected_at or contents.ended_at))


def _checked_to() -> dt.datetime:
    walk = BooksWalk.objects.filter(name=NEW).first()
    return (walk.to_at if walk else None) or _start(dt.date(2000, 1, 1))


def _refuse_other_file(path: Path, month: dt.date, key: bytes) -> None:
    """Refuse to overwrite a file, unless an earlier attempt to detach the same month left it."""
    try:
        same = read_manifest(path, key).month == month
    except MonthFileBroken:
        same = False
    if not same:
        raise MonthRefused(f"{path} is there already.")


def _close(month: dt.date) -> None:
    """Close the month to new rows. Return once the transactions that were writing to it have
    ended."""

    def close(cursor: CursorWrapper) -> None:
        for table in PARTITIONED:
            cursor.execute(_MAKE_CLOSED.format(name=name_of(table, month), table=table))

    _patiently(close)


def _rows_of_month(month: dt.date) -> Iterator[Rows]:
    # Do not wait for long read-only transactions, such as a backup.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, true)", [BACKUP_NAME])
        for table in PARTITIONED:
            columns = _columns(cursor, table)
            yield Rows(table, columns, _copy_lines(cursor, name_of(table, month), columns))


def _copy_lines(cursor: CursorWrapper, name: str, columns: Sequence[str]) -> Iterator[bytes]:
    with cursor.copy(f"COPY {name} ({', '.join(columns)}) TO STDOUT") as copy:
        for line in copy:
            yield bytes(line)


def _columns(cursor: CursorWrapper, table: str) -> list[str]:
    cursor.execute(_COLUMNS, [table])
    return [name for (name,) in cursor.fetchall()]


class _Leaving(NamedTuple):
    month: DetachedMonth
    file: MonthFile
    checked_to: dt.datetime


def _leaving(month: dt.date, path: Path, manifest: Manifest, key: bytes) -> _Leaving:
    """Return the rows that will replace the month."""
    checked_to, contents = _checked_to(), _read_contents(month)
    first, end = ids_of(month)
    names = _partition_names(month)
    with connection.cursor() as cursor:
        cursor.execute(_VERSIONS.format(**names))
        versions = [id for (id,) in cursor.fetchall()]
        cursor.execute(_SUMS.format(**names), _bounds(month))
        sums = [[kind, subject, int(nano)] for kind, subject, nano in cursor.fetchall()]
        cursor.execute(_ROLLED, {"from": contents.from_at, "to": contents.to_at})
        rolled = [[str(id), int(requests), int(nano)] for id, requests, nano in cursor.fetchall()]
    detached = DetachedMonth(
        month=month, first_id=first, end_id=end, from_at=contents.from_at, to_at=contents.to_at,
        price_version_ids=versions, detached_at=clock.now(),
    )  # fmt: skip
    file = MonthFile(
        month=detached, name=path.name, bytes=path.stat().st_size, digest=digest_of(path),
        rows=manifest.rows, sums=sums, rolled=rolled,
    )  # fmt: skip
    file.signature = sign(key, detached, file)
    return _Leaving(detached, file, checked_to)


def _take_out(cursor: CursorWrapper, actor: Actor, leaving: _Leaving) -> None:
    """Replace the partitions with empty ones that accept no rows, and with the sums of the rows."""
    month = leaving.month.month
    cursor.execute(_CORRECTED_SINCE, _bounds(month) | {"since": leaving.checked_to})
    if cursor.fetchone() is not None:
        raise MonthRefused("A request of this month was corrected just now. Try it again.")
    if late_usage(month):
        raise MonthRefused(_LATE_WAITS)
    for table in PARTITIONED:
        cursor.execute(f"DROP TABLE {name_of(table, month)}")
        make_partition(cursor, table, month)
        cursor.execute(_MAKE_CLOSED.format(name=name_of(table, month), table=table))
    leaving.month.save(force_insert=True)
    leaving.file.save(force_insert=True)
    books_walk.begin(WHOLE, clock.now())
    audit.record(
        actor, None, "month.detached", leaving.month, month=str(leaving.month),
        file=leaving.file.name, sha256=leaving.file.digest.hex(), rows=leaving.file.rows,
    )  # fmt: skip


def _load(path: Path, manifest: Manifest) -> None:
    """Load a file's rows into separate tables that nothing reads yet."""
    first, end = ids_of(manifest.month)
    _drop_loaded(manifest.month)
    with connection.cursor() as cursor:
        for table, columns in manifest.columns.items():
            unknown = set(columns) - set(_columns(cursor, table))
            if table not in PARTITIONED or unknown:
                raise MonthRefused(
                    f"The file has columns that this version does not know: {table}."
                )
            name = _loaded_table(table, manifest.month)
            cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
            # With this constraint, Postgres attaches the partition without scanning it.
            cursor.execute(
                f"ALTER TABLE {name} ADD CONSTRAINT of_month "
                f"CHECK (id >= '{first}' AND id < '{end}')"
            )
        for part in manifest.parts:
            name, columns = _loaded_table(part.table, manifest.month), manifest.columns[part.table]
            with (
                transaction.atomic(),
                cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN") as copy,
            ):
                for piece in read_part(path, part):
                    copy.write(piece)
        for table in manifest.columns:
            if table in _TEXTS:
                # The file is older than the erasure.
                cursor.execute(_ERASED.format(_loaded_table(table, manifest.month), _TEXTS[table]))
            cursor.execute(f"ANALYZE {_loaded_table(table, manifest.month)}")


def _restore_tables(cursor: CursorWrapper, actor: Actor, detached: DetachedMonth) -> None:
    month = detached.month
    for table in PARTITIONED:
        name, loaded = name_of(table, month), _loaded_table(table, month)
        cursor.execute(f"DROP TABLE {name}")
        cursor.execute(f"ALTER TABLE {loaded} RENAME TO {name}")
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{detached.first_id}') TO ('{detached.end_id}')"
        )
        cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT of_month")
        guard_partition(cursor, table, month)
    _take_in_late(cursor, month)
    audit.record(
        actor, None, "month.attached", detached, month=str(detached), rows=detached.file.rows
    )
    DetachedMonth.objects.filter(month=month).delete()
    books_walk.begin(WHOLE, clock.now())


def _take_in_late(cursor: CursorWrapper, month: dt.date) -> None:
    """Insert the records that arrived while the month was detached, except those that it has
    already. A record of an older version lacks newer columns, which get their defaults."""
    bounds = _bounds(month)
    # Leave out xid: the row must get this transaction's, by which rollups find new records.
    columns = [name for name in _columns(cursor, _RECORDS) if name != "xid"]
    cursor.execute(_LATE_COLUMNS, bounds)
    for (written,) in cursor.fetchall():
        shared = ", ".join(name for name in columns if name in written)
        cursor.execute(_WRITE_LATE.format(columns=shared), bounds | {"written": written})
    cursor.execute("DELETE FROM usage_laterecord WHERE id >= %(first)s AND id < %(end)s", bounds)


def _drop_loaded(month: dt.date) -> None:
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute(f"DROP TABLE IF EXISTS {_loaded_table(table, month)}")


def _loaded_table(table: str, month: dt.date) -> str:
    return f"{name_of(table, month)}_loaded"


@contextmanager
def _lock_detaching() -> Iterator[None]:
    """Hold the lock that lets only one process detach or attach a month. The lock ends with the
    process in any case."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({AdvisoryLock.MOVE_MONTH})")
        if not cursor.fetchone()[0]:
            raise MonthRefused("Another process is moving a month.")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_unlock({AdvisoryLock.MOVE_MONTH})")


def _exclusively(change: Callable[[CursorWrapper], None]) -> None:
    """Change partitions while no process reads or sums them. First take the lock that excludes
    readers of all tables, then lock the tables in the order in which readers use them."""

    def locked(cursor: CursorWrapper) -> None:
        cursor.execute("LOCK TABLE usage_rollupwatermark IN EXCLUSIVE MODE")
        cursor.execute("SELECT FROM billing_bookswalk ORDER BY name FOR UPDATE")
        cursor.execute(f"LOCK TABLE {', '.join(PARTITIONED)} IN ACCESS EXCLUSIVE MODE")
        change(cursor)

    _patiently(locked)


def _patiently(change: Callable[[CursorWrapper], None]) -> None:
    """Run the change in a transaction that waits only briefly for a lock; repeat it several times.
    Raises MonthRefused."""
    for _ in range(_TRIES):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                change(cursor)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                raise
            time.sleep(_REST_S)
        else:
            return
    raise MonthRefused("The tables were read all the time, by a backup perhaps. Try it again.")


def _partition_names(month: dt.date) -> dict[str, str]:
    return {
        "holds": name_of(_HOLDS, month),
        "attempts": name_of(_ATTEMPTS, month),
        "records": name_of(_RECORDS, month),
    }


def _bounds(month: dt.date) -> dict[str, Any]:
    first, end = ids_of(month)
    return {"first": first, "end": end}


def _start(month: dt.date) -> dt.datetime:
    return dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)


_MONTHS: Final = r"""
    SELECT to_date(right(part.relname, 7), 'YYYY_MM') AS month,
           NOT EXISTS (SELECT FROM pg_trigger
                       WHERE tgrelid = part.oid AND tgname = %(closed)s) AS writable
    FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
    WHERE inhparent = 'billing_hold'::regclass AND part.relname ~ %(pattern)s
    ORDER BY month"""
_MAKE_CLOSED: Final = f"""
    CREATE OR REPLACE TRIGGER {_CLOSED} BEFORE INSERT OR UPDATE ON {{name}}
    FOR EACH ROW EXECUTE FUNCTION weir_month_is_detached('{{table}}')"""
_LATE_COLUMNS: Final = """
    SELECT DISTINCT ARRAY(SELECT jsonb_object_keys(row)) FROM usage_laterecord
    WHERE id >= %(first)s AND id < %(end)s"""
_WRITE_LATE: Final = """
    INSERT INTO usage_usagerecord ({columns})
    SELECT {columns} FROM (
        SELECT record.* FROM usage_laterecord late
        CROSS JOIN LATERAL jsonb_populate_record(NULL::usage_usagerecord, late.row) record
        WHERE late.id >= %(first)s AND late.id < %(end)s
          AND ARRAY(SELECT jsonb_object_keys(late.row)) = %(written)s
    ) came WHERE NOT EXISTS (
        SELECT FROM usage_usagerecord known
        WHERE known.organisation_id = came.organisation_id AND known.request_id = came.request_id
          AND known.final AND known.id >= %(first)s AND known.id < %(end)s)
    ON CONFLICT DO NOTHING"""
_LATE_COUNTS: Final = """
    SELECT month, (
        SELECT count(*) FROM usage_latetruth late
        WHERE late.attempt_id >= away.first_id AND late.attempt_id < away.end_id
          AND late.posted_at IS NULL AND late.meters IS NOT NULL
    ) + (
        SELECT count(*) FROM usage_laterecord late
        WHERE late.id >= away.first_id AND late.id < away.end_id
    ) FROM usage_detachedmonth away"""
_COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum"""
_LOOK: Final = """
    SELECT h.n + a.n + r.n, h.unresolved, r.undecided, r.xid,
           date_trunc('day', least(a.from_at, r.from_at, %(start)s), 'UTC'),
           date_trunc('day', greatest(a.to_at, r.to_at, %(start)s), 'UTC') + interval '1 day',
           greatest(h.ended_at, r.ended_at, %(start)s)
    FROM (
        SELECT count(*) AS n, count(*) FILTER (WHERE state IN ('open', 'kept')) AS unresolved,
               max(resolved_at) AS ended_at
        FROM {holds}
    ) h, (
        SELECT count(*) AS n, min(admitted_at) AS from_at, max(admitted_at) AS to_at
        FROM {attempts}
    ) a, (
        SELECT count(*) AS n, min(admitted_at) AS from_at, max(admitted_at) AS to_at,
               max(ended_at) AS ended_at, coalesce(max(xid::text::bigint) FILTER (
                   -- One that is not begun yet is another server's, from a dump.
                   WHERE xid < pg_snapshot_xmax(pg_current_snapshot())), 0) AS xid,
               count(*) FILTER (WHERE 'quarantine' = ANY (flags) AND NOT EXISTS (
                   SELECT FROM usage_review v WHERE v.attempt_id = record.id)) AS undecided
        FROM {records} record
    ) r"""
_CORRECTS: Final = """
    p.kind IN ('correct', 'loss') AND p.id >= %(first)s
    AND split_part(p.idempotency_id, ':', 2)::uuid >= %(first)s
    AND split_part(p.idempotency_id, ':', 2)::uuid < %(end)s"""
# The corrections of what an organisation pays its provider itself, which are in no posting.
_CORRECTS_OWN: Final = """
    late.own_change_nano IS NOT NULL AND late.posted_at IS NOT NULL
    AND late.attempt_id >= %(first)s AND late.attempt_id < %(end)s"""
_LAST_CORRECTION: Final = f"""
    SELECT greatest(
        (SELECT max(p.created_at) FROM billing_posting p WHERE {_CORRECTS}),
        (SELECT max(late.posted_at) FROM usage_latetruth late WHERE {_CORRECTS_OWN}))"""
_CORRECTED_SINCE: Final = f"""
    SELECT FROM billing_posting p WHERE p.created_at >= %(since)s AND {_CORRECTS}
    UNION ALL
    SELECT FROM usage_latetruth late WHERE late.posted_at >= %(since)s AND {_CORRECTS_OWN}
    LIMIT 1"""
_VERSIONS: Final = """
    SELECT price_version_id FROM {attempts} UNION SELECT cost_version_id FROM {attempts}
    UNION SELECT price_version_id FROM {records} UNION SELECT cost_version_id FROM {records}
    EXCEPT SELECT NULL ORDER BY 1"""
# A charge is in the posting that ends its hold, as in usage/books/invariants.py.
_SUMS: Final = f"""
    SELECT 'sold', a.id, sum(r.charge_nano) FROM {{records}} r
    JOIN billing_account a ON a.organisation_id = r.organisation_id AND a.kind = 'revenue'
    WHERE r.charge_nano <> 0 GROUP BY 2
    UNION ALL
    SELECT 'window', window_id, sum(nano) FROM (
        SELECT window_id, r.charge_nano + coalesce(r.own_nano, 0) AS nano
        FROM {{holds}} h
        JOIN {{records}} r ON r.organisation_id = h.organisation_id AND r.id = h.id,
        unnest(h.window_ids) AS window_id
        WHERE r.charge_nano <> 0 OR r.own_nano <> 0
        UNION ALL
        SELECT window_id, e.amount_nano FROM billing_posting p
        JOIN billing_ledgerentry e ON e.posting_id = p.id
        JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
        JOIN {{holds}} h ON h.id = split_part(p.idempotency_id, ':', 2)::uuid,
        unnest(h.window_ids) AS window_id
        WHERE p.kind = 'correct' AND {_CORRECTS}
        UNION ALL
        SELECT window_id, late.own_change_nano FROM usage_latetruth late
        JOIN {{holds}} h ON h.id = late.attempt_id, unnest(h.window_ids) AS window_id
        WHERE {_CORRECTS_OWN}
    ) spent GROUP BY 2 ORDER BY 1, 2"""
_ROLLED: Final = """
    SELECT organisation_id, sum(requests), sum(charge_nano) FROM usage_dayrollup
    WHERE bucket_at >= %(from)s AND bucket_at < %(to)s GROUP BY 1 ORDER BY 1"""
