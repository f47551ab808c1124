"""The events of a run as rows: one process appends, any process reads.

These commits do not wait for the disk, so a database crash may lose the last frames. The request's
books do wait.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from dialects.openai.stream.decode import Decoder
from playground.answers.answer_parts import AnswerCollector
from playground.answers.heartbeat import STALE_S
from playground.answers.notifications import CHANNEL
from playground.models import Run, RunEvent
from playground.rendering.render import Frame

KEPT = dt.timedelta(minutes=15)


class AppendResult(NamedTuple):
    """Whether the run is still active (another process may have ended it), and whether it should
    stop."""

    alive: bool
    stopping: bool


class NewEvents(NamedTuple):
    """The events after a number, in order, and the state of the run's row. `cut`: its answer ends
    with what the page of its reader had shown, so it has less than its events."""

    events: list[tuple[int, str]]
    ended: bool
    stale: bool
    cut: bool = False


class PartialAnswer(NamedTuple):
    """The text of a run, and the number of its last event. `calls` are tool calls as in
    `turns/request.py`."""

    seq: int
    text: str
    reasoning: str
    calls: Sequence[dict[str, str]] = ()


def append_frames(run_id: UUID, first_seq: int, frames: Sequence[Frame]) -> AppendResult:
    """Write frames with the numbers from `first_seq` on, and notify. Write nothing if the run has
    ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            _APPEND,
            {
                "run": run_id,
                "seqs": [first_seq + offset for offset in range(len(frames))],
                "htmls": [frame.html for frame in frames],
                "texts": [frame.text for frame in frames],
                "reasonings": [frame.reasoning for frame in frames],
                "wires": [frame.wire for frame in frames],
                "channel": CHANNEL,
            },
        )
        row = cursor.fetchone()
    return AppendResult(row is not None, bool(row and row[0]))


def notify_all(run_id: UUID) -> None:
    """Notify every process, at the commit of the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(run_id)])


def read_after(run_id: UUID, seq: int, limit: int) -> NewEvents:
    """Read the next events of a run. A deleted run has none and is ended."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"run": run_id, "seq": seq, "limit": limit, "stale": STALE_S})
        rows = cursor.fetchall()
    if not rows:
        return NewEvents([], ended=True, stale=False)
    events = [(row[3], row[4]) for row in rows if row[3] is not None]
    return NewEvents(events, ended=rows[0][0], stale=rows[0][1], cut=rows[0][2])


def partial_answer(run_id: UUID) -> PartialAnswer:
    """Return the text that a run has written so far."""
    return _answer_of(RunEvent.objects.filter(run_id=run_id))


def answer_up_to(run_id: UUID, seq: int) -> PartialAnswer:
    """Return the text of a run's events up to this number."""
    return _answer_of(RunEvent.objects.filter(run_id=run_id, seq__lte=seq))


def _answer_of(chosen: QuerySet[RunEvent]) -> PartialAnswer:
    events = chosen.order_by("seq")
    rows = list(events.values_list("seq", "text", "reasoning", "wire"))
    return PartialAnswer(
        rows[-1][0] if rows else 0,
        "".join(row[1] for row in rows),
        "".join(row[2] for row in rows),
        _calls_in("".join(row[3] for row in rows)),
    )


def _calls_in(wire: str) -> list[dict[str, str]]:
    if '"tool_calls"' not in wire:
        return []
    collected = AnswerCollector()
    for step in Decoder(include_usage=True, translate=True).feed(wire.encode()):
        collected.take(step.events)
    return collected.calls


class WireEvent(NamedTuple):
    """Received data with its time in milliseconds since the run began."""

    at_ms: int
    text: str


def wire_of_run(run: Run) -> list[WireEvent]:
    """Return the received data in order; nothing once the events have expired."""
    events = RunEvent.objects.filter(run=run).exclude(wire="").order_by("seq")
    return [
        WireEvent(int((at - run.started_at) / dt.timedelta(milliseconds=1)), wire)
        for at, wire in events.values_list("at", "wire")
    ]


def drop_expired(now: dt.datetime) -> int:
    """Delete the events of runs that ended some time ago. Return how many."""
    return RunEvent.objects.filter(run__ended_at__lt=now - KEPT).delete()[0]


_APPEND = """
    WITH run AS (
        SELECT stop_at IS NOT NULL AS stopping, set_config('synchronous_commit', 'off', true)
        FROM playground_run WHERE id = %(run)s AND ended_at IS NULL
    ), written AS (
        INSERT INTO playground_runevent (run_id, seq, html, text, reasoning, wire)
        SELECT %(run)s, e.seq, e.html, e.text, e.reasoning, e.wire
        FROM run, unnest(%(seqs)s::int[], %(htmls)s::text[], %(texts)s::text[],
                         %(reasonings)s::text[], %(wires)s::text[])
             AS e(seq, html, text, reasoning, wire)
    )
    SELECT stopping, set_config, pg_notify(%(channel)s, %(run)s::text) FROM run"""

_READ = """
    SELECT r.ended_at IS NOT NULL,
           r.ended_at IS NULL
               AND r.heartbeat_at < clock_timestamp() - make_interval(secs => %(stale)s),
           r.state = 'stopped' AND r.stop_seq IS NOT NULL,
           e.seq, e.html
    FROM playground_run r
    LEFT JOIN playground_runevent e ON e.run_id = r.id AND e.seq > %(seq)s
    WHERE r.id = %(run)s ORDER BY e.seq LIMIT %(limit)s"""
