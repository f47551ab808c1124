"""Run the beat inside the only worker of an installation: `celery worker --with-beat`.

Celery's own `--beat` starts a process with a second copy of the worker's memory; this is a thread.
Installations with several workers run the beat as its own process, exactly once
(docker-compose.yml). Worker and beat end together, so a restart of the worker restarts its beat.

In a worker with threads, the threads run the jobs without a message. A message would cost three
commits, and a lost job starts again at its next time anyway.
"""

import logging
from threading import Event, Lock, Thread
from typing import Any, Final

from celery import Celery, Task, bootsteps
from celery.beat import ScheduleEntry
from celery.concurrency.thread import TaskPool as Threads
from celery.platforms import EX_FAILURE
from celery.worker import state
from click import Option
from django.db import connection
from kombu.utils.imports import symbol_by_name

from config.jobs.beat_scheduler import WorkScheduler

log = logging.getLogger(__name__)

# How long a job waits for the one before it.
_TURN_S: Final = 1.0


def offer_beat(app: Celery) -> None:
    """Add the option `--with-beat` to the app's workers."""
    app.user_options["worker"].add(
        Option(["--with-beat"], is_flag=True, help="Schedule the periodic tasks, too.")
    )
    app.steps["worker"].add(BeatStep)


class BeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts and stops the beat with its worker."""

    conditional = True
    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, with_beat: bool = False, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = with_beat

    def create(self, parent: Any) -> "_Beat":
        return _Beat(parent.app, parent.pool)


class OwnScheduler(WorkScheduler):
    """Runs the jobs in the worker's threads.

    A job that still waits for a thread is not queued again. A running job may be started a second
    time, as with messages, so that a hanging run blocks a thread but not the job. While the
    database is away, all jobs stay due instead of failing every few seconds.

    Jobs that are due together run one after the other, so they share a connection, whose process of
    Postgres takes 10 MB. Those that have waited for `_TURN_S` run at once.
    """

    def __init__(self, pool: Any, **options: Any) -> None:
        super().__init__(**options)
        self._pool = pool
        self._put: set[str] = set()
        self._turn = Lock()
        self._away = False

    def report_process(self) -> None:
        """Do nothing, because the worker reports its own process."""

    def can_start(self, now: float, next_at: float) -> bool:
        if not self.is_anything_due(next_at):
            return True
        away = self.waiting(now) is None
        if away and not self._away:
            log.error("the database is away: background jobs wait until it is back")
        elif self._away and not away:
            log.warning("the database is back: background jobs go on")
        self._away = away
        return not away

    def start(self, entry: ScheduleEntry) -> None:
        if entry.task not in self._put:
            self._put.add(entry.task)
            self._pool.apply_async(self._run, (self.app.tasks[entry.task],), callback=_ignore)

    def _run(self, task: Task) -> None:
        turn = self._turn
        if not turn.acquire(timeout=_TURN_S):
            turn = Lock()
            turn.acquire()
            self._turn = turn
        self._put.discard(task.name)
        try:
            # Run it like a worker does: with its own id, and failures are logged.
            task.apply()
        finally:
            try:
                connection.close()
            finally:
                turn.release()


def _ignore(_: object) -> None:
    """Ignore the result: the run is recorded elsewhere."""


class _Beat(Thread):
    def __init__(self, app: Celery, pool: Any) -> None:
        super().__init__(name="beat", daemon=True)
        # Pools of processes get messages, because they share no memory with the beat.
        self._scheduler = (
            OwnScheduler(pool, app=app)
            if isinstance(pool, Threads)
            else symbol_by_name(app.conf.beat_scheduler)(app=app)  # type: ignore[no-untyped-call]
        )
        self._stop_asked = Event()

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                self._stop_asked.wait(self._scheduler.tick())
        finally:
            connection.close()
            if not self._stop_asked.is_set():
                # A worker whose beat has died would look healthy and do nothing.
                state.should_stop = EX_FAILURE

    def stop(self) -> None:
        """Stop the beat, once the jobs that are due were started."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()
