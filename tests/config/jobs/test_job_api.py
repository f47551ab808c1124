"""Each member of a job's state is what the page of the system's health reads (P22)."""

import datetime as dt

import pytest

from config.jobs.runs import job_states
from config.jobs.schedule import JOBS
from config.models import JobRun
from lib import clock
from tests.config.jobs.test_jobs import all_run, look
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db


def test_every_field_of_every_job_is_reported(people: Cast) -> None:
    all_run()
    look()
    for number, run in enumerate(JobRun.objects.order_by("task"), 1):
        ended = clock.now() - dt.timedelta(seconds=number)
        # The last run of each ended later than its last good one, and in an error of its own.
        run.ended_at, run.good_at = ended, ended - dt.timedelta(seconds=number)
        run.error = f"Error{number}"
        run.save()
    states = {state.job.task: state for state in job_states()}
    items = signed_in(people.dora).get("/api/v1/jobs").json()["items"]
    assert [item["task"] for item in items] == list(JOBS)
    for item in items:
        job, run = states[item["task"]].job, states[item["task"]].run
        assert run.good_at is not None
        assert run.ended_at is not None
        assert job.every_s != job.late_s
        assert (item["title"], item["every_s"], item["late_s"]) == (
            str(job.title),
            job.every_s,
            job.late_s,
        )
        assert dt.datetime.fromisoformat(item["last_good_at"]) == instant(run.good_at)
        assert dt.datetime.fromisoformat(item["last_run_at"]) == instant(run.ended_at)
        assert item["error"] == run.error


def instant(at: dt.datetime) -> dt.datetime:
    """As JSON has it: to the millisecond."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
