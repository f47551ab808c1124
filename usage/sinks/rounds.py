"""What a sink is sent: rounds of batches. The records themselves are the queue, and so are, for a
sink of the content log, its entries.

A round sends the records that a snapshot of the database sees and the previous round's snapshot did
not. So each record is sent, in whatever order transactions commit. A round has batches. A batch
counts once the sink has acknowledged it and `step` has stored that, so a batch may be sent again
after a crash.

Nothing is queued elsewhere: an unreachable sink takes no extra storage here, and does not affect
requests, rollups and the ledger.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from django.db import connection

from lib.database.advisory_locks import AdvisoryLock
from lib.database.open_transactions import OPEN_HERE
from usage.filters.visibility import run
from usage.sinks.cursor import SinkCursor
from usage.sinks.usage_sink import WAITING_MAX, Backlog


class Source(NamedTuple):
    """A table whose rows are sent. They have the column `xid`, of the transaction that wrote them.
    `id` is the column of their ids, `first_by` the one that comes before it in the order of the
    first fill."""

    table: str
    id: str
    first_by: Literal["organisation_id", "xid"]


RECORDS: Final = Source("usage_usagerecord", "id", "organisation_id")
ENTRIES: Final = Source("content_entry", "request_id", "xid")


class Row(NamedTuple):
    """A record by its place in the queue, and what is sent of it."""

    xid: int
    organisation_id: UUID
    id: UUID
    text: str


def backlog_of(cursor: SinkCursor | None, source: Source = RECORDS) -> Backlog:
    """Return the state of the sink with this cursor; None: nothing was sent yet."""
    if cursor is None:
        return Backlog(_count(source, "true", {}), None, "")
    if not cursor.snapshot:
        return Backlog(_count(source, *_after_start(cursor, source)), None, cursor.error)
    waiting = _count(source, _NEW, {"before": cursor.snapshot})
    return Backlog(waiting, cursor.complete_to, cursor.error)


def unsent(cursor: SinkCursor, source: Source) -> tuple[str, dict[str, Any]]:
    """Return the condition on rows `r` that the sink does not have, and its parameters: those that
    are new, except what its round has passed."""
    texts, parameters = ["true"], dict[str, Any]()
    if cursor.snapshot:
        texts, parameters = [_NEW], {"before": cursor.snapshot}
    if cursor.after_id is not None:
        passed = f"(r.xid, r.{source.id}) <= (%(xid)s::text::xid8, %(id)s)"
        texts.append(f"NOT ({passed} AND {_IN_ROUND})")
        parameters |= {
            "xid": str(cursor.after_xid), "id": cursor.after_id, "target": cursor.target,
        }  # fmt: skip
    return " AND ".join(texts), parameters


@contextmanager
def try_lock(number: AdvisoryLock, *, wait: bool) -> Iterator[bool]:
    """Hold a sink's lock, such as that with which only one process sends at a time. No transaction
    is open while the sink is awaited, because rollups wait for every open one."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s)", [number])
            alone = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
            alone = cursor.fetchone()[0]
    try:
        yield alone
    finally:
        if alone:
            run("SELECT pg_advisory_unlock(%(number)s)", {"number": number})


def is_ahead(cursor: SinkCursor) -> bool:
    """Return whether the cursor came with a dump from a server that had more transactions."""
    return bool(cursor.snapshot and run(_IS_AHEAD, {"snapshot": cursor.snapshot})[0][0])


def restart(cursors: type[SinkCursor], fill: UUID, **also: Any) -> None:
    """Store that nothing was sent yet, in a new fill."""
    cursors._default_manager.filter(id=1).update(
        fill=fill, batches=0, snapshot="", target="", target_to=None, after_xid=None,
        after_organisation=None, after_id=None, complete_to=None, **also,
    )  # fmt: skip


def begin(cursor: SinkCursor, settled_at: dt.datetime) -> None:
    """Begin a round, in memory. Every transaction before `settled_at` has ended."""
    cursor.target, cursor.target_to = run(_TARGET, {"settled_at": settled_at})[0]


def begin_entries(cursor: SinkCursor) -> None:
    """Begin a round of entries, in memory. It has all that were written before."""
    cursor.target, cursor.target_to = run(_TARGET_NOW, {})[0]


