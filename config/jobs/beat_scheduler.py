"""The beat's scheduler. It starts a due job only if work is waiting for it
(config/jobs/waiting_work.py). So an idle installation starts almost no jobs, each of which would
cost a message, a thread and several statements. It wakes every other second, and starts what is due
before it wakes again."""

import math
import signal
import time
from types import FrameType
from typing import Any, Final, NoReturn

from celery.beat import ScheduleEntry, Scheduler, Service
from django.db import Error, connection

from config.jobs import heartbeat
from config.jobs.dropped_lines import count_dropped_lines
from config.jobs.waiting_work import (
    ALL_ASKED_S,
    ASKED_IN_FULL,
    JOBS_THAT_WAIT,
    LOOK_PAST_S,
    waiting_jobs,
)

# A result is reused for this long, so that jobs which are due close together share one query.
_ANSWER_S: Final = 1.5
# The shortest interval of a job.
_TICK_S: Final = 2.0


class WorkScheduler(Scheduler):  # type: ignore[misc]
    """Starts each job at multiples of its interval, so that many jobs coincide."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due_at: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._waiting: frozenset[str] | None = frozenset()
        self._asked_at = -math.inf
        self._idle: frozenset[str] = frozenset()
        self._noted_at = -math.inf
        self._reporter: Any = None
        self._reported_at = -math.inf

    def tick(self, *_: Any, **__: Any) -> float:
        """Start the due jobs and return the seconds to sleep. Celery's own tick keeps the times as
        dates in time zones and compares the whole schedule with itself, which takes five times as
        long as starting the jobs."""
        count_dropped_lines()
        heartbeat.beat()
        self.report_process()
        now = time.monotonic()
        next_at = (now // _TICK_S + 1) * _TICK_S
        if self.can_start(now, next_at):
            self._start_due(now, next_at)
        return max(next_at - time.monotonic(), 0.0)

    def _start_due(self, now: float, next_at: float) -> None:
        for name, entry in self.schedule.items():
            every_s = entry.schedule.seconds
            due_at = self._due_at.get(name)
            if due_at is not None and due_at < next_at and self._is_wanted(entry.task, now):
                self._started_at[entry.task] = now
                self.start(entry)
            if due_at is None or due_at < next_at:
                self._due_at[name] = math.ceil(next_at / every_s) * every_s

    def report_process(self) -> None:
        """Report this process, every few seconds (config/processes/processes.py)."""
        from config.processes.processes import EVERY_S, Reporter, report_or_wait

        now = time.monotonic()
        if now - self._reported_at >= EVERY_S:
            self._reported_at = now
            self._reporter = self._reporter or Reporter("scheduler")
            report_or_wait(self._reporter)

    def can_start(self, now: float, next_at: float) -> bool:
        """Return whether the due jobs are started now."""
        return True

    def start(self, entry: ScheduleEntry) -> None:
        """Send the job to the workers."""
        self.apply_entry(entry, producer=self.producer)

    def _is_wanted(self, task: str, now: float) -> bool:
        if task not in JOBS_THAT_WAIT:
            return True
        waiting = self.waiting(now)
        # While the database is away, jobs are started and report the problem by failing.
        if waiting is None or task in waiting:
            return True
        rested_s = now - self._started_at.get(task, -math.inf)
        if rested_s < LOOK_PAST_S:
            return False
        return rested_s >= ALL_ASKED_S or task not in self._idle_jobs(now, waiting)

    def _idle_jobs(self, now: float, waiting: frozenset[str]) -> frozenset[str]:
        """Return the jobs that need no start although none has been started for a while, and let
        them count as run, because a job that does not run is reported."""
        if now - self._noted_at >= LOOK_PAST_S:
            self._idle, self._noted_at = _note_idle(ASKED_IN_FULL - waiting), now
        return self._idle

    def waiting(self, now: float) -> frozenset[str] | None:
        """Return the tasks with waiting work; None if the database cannot be queried."""
        if now - self._asked_at >= _ANSWER_S:
            self._waiting, self._asked_at = _count_waiting(), now
        return self._waiting

    def is_anything_due(self, next_at: float) -> bool:
        return min(self._due_at.values(), default=math.inf) < next_at


def stop_on_signal(sender: Service, **_: Any) -> None:
    """Let SIGTERM and SIGINT end the beat. Celery's own handler raises an exception and no more; if
    it comes while Python finalizes an object, Python drops the exception and the beat goes on. Its
    handler also closes the connection to the broker, in the middle of whatever uses it."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        sender.stop()
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _note_idle(tasks: frozenset[str]) -> frozenset[str]:
    # Models can be imported only after Django's setup.
    from config.jobs.runs import note_idle

    try:
        return note_idle(tasks)
    except Error:
        connection.close()
        return frozenset()


def _count_waiting() -> frozenset[str] | None:
    # The beat of a worker keeps its connection. A pool would hand out another one each time, and
    # each of them would plan the statement anew and keep its plan, which takes 3 MB.
    try:
        return waiting_jobs()
    except Error:
        connection.close()
        return None
