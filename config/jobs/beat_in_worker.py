"""The beat inside a worker, for an installation that has one of each: `celery worker --with-beat`.

Celery's own `--beat` starts a process, which holds in memory all that the worker does once more;
this is a thread. Where there may be several workers it stays a process of its own, of which there
is one (docker-compose.yml). The two end together: what starts a worker again starts its beat.

Where the worker has threads, they run its jobs without a message: each would cost three commits,
and there is nothing to keep of a job that starts at its next time anyway.
"""

import logging
from functools import partial
from threading import Thread
from typing import Any

from celery import Celery, Task, bootsteps
from celery.beat import ScheduleEntry, Service
from celery.concurrency.thread import TaskPool as Threads
from celery.platforms import EX_FAILURE
from celery.worker import state
from click import Option
from django.db import connection

from config.jobs.beat_scheduler import WorkScheduler

log = logging.getLogger(__name__)


def offer_beat(app: Celery) -> None:
    """Let workers of this app be started with their beat."""
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
    """Has the threads of a worker run the jobs. One that still waits for a thread is not put there
    twice: it does the work of both. One that runs may be started beside itself, as by messages:
    what hangs keeps a thread, and not the job.

    While the database is away, where a message could not be sent, all stay due: each would do
    nothing but fail, and say so every few seconds."""

    def __init__(self, pool: Any, **options: Any) -> None:
        super().__init__(**options)
        self._pool = pool
        self._put: set[str] = set()
        self._away = False

    def can_start(self, now: float) -> bool:
        if not self.is_anything_due(now):
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
        self._put.discard(task.name)
        try:
            # As a worker runs it: under an id of its own, and a failure is logged.
            task.apply()
        finally:
            connection.close()


def _ignore(_: object) -> None:
    """Of what comes of a job its run is recorded."""


class _Beat(Thread):
    def __init__(self, app: Celery, pool: Any) -> None:
        super().__init__(name="beat", daemon=True)
        ours = partial(OwnScheduler, pool)
        # Processes are sent messages: they share no memory with it.
        scheduler = ours if isinstance(pool, Threads) else app.conf.beat_scheduler
        self._service = Service(app, max_interval=1, scheduler_cls=scheduler)
        self._stopped = False

    def run(self) -> None:
        try:
            self._service.start()
        finally:
            if not self._stopped:
                # A worker without its beat would look well and do nothing.
                state.should_stop = EX_FAILURE

    def stop(self) -> None:
        """End it; that takes a second at most."""
        self._stopped = True
        self._service.stop()
        if self.is_alive():
            self.join()