def store_target(cursor: SinkCursor) -> None:
    """Store the end of the round that begins."""
    type(cursor)._default_manager.filter(id=1).update(
        target=cursor.target, target_to=cursor.target_to
    )


def read_batch(cursor: SinkCursor, text: str, most: int, source: Source = RECORDS) -> list[Row]:
    """Return at most `most` records of the current round, as `text` writes a record `r`."""
    where, order, parameters = _batch(cursor, source)
    select = _SELECT.format(text=text, table=source.table, id=source.id, where=where, order=order)
    return [Row(*row) for row in run(select, {**parameters, "most": most})]


def step(cursor: SinkCursor, rows: Sequence[Row], *, more: bool) -> bool:
    """Store that the sink has these records, and whether more of the round may be waiting. Return
    that."""
    batches = cursor.batches
    cursor.batches += bool(rows)
    if more:
        cursor.after_xid, cursor.after_organisation, cursor.after_id = rows[-1][:3]
    else:
        cursor.after_xid = cursor.after_organisation = cursor.after_id = None
        cursor.snapshot, cursor.target = cursor.target, ""
        cursor.complete_to = max(filter(None, (cursor.complete_to, cursor.target_to)))
    stepped = {name: getattr(cursor, name) for name in _STEPS}
    type(cursor)._default_manager.filter(fill=cursor.fill, batches=batches).update(**stepped)
    return more


def _batch(cursor: SinkCursor, source: Source) -> tuple[str, str, dict[str, Any]]:
    """Return the condition and the order of the next batch of a round, and the parameters."""
    if not cursor.snapshot:
        where, parameters = _after_start(cursor, source)
        return where, f"r.{source.first_by}, r.{source.id}", parameters
    where, parameters = _NEW, {"before": cursor.snapshot, "target": cursor.target}
    where += f" AND {_IN_ROUND}"
    if cursor.after_id is not None:
        where += _BEHIND.format(id=source.id)
        parameters |= {"xid": str(cursor.after_xid), "id": cursor.after_id}
    return where, f"r.xid, r.{source.id}", parameters


def _after_start(cursor: SinkCursor, source: Source) -> tuple[str, dict[str, Any]]:
    """Return the condition on records that were not sent yet, during the first fill."""
    if cursor.after_id is None:
        return "true", {}
    after: dict[str, Any] = {"id": cursor.after_id}
    if source.first_by == "xid":
        after["xid"] = str(cursor.after_xid)
        return f"(r.xid, r.{source.id}) > (%(xid)s::text::xid8, %(id)s)", after
    after["organisation"] = cursor.after_organisation
    return f"(r.organisation_id, r.{source.id}) > (%(organisation)s, %(id)s)", after


def _count(source: Source, where: str, parameters: dict[str, Any]) -> int:
    text = _COUNT.format(table=source.table, where=where, most=WAITING_MAX)
    return int(run(text, parameters)[0][0])


_STEPS: Final = (
    "batches", "snapshot", "target", "target_to", "after_xid", "after_organisation", "after_id",
    "complete_to",
)  # fmt: skip

_IS_AHEAD: Final = """
    SELECT pg_snapshot_xmax(%(snapshot)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())"""
# Read everything from one snapshot: a request admitted before it that may still end has an open
# hold in it.
_TARGET: Final = f"""
    SELECT {OPEN_HERE}::text, least(%(settled_at)s, min(opened_at))
    FROM billing_hold WHERE state = 'open'"""  # noqa: S608 - only constants are put in
_TARGET_NOW: Final = f"SELECT {OPEN_HERE}::text, now()"
_NEW: Final = """r.xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
        AND NOT pg_visible_in_snapshot(r.xid, %(before)s::pg_snapshot)"""
_IN_ROUND: Final = "pg_visible_in_snapshot(r.xid, %(target)s::pg_snapshot)"
_BEHIND: Final = """
        AND r.xid >= %(xid)s::text::xid8
        AND (r.xid > %(xid)s::text::xid8 OR r.{id} > %(id)s)"""
_SELECT: Final = """
    SELECT r.xid::text::bigint, r.organisation_id, r.{id}, {text}
    FROM {table} r WHERE {where} ORDER BY {order} LIMIT %(most)s"""
_COUNT: Final = """
    SELECT count(*) FROM (SELECT FROM {table} r WHERE {where} LIMIT {most}) counted"""
