"""The emails to operators about background jobs that have stopped, or that run again.

The web processes check every few seconds (`config/jobs/sweeping.py`). Any live process sends these
emails, because sending emails is itself one of the jobs.
"""

import datetime as dt
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from django.db import connection, transaction

from config.jobs.runs import JobState, expected_jobs, job_states, record_run, state_of
from config.jobs.schedule import BACKUP_TASK, WATCH
from config.jobs.waiting_work import has_waiting_work
from config.models import JobRun
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from notify.deliveries.deliveries import lease_due, spread_facts
from notify.deliveries.sending import send
from outbox.facts import put, was_reported_since

log = logging.getLogger(__name__)

_KINDS: Final = ("jobs.stopped", "jobs.resumed")
_BATCH: Final = 50
# A round sends for this long, and one email more. The others wait for the next check.
_SENDING_S: Final = 5.0
# A gap this long means that no process checked: after a restart of the whole installation, nothing
# is reported.
_PAUSE: Final = dt.timedelta(seconds=30)
# A failure of all jobs makes each late at a different time. The first late job waits this long for
# the others, and the next email is sent this long after the last.
GATHER: Final = dt.timedelta(seconds=60)
BETWEEN: Final = dt.timedelta(minutes=10)


def watch() -> None:
    """Report to the operators jobs that have become late, and jobs that run again. Several
    processes may do this concurrently."""
    runs, now = JobRun.objects.in_bulk(), clock.now()
    if _looked_since(runs, now - dt.timedelta(seconds=WATCH.every_s / 2)):
        return
    with record_run(WATCH.task):
        if _has_changed(runs, now):
            _change()
    if has_waiting_work("notify.tasks.tell"):
        send_alarms()
        # The mail server may be slow. The time that this took is no pause of all processes.
        with record_run(WATCH.task):
            pass


def _has_changed(runs: Mapping[str, JobRun], now: dt.datetime) -> bool:
    """Return whether the read states require more than recording this check."""
    expected = expected_jobs()
    if not (_looked_since(runs, now - _PAUSE) and all(job.task in runs for job in expected)):
        return True
    states = [state_of(job, runs[job.task], now) for job in expected]
    return bool(_find_stopped(states, now) or _find_resumed(states, now))


def _find_stopped(states: Sequence[JobState], now: dt.datetime) -> list[JobState]:
    """Return the jobs that have become late and should be reported now, in one email."""
    late = [state for state in states if state.is_to_tell]
    gathered = any(now - state.late_since >= GATHER for state in late)
    return late if gathered and not was_reported_since("jobs.stopped", now - BETWEEN) else []


def _find_resumed(states: Sequence[JobState], now: dt.datetime) -> list[JobState]:
    """Return the jobs that run again and must be reported, in one email."""
    resumed = [state for state in states if state.resumed]
    return resumed if resumed and not was_reported_since("jobs.resumed", now - BETWEEN) else []


def _change() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock({AdvisoryLock.JOB_ALARMS})")
        # Another process may have reported it in the meantime.
        _expect_all()
        states = job_states()
        _publish_failures("jobs.stopped", _find_stopped(states, clock.now()))
        _publish_failures("jobs.resumed", _find_resumed(states, clock.now()))


def _looked_since(runs: Mapping[str, JobRun], since: dt.datetime) -> bool:
    """Return whether any process has checked the jobs since then."""
    good_at = runs[WATCH.task].good_at if WATCH.task in runs else None
    return good_at is not None and good_at > since


def _expect_all() -> None:
    """Expect each job from now on. After a pause of all processes the time starts again, because an
    installation that was switched off has missed only backups."""
    runs = JobRun.objects.in_bulk()
    new = [JobRun(task=job.task) for job in expected_jobs() if job.task not in runs]
    JobRun.objects.bulk_create(new, ignore_conflicts=True)
    if not _looked_since(runs, clock.now() - _PAUSE):
        JobRun.objects.exclude(task=BACKUP_TASK).update(expected_at=clock.now())


def _publish_failures(kind: str, states: list[JobState]) -> None:
    if not states:
        return
    told_at = clock.now() if kind == "jobs.stopped" else None
    JobRun.objects.filter(task__in=[state.job.task for state in states]).update(told_at=told_at)
    jobs = [
        {
            "task": state.job.task,
            "title": state.job.source_title,
            "since": clock.rfc3339(state.since),
            "error": state.run.error,
        }
        for state in states
    ]
    put(kind, None, jobs=jobs)
    level = logging.ERROR if kind == "jobs.stopped" else logging.INFO
    for state in states:
        log.log(level, "%s: %s", kind, state.job.task)


def send_alarms() -> None:
    """Send the due emails about background jobs, as the worker would. Each is leased only when it
    is sent, because the lease of one that waits for the others would end."""
    spread_facts(_BATCH, _KINDS)
    until = time.monotonic() + _SENDING_S
    while due := lease_due(1, _KINDS):
        send(due[0])
        if time.monotonic() >= until:
            break
