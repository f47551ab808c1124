"""Background jobs: each run is recorded, and a job that does not succeed in time is reported.

A dead worker or beat reports nothing. So lateness is computed on read, and the web processes, which
check every few seconds, send the email (`config/jobs/sweeping.py`). Any live process sends emails
about these jobs, because sending emails is itself one of them.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from django.db import Error, connection, transaction

from config.jobs.schedule import BACKUP_TASK, JOBS, WATCH, Job, backup_job
from config.jobs.waiting_work import has_waiting_work
from config.models import JobRun
from gateway.settings.installation import backup_every_hours
from lib import clock
from notify.deliveries.deliveries import lease_due, spread_facts
from notify.deliveries.sending import send
from outbox.facts import put, was_reported_since

log = logging.getLogger(__name__)

# A gap this long means that no process checked: after a restart of the whole installation, nothing
# is reported.
_PAUSE: Final = dt.timedelta(seconds=30)
# A failure of all jobs makes each late at a different time. The first late job waits this long for
# the others, and the next email is sent this long after the last.
GATHER: Final = dt.timedelta(seconds=60)
BETWEEN: Final = dt.timedelta(minutes=10)


class JobState(NamedTuple):
    """The state of a job. `since` is the last successful run, or when the first one was
    expected."""

    job: Job
    run: JobRun
    since: dt.datetime
    late: bool

    @property
    def reported(self) -> bool:
        return self.run.told_at is not None

    @property
    def is_to_tell(self) -> bool:
        return self.late and not self.reported

    @property
    def late_since(self) -> dt.datetime:
        """Return when the job became late, or will."""
        return self.since + dt.timedelta(seconds=self.job.late_s)

    @property
    def resumed(self) -> bool:
        """Return whether the job succeeded after it was reported as late."""
        told_at, good_at = self.run.told_at, self.run.good_at
        return told_at is not None and good_at is not None and good_at > told_at

    @property
    def problem(self) -> str:
        """Return why the job is late, for operators. The error's message is left out, because it
        may contain customer data."""
        why = f"its last run failed: {self.run.error}" if self.run.error else "it does not run"
        return f"no successful run since {clock.rfc3339(self.since)}, {why}"


@contextmanager
def record_run(task: str) -> Iterator[None]:
    """Record how the block ends, if it is the work of a background job."""
    began_at, error = clock.now(), ""
    try:
        yield
    except Exception as failure:
        error = type(failure).__name__
        raise
    finally:
        if task in JOBS or task == BACKUP_TASK:
            _record(task, began_at, error)


def job_states() -> list[JobState]:
    """Return the state of the jobs in the order of the schedule; empty if no web process has ever
    run."""
    runs, now = JobRun.objects.in_bulk(), clock.now()
    return [_state(job, runs[job.task], now) for job in _expected_jobs() if job.task in runs]


def last_backup() -> JobRun | None:
    """Return the record of the last `manage.py backup`, which also has the time of the last good
    one."""
    return JobRun.objects.filter(task=BACKUP_TASK).first()


def note_backup(made_at: dt.datetime) -> JobRun:
    """Record that the installation was restored from a backup made at that instant. The backup
    itself does not contain this record."""
    ended = {"ended_at": made_at, "good_at": made_at, "error": ""}
    return JobRun.objects.update_or_create(task=BACKUP_TASK, defaults=ended)[0]


def expect_from_now() -> None:
    """Expect all jobs from now on, because the installation could not run any before it was
    restored."""
    JobRun.objects.update(expected_at=clock.now(), told_at=None)


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


def _has_changed(runs: Mapping[str, JobRun], now: dt.datetime) -> bool:
    """Return whether the read states require more than recording this check."""
    expected = _expected_jobs()
    if not (_looked_since(runs, now - _PAUSE) and all(job.task in runs for job in expected)):
        return True
    states = [_state(job, runs[job.task], now) for job in expected]
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
            cursor.execute("SELECT pg_advisory_xact_lock(8113072027)")
        # Another process may have reported it in the meantime.
        _expect_all()
        states = job_states()
        _publish_failures("jobs.stopped", _find_stopped(states, clock.now()))
        _publish_failures("jobs.resumed", _find_resumed(states, clock.now()))


def _expected_jobs() -> list[Job]:
    """Return every job that must run. The backup is included only if its interval is set."""
    hours = backup_every_hours()
    return [*JOBS.values(), *([backup_job(hours)] if hours else [])]


def _state(job: Job, run: JobRun, now: dt.datetime) -> JobState:
    since = max(run.good_at or run.expected_at, run.expected_at)
    return JobState(job, run, since, now - since > dt.timedelta(seconds=job.late_s))


def _record(task: str, began_at: dt.datetime, error: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                _RECORD,
                {"task": task, "began": began_at, "ended": clock.now(), "error": error[:100]},
            )
    except Error:
        # The work is done, or has failed by itself. A missing record is reported as a late job.
        log.exception("the run of %s is not recorded", task)


def _looked_since(runs: Mapping[str, JobRun], since: dt.datetime) -> bool:
    """Return whether any process has checked the jobs since then."""
    good_at = runs[WATCH.task].good_at if WATCH.task in runs else None
    return good_at is not None and good_at > since


def _expect_all() -> None:
    """Expect each job from now on. After a pause of all processes the time starts again, because an
    installation that was switched off has missed only backups."""
    runs = JobRun.objects.in_bulk()
    new = [JobRun(task=job.task) for job in _expected_jobs() if job.task not in runs]
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


_RECORD: Final = """
    INSERT INTO config_jobrun (task, began_at, ended_at, error, good_at)
    VALUES (%(task)s, %(began)s, %(ended)s, %(error)s,
            CASE WHEN %(error)s = '' THEN %(ended)s::timestamptz END)
    ON CONFLICT (task) DO UPDATE SET
        began_at = excluded.began_at, ended_at = excluded.ended_at, error = excluded.error,
        good_at = coalesce(excluded.good_at, config_jobrun.good_at)"""


_KINDS: Final = ("jobs.stopped", "jobs.resumed")
_BATCH: Final = 50


def send_alarms() -> None:
    """Send the due emails about background jobs, as the worker would."""
    spread_facts(_BATCH, _KINDS)
    for delivery_id in lease_due(_BATCH, _KINDS):
        send(delivery_id)
