"""P22: a background job that fails or does not run is told within its time, whoever else lives."""

import datetime as dt
import logging
from contextlib import suppress
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.management import call_command
from django.utils import translation

from accounts.models import KeyKind, User
from config.celery import app
from config.jobs import job_alarms
from config.jobs.job_alarms import BETWEEN, GATHER, watch
from config.jobs.runs import JobState, job_states, record_run
from config.jobs.schedule import BACKUP_TASK, JOBS, SCHEDULE, WATCH
from config.models import JobRun
from lib import clock
from notify.deliveries.sending import send
from notify.models import Delivery
from outbox.models import Fact
from tests.support.cast import Cast, make_key, person, signed_in, with_key
from tests.support.pairwise import slow_unless

pytestmark = pytest.mark.django_db
SECRET = "sk-secret-of-somebody"


@pytest.fixture(autouse=True)
def _key(settings: Any) -> None:
    settings.WEIR_KEK = "k"


def all_run() -> None:
    for job in SCHEDULE:
        with record_run(job.task):
            pass


def let_pass(seconds: float) -> None:
    """Nothing has run for so long, though everything was expected to."""
    JobRun.objects.update(
        expected_at=clock.now() - dt.timedelta(days=1),
        **{
            name: clock.now() - dt.timedelta(seconds=seconds)
            for name in ("began_at", "ended_at", "good_at")
        },
    )


def stop(task: str, seconds: float) -> None:
    """Everything runs; this job ran last so long ago."""
    look()
    let_pass(0)
    ended = clock.now() - dt.timedelta(seconds=seconds)
    JobRun.objects.filter(task=task).update(ended_at=ended, good_at=ended)


def look() -> None:
    """Another look of a web process; it does not wait for the time between two."""
    long_ago = clock.now() - dt.timedelta(seconds=WATCH.every_s)
    JobRun.objects.filter(task=WATCH.task).update(good_at=long_ago)
    watch()


def verify() -> str:
    out = StringIO()
    with suppress(SystemExit):
        call_command("verify", stdout=out)
    return out.getvalue()


def test_every_scheduled_job_is_our_task_and_records_its_runs() -> None:
    app.loader.import_default_modules()
    for job in SCHEDULE:
        assert job.late_s >= 2 * job.every_s, job
        assert "RecordedTask" in {base.__name__ for base in type(app.tasks[job.task]).__mro__}, job
    assert set(app.conf.beat_schedule) == {job.task for job in SCHEDULE}


@pytest.mark.django_db(transaction=True)
def test_worker_records_start_end_and_class_of_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app.loader.import_default_modules()
    task = app.tasks["billing.tasks.drop_old"]
    before = clock.now()
    task.apply()
    run = JobRun.objects.get(task=task.name)
    assert run.began_at is not None
    assert run.ended_at is not None
    assert before <= run.began_at <= run.ended_at <= clock.now()
    assert (run.error, run.good_at) == ("", run.ended_at)

    def fail() -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr("billing.credits.codes.drop_old_tries", fail)
    task.apply()
    failed = JobRun.objects.get(task=task.name)
    assert (failed.error, failed.good_at) == ("LookupError", run.good_at)
    assert failed.ended_at is not None
    assert failed.ended_at > run.ended_at
    assert SECRET not in str(JobRun.objects.values())


