"""A worker that is started with its beat: the two end together."""

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from celery.platforms import EX_FAILURE
from celery.worker import state

from config.beat_in_worker import BeatStep
from config.celery import app as ours

WAIT_S = 10


class Ticking(Scheduler):  # type: ignore[misc]
    ticked = Event()

    def tick(self, *_: Any, **__: Any) -> float:
        self.ticked.set()
        return 0.001


class Failing(Scheduler):  # type: ignore[misc]
    def tick(self, *_: Any, **__: Any) -> float:
        raise LookupError("a defect of a beat")


@pytest.fixture
def beat(request: pytest.FixtureRequest) -> Iterator[Any]:
    app = Celery("beat", set_as_current=False, broker="memory://", beat_scheduler=request.param)
    step = BeatStep(app, with_beat=True)
    made = step.create(type("Worker", (), {"app": app}))
    yield made
    made.stop()
    state.reset_state()
    state.should_stop = None


@pytest.mark.parametrize("beat", [Ticking], indirect=True)
def test_who_stops_the_worker_stops_its_beat(beat: Any) -> None:
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


def test_only_who_asks_for_it_has_a_beat() -> None:
    """Of several workers, as production has, none has one."""
    assert BeatStep in ours.steps["worker"]
    assert [BeatStep(ours, with_beat=wanted).enabled for wanted in (True, False)] == [True, False]
    assert not BeatStep(ours).enabled
