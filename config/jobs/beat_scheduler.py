"""The beat's scheduler. It starts a due job only if work is waiting for it
(config/jobs/waiting_work.py). So an idle installation starts almost no jobs, each of which would
cost a message, a thread and several statements."""

import math
import time
from typing import Any, Final

from celery.beat import ScheduleEntry, Scheduler
from django.db import Error, connection

from config.jobs import heartbeat
from config.jobs.waiting_work import JOBS_THAT_WAIT, LOOK_PAST_S, waiting_jobs

# A result is reused for this long, so that jobs which are due close together share one query.
_ANSWER_S: Final = 1.5


class WorkScheduler(Scheduler):  # type: ignore[misc]
    """Starts each job at multiples of its interval, so that many jobs coincide."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due_at: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._waiting: frozenset[str] | None = frozenset()
        self._asked_at = -math.inf
        self._reporter: Any = None
        self._reported_at = -math.inf

    def tick(self, *_: Any, **__: Any) -> float:
        """Start the due jobs and return the seconds to sleep. Celery's own tick keeps the times as
        dates in time zones and compares the whole schedule with itself, which takes five times as
        long as starting the jobs."""
        # Models can be imported only after Django's setup.
        from config.jobs.sweeping import count_dropped_lines

        count_dropped_lines()
        heartbeat.beat()
        self.report_process()
        now = time.monotonic()
        if not self.can_start(now):
            return float(self.max_interval)
        for name, entry in self.schedule.items():
            every_s = entry.schedule.seconds
            due_at = self._due_at.get(name)
            if due_at is not None and due_at <= now and self._is_wanted(entry.task, now):
                self._started_at[entry.task] = now
                self.start(entry)
            if due_at is None or due_at <= now:
                self._due_at[name] = (now // every_s + 1) * every_s
        next_at = min(self._due_at.values(), default=math.inf)
        return min(next_at - time.monotonic(), float(self.max_interval))

    def report_process(self) -> None:
        """Report this process, every few seconds (config/processes/processes.py)."""
        from config.processes.processes import EVERY_S, Reporter, report_or_wait

        now = time.monotonic()
        if now - self._reported_at >= EVERY_S:
            self._reported_at = now
            self._reporter = self._reporter or Reporter("scheduler")
            report_or_wait(self._reporter)

    def can_start(self, now: float) -> bool:
        """Return whether the due jobs are started now."""
        return True

    def start(self, entry: ScheduleEntry) -> None:
        """Send the job to the workers."""
        self.apply_entry(entry, producer=self.producer)

    def _is_wanted(self, task: str, now: float) -> bool:
        if task not in JOBS_THAT_WAIT:
            return True
        if now - self._started_at.get(task, -math.inf) >= LOOK_PAST_S:
            return True
        waiting = self.waiting(now)
        # While the database is away, jobs are started and report the problem by failing.
        return waiting is None or task in waiting

    def waiting(self, now: float) -> frozenset[str] | None:
        """Return the tasks with waiting work; None if the database cannot be queried."""
        if now - self._asked_at >= _ANSWER_S:
            self._waiting, self._asked_at = _count_waiting(), now
        return self._waiting

    def is_anything_due(self, now: float) -> bool:
        return min(self._due_at.values(), default=math.inf) <= now


def _count_waiting() -> frozenset[str] | None:
    try:
        return waiting_jobs()
    except Error:
        return None
    finally:
        connection.close()