# Each job, and both ways to stop, which know nothing of each other. The suite takes every fourth
# job, by the one way and the other in turn: what tells of them is one loop over their table.
STOPPED = [
    pytest.param(task, error, marks=slow_unless(number % 4 == 0 and number // 4 % 2 == way))
    for number, task in enumerate(JOBS)
    for way, error in enumerate(["", "DataError"])
]


@pytest.mark.parametrize(("task", "error"), STOPPED)
def test_each_stopped_job_is_reported_by_verify_page_and_email(
    people: Cast, task: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With no worker to send it: nothing but the look of a web process happens here."""
    dora, name = signed_in(people.dora), f"{JOBS[task].title} ({task})"
    stop(task, JOBS[task].late_s - 5)
    JobRun.objects.filter(task=task).update(error=error)
    assert "background job" not in verify()
    assert "Not running" not in dora.get("/admin/health").content.decode()
    stop(task, JOBS[task].late_s + 1)
    JobRun.objects.filter(task=task).update(error=error)
    message = verify()
    assert f"background job: {name}: no successful run since" in message
    assert (error or "it does not run") in message
    page = dora.get("/admin/health").content.decode()
    assert ("Failing" if error else "Not running") in page
    assert mail.outbox == []
    if task == WATCH.task:
        return  # it is the look itself, of which whoever reads is told
    # Others that the same cause stops have the time to be late, too.
    look()
    assert mail.outbox == []
    stop(task, JOBS[task].late_s + GATHER.total_seconds() + 1)
    JobRun.objects.filter(task=task).update(error=error)
    look()
    (letter,) = mail.outbox
    assert letter.to == [people.dora.email]
    assert f"- {name}: " in letter.body
    assert error in letter.body
    # Once for an outage, and once when it is over.
    for _ in range(3):
        look()
    assert len(mail.outbox) == 1
    all_run()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        look()
    look()
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("INFO", f"jobs.resumed: {task}")
    ]
    assert [letter.subject for letter in mail.outbox[1:]] == ["Background job running again"]
    assert f"- {name}\n" in mail.outbox[1].body
    assert "background job" not in verify()
    assert Delivery.objects.filter(state="pending").count() == 0


@pytest.mark.parametrize(
    ("kind", "level", "told"), [("jobs.stopped", "ERROR", True), ("jobs.resumed", "INFO", False)]
)
def test_stopped_job_is_an_error_in_the_log_and_a_resumed_one_is_none(
    caplog: pytest.LogCaptureFixture, kind: str, level: str, told: bool
) -> None:
    job = next(iter(JOBS.values()))
    run = JobRun.objects.create(task=job.task, error="ValueError", told_at=clock.now())
    with caplog.at_level(logging.INFO):
        job_alarms._publish_failures(kind, [JobState(job, run, clock.now(), True)])
        job_alarms._publish_failures(kind, [])
    said = [(line.levelname, line.getMessage()) for line in caplog.records]
    assert said == [(level, f"{kind}: {job.task}")]
    assert (JobRun.objects.get().told_at is not None) is told
    [fact] = Fact.objects.filter(kind=kind)
    assert fact.body["jobs"][0]["error"] == "ValueError"


def test_each_kind_of_report_waits_for_the_last_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, job = clock.now(), next(iter(JOBS.values()))
    long_ago = now - job_alarms.GATHER - dt.timedelta(seconds=job.late_s)
    late = JobState(job, JobRun(task=job.task), long_ago, True)
    back = JobState(job, JobRun(task=job.task, told_at=long_ago, good_at=now), now, False)
    just_late = JobState(job, JobRun(task=job.task), long_ago + dt.timedelta(seconds=1), True)
    for reported in ("", "jobs.stopped", "jobs.resumed"):
        monkeypatch.setattr(
            job_alarms, "was_reported_since",
            lambda kind, at, reported=reported: (kind, at) == (reported, now - BETWEEN),
        )  # fmt: skip
        stopped = [] if reported == "jobs.stopped" else [late]
        resumed = [] if reported == "jobs.resumed" else [back]
        assert job_alarms._find_stopped([late, back], now) == stopped
        assert job_alarms._find_resumed([late, back], now) == resumed
        assert job_alarms._find_stopped([just_late, back], now) == []


def test_email_names_jobs_in_its_readers_language(people: Cast) -> None:
    """Whoever looks speaks another one."""
    people.dora.language = "zh-hans"
    people.dora.save()
    stop("gateway.tasks.resolve_expired_holds", 160)
    with translation.override("de"):
        look()
    (letter,) = mail.outbox
    with translation.override("zh-hans"):
        title = str(JOBS["gateway.tasks.resolve_expired_holds"].title)
    assert not title.isascii()
    assert f"- {title} (gateway.tasks.resolve_expired_holds)" in letter.body


def test_dead_worker_is_one_email_for_all_late_jobs(people: Cast) -> None:
    look()
    let_pass(160)
    look()
    (letter,) = mail.outbox
    late = {job.task for job in SCHEDULE if job.late_s < 160}
    assert [task for task in sorted(late) if task not in letter.body] == []
    assert "billing.tasks.seal_books" in late
    assert "billing.tasks.drop_old" not in letter.body


def test_jobs_stopping_in_sequence_are_one_email(people: Cast) -> None:
    """P29: ten jobs of one outage are one letter to each operator, whatever the seconds are after
    which each is late; those that are late much later are in another one, for all of them."""
    look()
    put_to = clock.now()
    for seconds in range(0, 240, 5):
        let_pass(seconds)
        look()
    (letter,) = mail.outbox
    assert letter.body.count("\n- ") >= 10
    # So long after the last letter, whatever else was late meanwhile is told together.
    Fact.objects.filter(kind="jobs.stopped").update(created_at=put_to - BETWEEN)
    let_pass(310)
    look()
    assert len(mail.outbox) == 2
    assert "Check the ledger" in mail.outbox[1].body
    all_run()
    for _ in range(5):
        look()
    resumed = [letter for letter in mail.outbox if "running again" in letter.subject]
    assert len(resumed) == 1


def test_email_rejected_by_the_mail_server_is_sent_again(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr("notify.deliveries.sending.send_mail", refuse)
        stop("notify.tasks.tell", 160)
        look()
    assert mail.outbox == []
    Delivery.objects.update(due_at=clock.now() - dt.timedelta(seconds=1))
    look()
    assert len(mail.outbox) == 1


def test_slow_mail_server_doubles_no_email_and_excuses_no_job(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes nothing over that is still to be sent, and a slow round is no pause."""
    for name in ("otto", "olga"):
        User.objects.filter(id=person(name).id).update(operator=True)
    leased = []

    def send_slowly(delivery_id: UUID) -> None:
        leased.append(Delivery.objects.filter(due_at__gt=clock.now(), state="pending").count())
        long_ago = clock.now() - dt.timedelta(seconds=40)
        JobRun.objects.filter(task=WATCH.task).update(good_at=long_ago)
        send(delivery_id)

    monkeypatch.setattr("config.jobs.job_alarms.send", send_slowly)
    monkeypatch.setattr("config.jobs.job_alarms._SENDING_S", 0.0)
    stop("notify.tasks.tell", 160)
    look()
    assert len(mail.outbox) == 1
    watch()
    assert "notify.tasks.tell" in {state.job.task for state in job_states() if state.late}
    monkeypatch.setattr("config.jobs.job_alarms._SENDING_S", 60.0)
    look()
    assert leased == [1, 1, 1]
    assert len({letter.to[0] for letter in mail.outbox}) == len(mail.outbox) == 3


@pytest.mark.parametrize("seconds", [100, 8 * 3600])
def test_planned_downtime_misses_no_job(people: Cast, seconds: int) -> None:
    """A night without any process is no outage of a job, once it is over; meanwhile it is."""
    look()
    all_run()
    let_pass(seconds)
    assert [state.job.task for state in job_states() if state.late]
    assert "background job" in verify()
    watch()
    assert [state for state in job_states() if state.late] == []
    assert mail.outbox == []


def test_failed_check_excuses_no_one(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    look()
    all_run()
    let_pass(160)

    def fail(*_: object, **__: object) -> None:
        raise LookupError

    monkeypatch.setattr("config.jobs.job_alarms.put", fail)
    with pytest.raises(LookupError):
        look()
    late = {state.job.task for state in job_states() if state.late}
    assert "notify.tasks.tell" in late
    assert JobRun.objects.get(task=WATCH.task).error == "LookupError"
    assert JobRun.objects.get(task="notify.tasks.tell").told_at is None


def test_nothing_is_late_before_the_first_process() -> None:
    assert job_states() == []
    assert "background job" not in verify()


def test_job_new_in_this_version_is_not_late_immediately(people: Cast) -> None:
    look()
    let_pass(0)
    JobRun.objects.filter(task="usage.tasks.make_partitions").delete()
    look()
    assert mail.outbox == []
    assert JobRun.objects.get(task="usage.tasks.make_partitions").good_at is None
    assert not Fact.objects.filter(kind__startswith="jobs.").exists()


def test_the_page_is_for_operators(people: Cast) -> None:
    assert signed_in(people.alice).get("/admin/health").status_code == 404
    assert signed_in(people.dora).get("/admin/health").status_code == 200


def test_every_job_has_a_name_of_its_own_in_both_languages(people: Cast) -> None:
    names = {str(job.title) for job in JOBS.values()}
    assert len(names) == len(JOBS)
    look()
    dora = signed_in(people.dora)
    address = "/admin/health?open=jobs"
    page = dora.get(address).content.decode()
    chinese = dora.get(address, headers={"accept-language": "zh-hans"}).content.decode()
    for name in names:
        assert f"{name}<span" in page
        assert f"{name}<span" not in chinese


def test_api_shows_operators_the_state_of_each_job(people: Cast) -> None:
    stop("usage.tasks.roll_up", 1000)
    JobRun.objects.filter(task="usage.tasks.roll_up").update(error="DataError")
    JobRun.objects.filter(task="notify.tasks.tell").update(good_at=None, ended_at=None)
    JobRun.objects.filter(task="notify.tasks.tell").update(expected_at=clock.now())
    items = signed_in(people.dora).get("/api/v1/jobs").json()["items"]
    assert [job["task"] for job in items] == list(JOBS)
    jobs = {job["task"]: job for job in items}
    late = jobs["usage.tasks.roll_up"]
    assert (late["state"], late["error"], late["title"]) == ("late", "DataError", "Aggregate usage")
    assert jobs["notify.tasks.tell"]["state"] == "waiting"
    assert jobs["billing.tasks.seal_books"]["state"] == "good"
    _, management = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)
    _, relay = make_key(people.core, "r", user=people.alice)
    for caller in (signed_in(people.alice), with_key(management), with_key(relay)):
        assert caller.get("/api/v1/jobs").status_code == 403


def backed_up(hours_ago: int) -> None:
    at = clock.now() - dt.timedelta(hours=hours_ago)
    JobRun.objects.filter(task=BACKUP_TASK).update(good_at=at, ended_at=at, expected_at=at)


def test_missing_backup_is_reported_where_expected(people: Cast, settings: Any) -> None:
    with record_run(BACKUP_TASK):
        pass
    look()
    backed_up(hours_ago=1000)
    look()
    assert "Back up" not in verify()
    settings.BACKUP_EVERY_HOURS = 24
    backed_up(hours_ago=35)
    look()
    assert "Back up" not in verify()
    assert mail.outbox == []
    # Nobody was there to start one; that is no excuse for a backup.
    JobRun.objects.filter(task=WATCH.task).update(good_at=clock.now() - dt.timedelta(hours=8))
    backed_up(hours_ago=37)
    watch()
    assert "Back up (config.backups.back_up): no successful run since" in verify()
    (letter,) = mail.outbox
    assert "- Back up (config.backups.back_up): " in letter.body
    dora = signed_in(people.dora)
    assert "Late<" in dora.get("/admin/health").content.decode()
    assert dora.get("/api/v1/system").json()["backup_late"] is True
    late = 'weir_job_late{job="config.backups.back_up"} 1.0'
    assert late in signed_in(people.dora).get("/metrics").content.decode()
    with record_run(BACKUP_TASK):
        pass
    look()
    assert [letter.subject for letter in mail.outbox[1:]] == ["Background job running again"]
    assert "Back up" not in verify()


def test_failed_backup_is_shown_immediately_on_the_page(people: Cast) -> None:
    with suppress(OSError), record_run(BACKUP_TASK):
        raise OSError
    page = signed_in(people.dora).get("/admin/health").content.decode()
    assert "Failed: OSError" in page
