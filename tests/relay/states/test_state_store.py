"""What is kept together harms nobody else's request (P12), and is written by few commits."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, cast

import pytest

from lib.vault import Vault
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway, DatabaseRefused
from relay.states.state_store import StateStore

KEK = base64.b64encode(bytes(32)).decode()


class Writing:
    """A database that refuses some statements, and whose first commit waits for a word."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go_on = asyncio.Event()
        self.away = False

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        await self.go_on.wait()
        self.batches.append(len(statements))
        if self.away:
            raise DatabaseAway("away")
        if any(text == "refused" for text, _ in statements):
            raise DatabaseRefused("22021", "not storable")
        return [[(text,)] for text, _ in statements]


async def run_requests(writing: Writing, *texts: str) -> list[Any]:
    """What each of these requests is told, the first being on its way before the others come."""
    store = StateStore(cast(PipelinedConnection, writing), Vault(KEK))
    tasks = []
    for text in texts:
        tasks.append(asyncio.create_task(store.run([(text, {})])))
        await asyncio.sleep(0)
    writing.go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await store.join()
    return results


async def test_database_error_fails_its_own_request_alone() -> None:
    writing = Writing()
    first, second, third, fourth = await run_requests(writing, "a", "b", "refused", "c")
    assert (first, second, fourth) == ([[("a",)]], [[("b",)]], [[("c",)]])
    assert isinstance(third, DatabaseRefused)


async def test_writes_during_a_commit_go_into_the_next_one() -> None:
    writing = Writing()
    assert await run_requests(writing, *"abcd") == [[[(text,)]] for text in "abcd"]
    assert len(writing.batches) <= 2
    assert sum(writing.batches) == 4


@pytest.mark.parametrize("count", [1, 3])
async def test_unavailable_database_fails_every_waiting_request(count: int) -> None:
    writing = Writing()
    writing.away = True
    result = await run_requests(writing, *["a"] * count)
    assert [type(one) for one in result] == [DatabaseAway] * count
