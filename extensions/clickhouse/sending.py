"""Sends usage records to ClickHouse, in rounds of batches (`usage/sinks/rounds.py`).

A batch counts after ClickHouse has acknowledged it and a numbered mark. A batch that is sent again
after a crash replaces rows by equal ones, so readers see each record once.
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from extensions.clickhouse.client import ClickHouse, ClickHouseError
from extensions.clickhouse.models import ClickHouseCursor
from extensions.clickhouse.server import FORMER_TABLES, MARKS, RECORDS, SCHEMA, server
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import ID_SLACK, new_id
from usage.buckets.buckets import Span, bucket_of
from usage.filters.visibility import NIL, run
from usage.rollups.levels import COMMON, columns_of
from usage.rollups.rollups import SETTLED_AT
from usage.sinks import rounds
from usage.sinks.usage_sink import DifferentDay

BATCH: Final = 20_000
"""The number of records in a batch: about 8 MB."""
_RUN_S: Final = 20.0
_LOCK: Final = AdvisoryLock.CLICKHOUSE


def send() -> int:
    """Send new records for at most about twenty seconds. Return how many; 0 without a ClickHouse,
    or if another process is sending. Raises ClickHouseError."""
    there = server()
    return 0 if there is None else _send(there, time.monotonic() + _RUN_S)


def rebuild() -> int:
    """Empty ClickHouse's tables and send all records again. Return how many. Raises
    ClickHouseError."""
    there = server()
    if there is None:
        raise ClickHouseError("CLICKHOUSE_URL is not set")
    return _send(there, None, anew=True)


def complete() -> Span | None:
    """Return the times of admission between which ClickHouse has all records, or None before it has
    them."""
    cursor = ClickHouseCursor.objects.filter(schema__gt=0).first()
    if cursor is None or cursor.complete_to is None:
        return None
    return Span(cursor.whole_from or _BEGINNING, cursor.complete_to)


def different_days() -> list[DifferentDay]:
    """Return the differing days among those that ClickHouse has completely; none without a
    ClickHouse. Raises ClickHouseError."""
    there, cursor = server(), ClickHouseCursor.objects.first()
    if there is None or cursor is None or cursor.complete_to is None:
        return []
    span: dict[str, Any] = {"from": cursor.whole_from or _BEGINNING, "to": cursor.complete_to}
    ours = {row[0]: [int(figure) for figure in row[1:]] for row in run(_OUR_DAYS, span)}
    theirs = {row[0]: row[1:] for row in there.rows(_THEIR_DAYS, span)}
    # ClickHouse may still have months that were detached here.
    return [
        DifferentDay(str(day), str(ours[day]), str(theirs.get(day)))
        for day in sorted(ours)
        if ours[day] != theirs.get(day)
    ]


def _send(there: ClickHouse, until: float | None, *, anew: bool = False) -> int:
    ClickHouseCursor.objects.get_or_create(id=1)
    sent = 0
    with rounds.try_lock(_LOCK, wait=anew) as alone:
        if not alone:
            return 0
        try:
            if anew or not _intact(there):
                _begin(there)
            more = True
            while more and (until is None or time.monotonic() < until):
                with rounds.try_lock(AdvisoryLock.CLICKHOUSE_BATCH, wait=True):
                    rows, more = _send_batch(there, ClickHouseCursor.objects.get())
                sent += rows
        except ClickHouseError as error:
            ClickHouseCursor.objects.update(error=str(error)[:200])
            raise
    ClickHouseCursor.objects.exclude(error="").update(error="")
    return sent


def _intact(there: ClickHouse) -> bool:
    """Return whether ClickHouse has what the cursor says. It does not if it lost data, if one of
    the two was restored from a backup, or if its tables are of another version."""
    cursor = ClickHouseCursor.objects.get()
    if cursor.schema != SCHEMA or rounds.is_ahead(cursor):
        return False
    try:
        batches = batches_there(there, cursor)
    except ClickHouseError as error:
        if error.code in _NO_TABLE:
            return False
        raise
    # A process that died before it stored this may have had one more batch acknowledged.
    return batches in (cursor.batches, cursor.batches + 1)


def batches_there(there: ClickHouse, cursor: ClickHouseCursor) -> int:
    """Return how many batches of the cursor's fill ClickHouse has; -1 for none. Raises
    ClickHouseError."""
    marks = there.rows(_MARKED, {"fill": cursor.fill})
    return max((int(batch) for (batch,) in marks), default=-1)


def _begin(there: ClickHouse) -> None:
    """Create missing tables, empty all, and start with the first record."""
    # Empty the marks first: a mark then proves that all its records are there.
    for text in (*_TABLES, *(f"TRUNCATE TABLE {table}" for table in (MARKS, RECORDS))):
        there.run(text)
    fill = new_id()
    _mark(there, fill, 0)
    rounds.restart(ClickHouseCursor, fill, schema=SCHEMA, whole_from=_whole_from())
    for table in FORMER_TABLES:
        there.run(f"DROP TABLE IF EXISTS {table}")


def _whole_from() -> dt.datetime | None:
    """Return the time from which there are records for all rollups, or None if none is missing. The
    records of detached months are missing for good."""
    summed, recorded, now = run(_FIRST, {})[0]
    if summed is None or (recorded is not None and bucket_of(recorded) <= summed):
        return None
    whole_from: dt.datetime = now if recorded is None else recorded + ID_SLACK
    return whole_from


def _send_batch(there: ClickHouse, cursor: ClickHouseCursor) -> tuple[int, bool]:
    """Send one batch of the current round, or of a new round. Return the number of records, and
    whether more are waiting."""
    if not cursor.target:
        rounds.begin(cursor, run(SETTLED_AT, {})[0][0])
    rows = rounds.read_batch(cursor, f"json_build_array({_ROW})::text", BATCH)
    if rows:
        there.insert(RECORDS, _NAMES, "\n".join(row.text for row in rows).encode())
        _mark(there, cursor.fill, cursor.batches + 1)
    return len(rows), rounds.step(cursor, rows, more=len(rows) == BATCH)


def _mark(there: ClickHouse, fill: UUID, batch: int) -> None:
    there.insert(MARKS, ("fill", "batch"), f'["{fill}", {batch}]'.encode())


# UNKNOWN_TABLE, UNKNOWN_DATABASE.
_NO_TABLE: Final = (60, 81)
_MARKED: Final = f"SELECT batch FROM {MARKS} WHERE fill = {{fill:UUID}}"  # noqa: S608 - own names
_BEGINNING: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_FIRST: Final = """
    SELECT (SELECT min(bucket_at) FROM usage_rollup),
           (SELECT min(admitted_at) FROM usage_usagerecord), now()"""


class _Column(NamedTuple):
    name: str
    type: str
    value: str


def _columns() -> Iterator[_Column]:
    def plain(type: str, *names: str) -> Iterator[_Column]:
        for name in names:
            yield _Column(name, type, f"r.{name}")

    def time(name: str) -> _Column:
        text = f"to_char(r.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        return _Column(name, "DateTime64(6, 'UTC')", text)

    meters, rest = columns_of("quarter")
    yield from plain("UUID", "organisation_id", "id", "request_id", "team_id", "key_id")
    yield _Column("user_id", "Int64", "coalesce(r.user_id, 0)")
    yield _Column("channel_id", "UUID", f"coalesce(r.channel_id, '{NIL}')")
    yield from (time("admitted_at"), time("ended_at"))
    yield from plain("Bool", "final", "stream")
    yield from plain(
        "LowCardinality(String)", "model", "channel_name", "upstream_model", "dialect", "operation",
        "source", "finish_reason", "basis", "client_app",
    )  # fmt: skip
    yield _Column("kind", "LowCardinality(String)", "coalesce(r.kind, '')")
    yield from plain("String", "project", "customer", "end_user", "upstream_request_id")
    yield _Column("tags", "Array(String)", "coalesce(r.tags, '[]')")
    yield from plain("Array(String)", "flags")
    yield _Column("dropped", "Array(String)", "coalesce(r.dropped, '{}')")
    yield from plain("Int16", "status")
    yield from plain("Int64", "charge_nano", "hold_nano", "multiplier_ppm")
    yield from plain(
        "Nullable(Int64)",
        "cost_nano",
        "price_version_id",
        "cost_version_id",
        "saved_nano",
        "own_nano",
    )
    for name, value in zip(COMMON, meters, strict=True):
        yield _Column(name, "Nullable(Int64)", value)
    yield _Column("meters", "Map(String, Int64)", rest)
    yield from plain("Nullable(Int32)", "ttft_ms")
    yield from plain("Int32", "total_ms")


_COLUMNS: Final[Sequence[_Column]] = tuple(_columns())
_NAMES: Final = tuple(column.name for column in _COLUMNS)
_ROW: Final = ", ".join(column.value for column in _COLUMNS)
_TABLES: Final = (
    # The key is unique by record; queries search one organisation and time.
    "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = ReplacingMergeTree"
    " PARTITION BY toYYYYMM(admitted_at) ORDER BY (organisation_id, admitted_at, id)".format(
        RECORDS, ", ".join(f"{column.name} {column.type}" for column in _COLUMNS)
    ),
    f"CREATE TABLE IF NOT EXISTS {MARKS} (fill UUID, batch UInt64)"
    " ENGINE = ReplacingMergeTree(batch) ORDER BY fill",
)
_OUR_SUMS: Final = ", ".join(
    f"coalesce(sum({value}), 0)"
    for value in (
        "r.charge_nano",
        "r.total_ms",
        "r.status",
        "r.saved_nano",
        "r.own_nano",
        *columns_of("quarter")[0],
    )
)
_THEIR_SUMS: Final = ", ".join(
    f"ifNull(sum(r.{name}), 0)"
    for name in ("charge_nano", "total_ms", "status", "saved_nano", "own_nano", *COMMON)
)
_OUR_DAYS: Final = f"""
    SELECT to_char(r.admitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*), {_OUR_SUMS}
    FROM usage_usagerecord r WHERE r.admitted_at >= %(from)s AND r.admitted_at < %(to)s
    GROUP BY 1"""  # noqa: S608 - own names
_THEIR_DAYS: Final = f"""
    SELECT toString(toDate(r.admitted_at)), count(), {_THEIR_SUMS}
    FROM {RECORDS} AS r FINAL
    WHERE r.admitted_at >= {{from:DateTime64(6, 'UTC')}}
      AND r.admitted_at < {{to:DateTime64(6, 'UTC')}}
    GROUP BY 1"""  # noqa: S608 - own names
