"""A worker that is started with its beat: the two end together."""

from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest
from celery import Celery, Task
from celery.beat import Scheduler
from celery.concurrency.thread import TaskPool
from celery.platforms import EX_FAILURE
from celery.worker import state
from django.db import OperationalError

from config.celery import app as ours
from config.jobs import beat_scheduler
from config.jobs.beat_in_worker import BeatStep, OwnScheduler
from config.jobs.beat_scheduler import WorkScheduler
from config.jobs.schedule import SCHEDULE
from config.models import JobRun

WAIT_S = 10


class Ticking(Scheduler):  # type: ignore[misc]
    ticked = Event()

    def tick(self, *_: Any, **__: Any) -> float:
        self.ticked.set()
        return 0.001


class Failing(Scheduler):  # type: ignore[misc]
    def tick(self, *_: Any, **__: Any) -> float:
        raise LookupError("a defect of a beat")


JOB = "billing.tasks.drop_old"
WORK = "billing.credits.codes.drop_old_tries"


@pytest.fixture
def pool() -> Iterator[Any]:
    """A worker's, of one thread."""
    ours.loader.import_default_modules()
    task_pool = TaskPool(1, app=ours)
    yield task_pool
    task_pool.stop()


@pytest.fixture
def beat(request: pytest.FixtureRequest) -> Iterator[Any]:
    app = Celery("beat", set_as_current=False, broker="memory://", beat_scheduler=request.param)
    step = BeatStep(app, with_beat=True)
    created = step.create(type("Worker", (), {"app": app, "pool": None}))
    yield created
    created.stop()
    state.reset_state()
    state.should_stop = None


@pytest.mark.parametrize("beat", [Ticking], indirect=True)
def test_stopping_the_worker_stops_its_beat(beat: Any) -> None:
    beat.start()
    assert Ticking.ticked.wait(WAIT_S)
    beat.stop()
    assert not beat.is_alive()
    assert state.should_stop is None


@pytest.mark.parametrize("beat", [Failing], indirect=True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_ends_when_its_beat_does(beat: Any) -> None:
    """So that what watches over the worker starts both again."""
    beat.start()
    beat.join(WAIT_S)
    assert state.should_stop == EX_FAILURE


def test_only_a_requesting_worker_has_a_beat() -> None:
    """Of several workers, as production has, none has one."""
    assert BeatStep in ours.steps["worker"]
    assert [BeatStep(ours, with_beat=wanted).enabled for wanted in (True, False)] == [True, False]
    assert not BeatStep(ours).enabled


def test_only_threads_are_handed_jobs_by_a_beat(pool: Any) -> None:
    """Processes are sent messages, as from a beat of its own."""
    results = [
        BeatStep(ours, with_beat=True).create(type("Worker", (), {"app": ours, "pool": one}))
        for one in (pool, None)
    ]
    kinds = [type(beat._scheduler) for beat in results]
    assert kinds == [OwnScheduler, WorkScheduler]


@pytest.mark.django_db(transaction=True)
def test_a_job_is_run_by_the_worker_and_recorded(
    pool: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = OwnScheduler(pool, app=ours)

    def run(work: Callable[[], object]) -> JobRun:
        monkeypatch.setattr(WORK, work)
        scheduler.start(scheduler.schedule[JOB])
        # After it, by the one thread.
        pool.executor.submit(bool).result(WAIT_S)
        return JobRun.objects.get(task=JOB)

    def fail() -> None:
        raise LookupError

    good = run(int)
    assert (good.error, good.good_at) == ("", good.ended_at)
    failed = run(fail)
    assert (failed.error, failed.good_at) == ("LookupError", good.good_at)
    assert JOB in caplog.text
    again = run(int)
    assert (again.error, again.good_at) == ("", again.ended_at)


class Turn:
    """A lock that records how it is used. It is free, or another job has it."""

    def __init__(self, *, free: bool) -> None:
        self.free = free
        self.steps: list[object] = []

    def acquire(self, timeout: float) -> bool:
        self.steps.append(timeout)
        return self.free

    def release(self) -> None:
        self.steps.append("released")


@pytest.mark.django_db(transaction=True)
def test_jobs_run_one_after_the_other_unless_one_takes_long(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler: Any = OwnScheduler(pool, app=ours)

    def run(turn: Turn) -> list[object]:
        monkeypatch.setattr(scheduler, "_turn", turn)
        monkeypatch.setattr(WORK, lambda: turn.steps.append("ran"))
        scheduler.start(scheduler.schedule[JOB])
        # After it, by the one thread.
        pool.executor.submit(bool).result(WAIT_S)
        return turn.steps

    free, taken = Turn(free=True), Turn(free=False)
    assert run(free) == [1.0, "ran", "released"]
    assert scheduler._turn is free
    assert run(taken) == [1.0, "ran"]
    # Jobs that come now wait for this one, not for the long one.
    new: Any = scheduler._turn
    assert new is not taken
    assert not new.locked()


def test_jobs_wait_while_the_database_is_away(
    pool: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ "State when something is gone": none fails for it again and again, and none is left out
    whose time comes meanwhile, be it once an hour."""
    now, is_away, started = 1000.0, False, list[str]()

    def waiting() -> frozenset[str]:
        if is_away:
            raise OperationalError("away")
        return frozenset()

    def put(_: object, tasks: tuple[Task], callback: object) -> None:
        started.append(tasks[0].name)

    monkeypatch.setattr(beat_scheduler, "waiting_jobs", waiting)
    monkeypatch.setattr("config.jobs.beat_scheduler.time.monotonic", lambda: now)
    monkeypatch.setattr(pool, "apply_async", put)
    scheduler = OwnScheduler(pool, app=ours)
    scheduler.tick()
    is_away = True
    for later in (3601.0, 3602.0, 3605.0, 3700.0):
        now = later
        assert 0 < scheduler.tick() <= 2
    assert started == []
    is_away, now = False, 3702.0
    scheduler.tick()
    assert sorted(started) == sorted(job.task for job in SCHEDULE)
    scheduler.tick()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


@pytest.mark.django_db(transaction=True)
def test_job_waits_once_for_a_thread_and_stopping_awaits_running_jobs(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = OwnScheduler(pool, app=ours)
    entry = scheduler.schedule[JOB]
    began, go_on, runs = Event(), Event(), []

    def work() -> None:
        began.set()
        assert go_on.wait(WAIT_S)
        runs.append(JOB)

    monkeypatch.setattr(WORK, work)
    scheduler.start(entry)
    assert began.wait(WAIT_S)
    for _ in range(3):
        scheduler.start(entry)
    assert pool.executor._work_queue.qsize() == 1
    ending = Thread(target=pool.stop)
    ending.start()
    go_on.set()
    ending.join(WAIT_S)
    assert JOB in runs
    assert JobRun.objects.get(task=JOB).error == ""
