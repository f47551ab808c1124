"""One timer for all limits of a request."""

import asyncio
import time
from collections.abc import Callable

import pytest

from lib.process import waiting
from relay.downstream.deadline import Deadline, Reason


async def interrupted(arrange: Callable[[Deadline], None]) -> Reason | None:
    """Why a task that waits for ever was woken."""

    async def wait() -> Reason | None:
        task = asyncio.current_task()
        assert task is not None
        deadline = Deadline(task)
        arrange(deadline)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reason = deadline.caught()
            if reason is None:
                raise
            assert task.cancelling() == 0
            return reason
        finally:
            deadline.stop()
        raise AssertionError("unreachable")

    async with asyncio.timeout(30):
        return await asyncio.create_task(wait())


async def test_last_allowed_limit_applies() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.allow("first_content", 60)
        deadline.allow("idle", 0.01)

    assert await interrupted(arrange) == "idle"


async def test_later_limit_replaces_an_earlier_one() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.allow("first_content", 0.01)
        deadline.allow("idle", 0.05)

    assert await interrupted(arrange) == "idle"


async def test_nothing_outlasts_the_total_limit() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.limit("total", 0.01)
        deadline.allow("idle", 60)

    assert await interrupted(arrange) == "total"


async def test_total_limit_only_shrinks() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.limit("drain", 0.01)
        deadline.limit("total", 60)
        deadline.allow("idle", 60)

    assert await interrupted(arrange) == "drain"


async def test_timeout_runs_since_the_last_word_not_comment() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.allow("idle", 60, asyncio.get_running_loop().time() - 59.99)

    assert await interrupted(arrange) == "idle"


async def test_leaving_interrupts_immediately_and_the_first_reason_stays() -> None:
    def arrange(deadline: Deadline) -> None:
        deadline.interrupt("left")
        deadline.interrupt("idle")

    assert await interrupted(arrange) == "left"


async def test_cancellation_from_elsewhere_is_not_ours() -> None:
    async def wait() -> Reason | None:
        task = asyncio.current_task()
        assert task is not None
        deadline = Deadline(task)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return deadline.caught()
        raise AssertionError("unreachable")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    assert await task is None


async def frozen(seconds: float, then: "asyncio.Future[str]") -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the loop itself is to be away
    # What arrived meanwhile is read behind the timers that are over.
    asyncio.get_running_loop().call_later(0.001, then.set_result, "answer")


@pytest.mark.parametrize("reason", ["first_content", "idle", "total", "stall"])
async def test_time_while_the_process_was_frozen_is_not_counted(
    reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider is not blamed for a process that was frozen."""
    monkeypatch.setattr(waiting, "AWAY_S", 0.01)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline, answer = Deadline(task), loop.create_future()
    if reason == "total":
        deadline.limit("total", 0.1)
    else:
        deadline.allow(reason, 0.1)
    freezing = asyncio.create_task(frozen(0.3, answer))
    assert await answer == "answer"
    await freezing
    deadline.stop()
    assert deadline.reason is None


async def test_silence_after_the_process_resumes_is_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "AWAY_S", 0.01)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadline(task)
    deadline.allow("idle", 0.1)
    loop.call_soon(time.sleep, 0.3)
    with pytest.raises(asyncio.CancelledError):
        await loop.create_future()
    assert deadline.caught() == "idle"
    deadline.stop()
