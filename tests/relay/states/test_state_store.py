"""What is kept together harms nobody else's request (P12), and is written by few commits."""

import asyncio
import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.json.body import read_body
from lib.vault import Vault
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway, DatabaseRefused
from relay.states.state_store import State, StateStore, may_keep

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


# ---- what is kept, for whom, and how long


class Storing:
    """A database that takes everything."""

    def __init__(self) -> None:
        self.parameters: list[dict[str, Any]] = []

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.parameters += (dict(parameters) for _, parameters in statements)
        return [[] for _ in statements]


def caller(hours: int, user: int | None = 7, key: int = 2) -> Any:
    return SimpleNamespace(
        retention_hours=hours, organisation_id=UUID(int=1), key_id=UUID(int=key), user_id=user
    )


async def stored(principal: Any, *states: State) -> list[dict[str, Any]]:
    storing = Storing()
    store = StateStore(cast(PipelinedConnection, storing), Vault(KEK))
    await store.put(principal, states)
    await store.join()
    return storing.parameters


@pytest.mark.parametrize(("retention", "hours"), [(1, 1), (24, 24), (720, 24)])
async def test_state_is_kept_as_long_as_the_organisation_keeps_content_but_a_day_at_most(
    retention: int, hours: int
) -> None:
    (row,) = await stored(caller(retention), State("response", "resp_1", b"x"))
    assert row["hours"] == hours
    # Who leaves takes it along.
    assert row["user"] == 7
    (row,) = await stored(caller(retention, None), State("response", "resp_1", b"x"))
    assert row["user"] == ""


async def test_state_is_of_one_kind_of_one_key() -> None:
    """P12: neither another key nor another kind of name finds it."""
    ids = [
        (await stored(caller(1, key=key), State(kind, name, b"x")))[0]["id"]
        for key in (2, 3)
        for kind in (cast(Any, "response"), cast(Any, "item"))
        for name in ("a", "b")
    ]
    assert len(set(ids)) == 8


@pytest.mark.parametrize(
    ("hours", "body", "keeps"),
    [
        (1, {}, True),
        (1, {"store": True}, True),
        (1, {"store": None}, True),
        (1, {"store": False}, False),
        (0, {"store": True}, False),
    ],
)
async def test_nothing_is_kept_that_the_client_or_the_organisation_does_not_want_kept(
    hours: int, body: dict[str, Any], keeps: bool
) -> None:
    assert may_keep(caller(hours), read_body(json.dumps(body).encode())) is keeps
    assert bool(await stored(caller(hours), State("seal", "a", b"x"))) is bool(hours)
