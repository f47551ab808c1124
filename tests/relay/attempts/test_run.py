"""What ends a request twice ends it once; what is over has no limit of time left, and is kept by
nobody."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.attempts import attempt
from relay.attempts.run import Run
from relay.front.deadline import Deadline
from relay.front.downstream import ErrorAnswer


class Refusing:
    """A client that hears why it is refused."""

    client_gone = False

    def __init__(self) -> None:
        self.heard: list[ErrorAnswer] = []

    async def refuse(self, error: ErrorAnswer) -> None:
        self.heard.append(error)


def run_here(codec: str = "openai") -> tuple[Run, Deadline, Refusing]:
    """A run in this task, of which nothing is known but its client and its time."""
    task = asyncio.current_task()
    assert task is not None
    deadline, client = Deadline(task), Refusing()
    target = SimpleNamespace(model="", stream=False)
    invocation = SimpleNamespace(codec=SimpleNamespace(name=codec), target=target)
    context = SimpleNamespace(downstream=client, deadline=deadline, invocation=invocation)
    return Run(cast(Any, context)), deadline, client


async def test_a_client_leaves_once() -> None:
    """P6: a connection may be lost in several ways; what settles meanwhile is not interrupted."""
    run, deadline, client = run_here()
    run.leave()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert (deadline.caught(), client.client_gone) == ("left", True)
    run.leave()
    assert deadline.reason is None


async def test_a_count_that_is_over_has_no_limit_of_time() -> None:
    run, deadline, client = run_here("anthropic")
    deadline.limit("total", 0)
    await run.count_tokens(b"{")
    assert [error.status for error in client.heard] == [400]
    for _ in range(3):
        await asyncio.sleep(0)
    assert deadline.reason is None


async def test_the_rest_of_an_answer_is_kept_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as the task is referred to, it is not collected; and no longer."""
    ended, read = asyncio.Event(), asyncio.Event()

    async def read_rest(_: Any) -> None:
        await ended.wait()

    monkeypatch.setattr(attempt, "read_rest", read_rest)
    before = set(attempt._rests)
    attempt._give_back(cast(Any, SimpleNamespace(at_end=False, release=read.set)))
    (task,) = attempt._rests - before
    ended.set()
    await read.wait()
    await task
    await asyncio.sleep(0)
    assert attempt._rests == before
    attempt._give_back(cast(Any, SimpleNamespace(at_end=True, release=read.clear)))
    assert (attempt._rests, read.is_set()) == (before, False)
