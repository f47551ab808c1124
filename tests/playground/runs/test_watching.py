"""Who watches a run, and until when: what the streams of a process write of it."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import Error

from lib import clock
from lib.ids import new_id
from playground.models import Run
from playground.runs import watching
from playground.turns.turns import ARRIVAL, request_stop
from tests.playground.turns.test_turns import begin
from tests.support.cast import Cast

SECOND = dt.timedelta(seconds=1)


def until() -> dt.timedelta | None:
    at = Run.objects.get().watched_until
    return None if at is None else at - clock.now()


def is_near(wanted_s: float) -> bool:
    left = until()
    return left is not None and abs(left - wanted_s * SECOND) < 2 * SECOND


@pytest.fixture
def run(people: Cast) -> Run:
    (turn,) = begin(people)
    Run.objects.update(unwatched_ms=5_000, watched_until=clock.now() + 40 * SECOND)
    return Run.objects.get(id=turn.run.id)


# In the database --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_later_time_of_a_viewer_stays(run: Run) -> None:
    said = watching._extend(run.id, 9)
    assert said is not None
    assert abs(said - clock.now() - 9 * SECOND) < 2 * SECOND
    assert is_near(40)
    watching._extend(run.id, 90)
    assert is_near(90)


@pytest.mark.django_db
def test_viewer_who_leaves_takes_no_time_of_another(run: Run) -> None:
    watching._release(run.id, clock.now() + 39 * SECOND)
    assert is_near(40)
    watching._release(run.id, clock.now() + 41 * SECOND)
    assert is_near(0)


@pytest.mark.django_db
def test_page_that_asks_now_and_then_is_watched_for_over_a_minute(run: Run) -> None:
    watching.note_poll([run])
    assert is_near(70)
    Run.objects.update(watched_until=clock.now())
    run.unwatched_ms = None
    watching.note_poll([run])
    run.unwatched_ms, run.ended_at = 5, clock.now()
    watching.note_poll([run])
    assert is_near(0)


@pytest.mark.django_db
def test_page_that_is_drawn_is_expected(run: Run) -> None:
    Run.objects.update(watched_until=clock.now())
    watching.expect_reader(run.conversation)
    assert is_near(ARRIVAL.total_seconds())
    Run.objects.update(unwatched_ms=None, watched_until=None)
    watching.expect_reader(run.conversation)
    Run.objects.update(unwatched_ms=5, ended_at=clock.now())
    watching.expect_reader(run.conversation)
    assert until() is None


@pytest.mark.django_db
def test_run_is_stopped_its_limit_after_its_last_viewer(run: Run) -> None:
    left_ms = watching._unwatched_in_ms(run.id)
    assert left_ms is not None
    assert abs(left_ms - 45_000) < 2_000
    for over in ({"stop_at": clock.now()}, {"stop_at": None, "ended_at": clock.now()}):
        Run.objects.update(**over)
        assert watching._unwatched_in_ms(run.id) is None
    assert watching._extend(run.id, 9) is None
    watching._release(run.id, clock.now() + 99 * SECOND)
    assert is_near(40)


# In a process -----------------------------------------------------------------------------------


class Watched:
    """Notes what is asked of the database, and answers as planned."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers: list[Any] = []
        self.notified: list[UUID] = []
        patch.setattr(watching, "run_in_database", self._ask)
        patch.setattr(watching, "_LOOK_S", 0.0)
        patch.setattr(watching, "_RENEW_S", 0.0)
        patch.setattr(watching, "notifications", lambda: self)

    async def _ask(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self.asked.append((work, *given, *named.items()))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def notify(self, run_id: UUID) -> None:
        self.notified.append(run_id)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def limited(**over: Any) -> Run:
    return Run(id=new_id(), **{"unwatched_ms": 5, **over})


async def test_run_is_stopped_once_its_time_is_up(watched: Watched) -> None:
    """What the database does not answer is asked again."""
    run = limited()
    watched.answers = [7.0, Error(), 0.0]
    await watching.stop_when_left(run)
    looks, (stop, *of) = watched.asked[:-1], watched.asked[-1]
    assert looks == [(watching._unwatched_in_ms, run.id)] * 3
    assert (stop, of) == (request_stop, [run, ("left", True)])
    assert (run.left, watched.notified) == (True, [run.id])


async def test_run_that_ends_is_watched_no_more(watched: Watched) -> None:
    run = limited()
    watched.answers = [7.0, None]
    await watching.stop_when_left(run)
    assert len(watched.asked) == 2
    assert (run.left, watched.notified) == (False, [])


async def test_run_with_a_stream_of_this_process_is_not_looked_up(watched: Watched) -> None:
    run = limited()
    watching._watches[run.id] = watching._Watch()
    guard = asyncio.create_task(watching.stop_when_left(run))
    for _ in range(5):
        await asyncio.sleep(0)
    assert watched.asked == []
    del watching._watches[run.id]
    await guard
    assert [work for work, *_ in watched.asked] == [watching._unwatched_in_ms]


async def test_last_stream_of_a_run_gives_its_time_back(watched: Watched) -> None:
    run, over = limited(), limited(ended_at=clock.now())
    said = clock.now()
    watched.answers = [said] * 99
    with watching.watching([run, over, limited(unwatched_ms=None)]):
        assert [*watching._watches] == [run.id]
        with watching.watching([run]):
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert {work for work, *_ in watched.asked} == {watching._extend}
    assert watching._watches == {}
    await asyncio.wait(watching._tasks, timeout=5)
    assert watched.asked[0] == (watching._extend, run.id, watching.LEASE_S)
    assert watched.asked[-1] == (watching._release, run.id, said)
    assert [work for work, *_ in watched.asked].count(watching._release) == 1


async def test_time_of_an_ended_run_is_renewed_no_more(watched: Watched) -> None:
    run = limited()
    watched.answers = [None]
    with watching.watching([run]):
        await asyncio.wait(watching._tasks, timeout=5)
        assert [work for work, *_ in watched.asked] == [watching._extend]
