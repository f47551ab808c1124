"""Tracks who is watching a run, over all processes: its row says until when it certainly has a
viewer.

    a page is rendered, or the run begins --> for a few seconds: until its stream is open
    a page asks without a stream -----------> for a minute: a browser calls a hidden page so seldom
    a stream is open -----------------------> for a few seconds more, again and again
    the last stream of a process closes ----> until now, unless another process has set a later time
    no viewer for `unwatched_ms` -----------> the process that carries the run has it stopped

Only runs that stop without a viewer are tracked.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from django.db import Error, connection

from lib import clock
from lib.database.async_database import run_in_database
from playground.answers.notifications import notifications
from playground.models import Conversation, Run
from playground.turns.turns import ARRIVAL, request_stop

LEASE_S: Final = 3.0
# Browsers wake a hidden page once a minute.
_POLL_LEASE_S: Final = 70.0
_RENEW_S: Final = 1.0
_LOOK_S: Final = 0.25


class _Watch:
    """The streams of this process that read the same run."""

    def __init__(self) -> None:
        self.readers = 1
        self.gone = asyncio.Event()


_watches: dict[UUID, _Watch] = {}
_tasks: set[asyncio.Task[None]] = set()


@contextlib.contextmanager
def watching(batch: Sequence[Run]) -> Iterator[None]:
    """Mark these runs as watched for the duration of the block."""
    ids = [run.id for run in batch if run.unwatched_ms is not None and run.ended_at is None]
    for id in ids:
        _open(id)
    try:
        yield
    finally:
        for id in ids:
            _close(id)


def _open(run_id: UUID) -> None:
    watch = _watches.get(run_id)
    if watch is not None:
        watch.readers += 1
        return
    watch = _watches[run_id] = _Watch()
    # This task outlives the stream, which is cancelled and has no time to write.
    task = asyncio.create_task(_renew_lease(run_id, watch))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _close(run_id: UUID) -> None:
    watch = _watches[run_id]
    watch.readers -= 1
    if not watch.readers:
        del _watches[run_id]
        watch.gone.set()


async def _renew_lease(run_id: UUID, watch: _Watch) -> None:
    until = None
    while not watch.gone.is_set():
        with contextlib.suppress(Error):  # retried if the database is unreachable
            until = await run_in_database(_extend, run_id, LEASE_S)
            if until is None:
                return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RENEW_S):
                await watch.gone.wait()
    with contextlib.suppress(Error):
        await run_in_database(_release, run_id, until)


async def stop_when_left(run: Run) -> None:
    """Stop a run once nobody has watched it for its limit. Return early if the run ends before."""
    while True:
        if run.id not in _watches:
            with contextlib.suppress(Error):
                remaining_ms = await run_in_database(_unwatched_in_ms, run.id)
                if remaining_ms is None:
                    return
                if remaining_ms <= 0:
                    run.left = True  # its carrier has this same object, and reports it at the end
                    await run_in_database(request_stop, run, left=True)
                    notifications().notify(run.id)
                    return
        await asyncio.sleep(_LOOK_S)


def expect_reader(conversation: Conversation) -> None:
    """Record that a page of the conversation was rendered. Its reader counts as watching for
    ARRIVAL, in which the page opens its stream or is reloaded."""
    Run.objects.filter(conversation=conversation, ended_at=None, unwatched_ms__isnull=False).update(
        watched_until=clock.now() + ARRIVAL
    )


def note_poll(batch: Sequence[Run]) -> None:
    """Record that a page without a stream of its own asked for these runs, and will again."""
    for run in batch:
        if run.unwatched_ms is not None and run.ended_at is None:
            _extend(run.id, _POLL_LEASE_S)


def _extend(run_id: UUID, seconds: float) -> dt.datetime | None:
    """Extend the time until which the run is watched by these seconds from now, and return that. A
    later time stays. None once the run has ended."""
    with connection.cursor() as cursor:
        cursor.execute(_EXTEND, {"s": seconds, "run": run_id})
        row = cursor.fetchone()
    return row[0] if row else None


def _release(run_id: UUID, until: dt.datetime | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"run": run_id, "said": until})


def _unwatched_in_ms(run_id: UUID) -> float | None:
    """Return the milliseconds until the run reaches its limit without a viewer. None once it has
    ended or is being stopped."""
    with connection.cursor() as cursor:
        cursor.execute(_UNWATCHED_IN, [run_id])
        row = cursor.fetchone()
    return row[0] if row else None


_EXTEND = """
    WITH soft AS (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE playground_run
    SET watched_until = greatest(watched_until, clock_timestamp() + make_interval(secs => %(s)s))
    FROM soft WHERE id = %(run)s AND ended_at IS NULL
    RETURNING clock_timestamp() + make_interval(secs => %(s)s)"""

_RELEASE = """
    WITH soft AS (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE playground_run SET watched_until = clock_timestamp()
    FROM soft WHERE id = %(run)s AND ended_at IS NULL AND watched_until <= %(said)s"""

_UNWATCHED_IN = """
    SELECT extract(epoch FROM watched_until - clock_timestamp()) * 1000 + unwatched_ms
    FROM playground_run WHERE id = %s AND ended_at IS NULL AND stop_at IS NULL"""
