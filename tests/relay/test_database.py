"""One lane to Postgres: what is run together stands together, or not at all (I5)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from psycopg.pq.abc import PGconn

from relay.database import DatabaseRefused, Lane, Statement
from tests.hub import Hub

_TABLE: Statement = (
    "CREATE TEMPORARY TABLE place (n int UNIQUE DEFERRABLE INITIALLY DEFERRED, xid bigint)",
    {},
)
_READ: Statement = ("SELECT n, xid FROM place ORDER BY n", {})


def _put(n: int) -> Statement:
    return "INSERT INTO place SELECT %(n)s::int, txid_current()", {"n": n}


@pytest_asyncio.fixture
async def lane(hub: Hub) -> AsyncIterator[Lane]:
    lane = Lane(hub.dsn, 2.0)
    await lane.open()
    await lane.run([_TABLE])
    yield lane
    await lane.close()


async def test_what_is_run_together_is_one_transaction(lane: Lane) -> None:
    first, second, rows = await lane.run([_put(1), _put(2), _READ])
    assert (first, second) == ([], [])
    assert [row[0] for row in rows] == ["1", "2"]
    assert len({row[1] for row in rows}) == 1


@pytest.mark.parametrize("at", range(3))
async def test_a_statement_that_fails_takes_all_with_it(lane: Lane, at: int) -> None:
    fails: Statement = ("SELECT 1 / %(n)s::int", {"n": 0})
    statements = [_put(1), _put(2)]
    statements.insert(at, fails)
    with pytest.raises(DatabaseRefused, match="22012"):
        await lane.run(statements)
    assert await lane.run([_READ]) == [[]]


async def test_what_only_fails_at_the_end_is_refused_as_well(lane: Lane) -> None:
    """Every statement was fine; the commit is not."""
    with pytest.raises(DatabaseRefused, match="23505"):
        await lane.run([_put(1), _put(1)])
    assert await lane.run([_READ]) == [[]]
    await lane.run([_put(1), _put(2)])
    assert [row[0] for row in (await lane.run([_READ]))[0]] == ["1", "2"]


async def test_refused_statement_leaves_the_lane_usable(lane: Lane) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        await lane.run([("SELECT 1", {}), ("SELECT %(a)s::int / 0", {"a": 1}), ("SELECT 2", {})])
    assert refused.value.sqlstate == "22012"
    rows = await lane.run([("SELECT 1", {}), ("SELECT NULL, %(a)s || %(b)s", {"a": 1, "b": "é"})])
    assert rows == [[("1",)], [(None, "1é")]]


class SlowWriter(Lane):
    """Hears that everything is written only when it is answered, as may be with a full socket."""

    async def _flush(self, pgconn: PGconn) -> None:
        answer = self._answer
        assert answer is not None
        await super()._flush(pgconn)
        await asyncio.wait([answer])


async def test_answered_while_it_still_writes(hub: Hub) -> None:
    """P2: a batch that is larger than the socket's buffer is answered like any other."""
    lane = SlowWriter(hub.dsn, 2.0)
    await lane.open()
    try:
        long = "x" * 10_000_000
        assert await lane.run([("SELECT length(%(text)s)", {"text": long})]) == [[("10000000",)]]
    finally:
        await lane.close()
