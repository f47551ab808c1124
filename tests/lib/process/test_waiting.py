"""A time limit does not count the time in which the process was away (frozen, or busy)."""

import asyncio
import time

import pytest

from lib.process import waiting
from lib.process.waiting import TimeLimit, timeout, was_away

# So long is one step of this process; anything above a hundredth of it counts as away.
FROZEN_S = 0.3


@pytest.fixture(autouse=True)
def quickly_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AWAY_S", FROZEN_S / 100)


async def freeze_while(pause: asyncio.Future[None]) -> None:
    """Keep the event loop; what was waited for arrives meanwhile and is read behind the timers."""
    await asyncio.sleep(0)
    time.sleep(FROZEN_S)  # noqa: ASYNC251 - the loop itself is to be away
    pause.get_loop().call_later(FROZEN_S / 100, pause.set_result, None)


async def test_data_arriving_while_the_process_was_frozen_is_in_time() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    freezing = asyncio.create_task(freeze_while(answer))
    async with timeout(FROZEN_S / 3):
        await answer
    await freezing


async def test_missing_data_is_late_once_the_process_resumes() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(time.sleep, FROZEN_S)
    with pytest.raises(TimeoutError):
        async with timeout(FROZEN_S / 3):
            await never
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_missing_data_is_late_at_once_in_a_process_that_was_never_away() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        async with timeout(0.001):
            await never


async def test_future_that_is_fulfilled_after_a_freeze_is_in_time() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    freezing = asyncio.create_task(freeze_while(answer))
    limit = TimeLimit(answer, FROZEN_S / 3)
    await answer
    limit.stop()
    await freezing


@pytest.mark.parametrize("frozen_s", [0, FROZEN_S])
async def test_future_that_nobody_fulfils_fails_in_the_end(frozen_s: float) -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(time.sleep, frozen_s)
    TimeLimit(never, FROZEN_S / 3)
    with pytest.raises(TimeoutError):
        await never


async def test_stopped_limit_fails_nothing() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    TimeLimit(answer, 0).stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not answer.done()


async def test_restarted_limit_lasts_anew() -> None:
    loop = asyncio.get_running_loop()
    async with timeout(1000) as limit:
        before = limit._when
        limit.restart()
        assert before <= limit._when <= loop.time() + 1000


async def test_external_cancellation_is_not_its_own() -> None:
    async def wait() -> None:
        async with timeout(1000):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_freeze_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    now = time.monotonic() + 10_000
    assert [was_away(now - 50, now) for _ in range(100)] == [True] * 100
    assert len(caplog.records) == 1
    assert "away for at least 50.0 s" in caplog.text
