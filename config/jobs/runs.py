"""The runs of background jobs. A dead worker reports nothing, so lateness is computed on read."""

import datetime as dt
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from django.db import Error, connection

from config.jobs.schedule import BACKUP_TASK, JOBS, Job, backup_job
from config.models import JobRun
from gateway.settings.installation import backup_every_hours
from lib import clock

log = logging.getLogger(__name__)


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
    except BaseException as failure:  # also of a person who stops a backup
        error = type(failure).__name__
        raise
    finally:
        if task in JOBS or task == BACKUP_TASK:
            _record(task, began_at, error)


def job_states() -> list[JobState]:
    """Return the state of the jobs in the order of the schedule; empty if no web process has ever
    run."""
    runs, now = JobRun.objects.in_bulk(), clock.now()
    return [state_of(job, runs[job.task], now) for job in expected_jobs() if job.task in runs]


def last_backup() -> JobRun | None:
    """Return the record of the last `manage.py backup`, which also has the time of the last good
    one."""
    return JobRun.objects.filter(task=BACKUP_TASK).first()


def note_backup(made_at: dt.datetime) -> JobRun:
    """Record that the installation was restored from a backup made at that instant. The backup
    itself does not contain this record."""
    ended = {"ended_at": made_at, "good_at": made_at, "error": ""}
    return JobRun.objects.update_or_create(task=BACKUP_TASK, defaults=ended)[0]


def note_idle(tasks: Collection[str]) -> frozenset[str]:
    """Record that no work waits for these jobs, which is as good as a run without work. Return
    those of which that is so: their last run has succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_IDLE, [sorted(tasks)])
        return frozenset(task for (task,) in cursor.fetchall())


def expect_from_now() -> None:
    """Expect all jobs from now on, because the installation could not run any before it was
    restored."""
    JobRun.objects.update(expected_at=clock.now(), told_at=None)


def expected_jobs() -> list[Job]:
    """Return every job that must run. The backup is included only if its interval is set."""
    hours = backup_every_hours()
    return [*JOBS.values(), *([backup_job(hours)] if hours else [])]


def state_of(job: Job, run: JobRun, now: dt.datetime) -> JobState:
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


_RECORD: Final = """
    INSERT INTO config_jobrun (task, began_at, ended_at, error, good_at)
    VALUES (%(task)s, %(began)s, %(ended)s, %(error)s,
            CASE WHEN %(error)s = '' THEN %(ended)s::timestamptz END)
    ON CONFLICT (task) DO UPDATE SET
        began_at = excluded.began_at, ended_at = excluded.ended_at, error = excluded.error,
        good_at = coalesce(excluded.good_at, config_jobrun.good_at)"""


_NOTE_IDLE: Final = """
    UPDATE config_jobrun SET good_at = statement_timestamp()
    WHERE task = ANY (%s) AND error = '' AND good_at IS NOT NULL RETURNING task"""
