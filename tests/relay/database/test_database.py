"""One pipelined connection to Postgres: what is run together stands together, or not at all
(I5)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from psycopg.pq.abc import PGconn

from relay.database.database import PipelinedConnection, Statement
from relay.errors import DatabaseAway, DatabaseRefused
from tests.support.hub import Hub

_TABLE: Statement = (
    "CREATE TEMPORARY TABLE place (n int UNIQUE DEFERRABLE INITIALLY DEFERRED, xid bigint)",
    {},
)
_READ: Statement = ("SELECT n, xid FROM place ORDER BY n", {})


def _put(n: int) -> Statement:
    return "INSERT INTO place SELECT %(n)s::int, txid_current()", {"n": n}


@pytest_asyncio.fixture
async def connection(hub: Hub) -> AsyncIterator[PipelinedConnection]:
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    await connection.run([_TABLE])
    yield connection
    await connection.close()


async def test_statements_run_together_are_one_transaction(connection: PipelinedConnection) -> None:
    first, second, rows = await connection.run([_put(1), _put(2), _READ])
    assert (first, second) == ([], [])
    assert [row[0] for row in rows] == ["1", "2"]
    assert len({row[1] for row in rows}) == 1


@pytest.mark.parametrize("at", range(3))
async def test_failing_statement_rolls_back_everything(
    connection: PipelinedConnection, at: int
) -> None:
    fails: Statement = ("SELECT 1 / %(n)s::int", {"n": 0})
    statements = [_put(1), _put(2)]
    statements.insert(at, fails)
    with pytest.raises(DatabaseRefused, match="22012"):
        await connection.run(statements)
    assert await connection.run([_READ]) == [[]]


async def test_failure_at_commit_is_reported_too(
    connection: PipelinedConnection,
) -> None:
    """Every statement was fine; the commit is not."""
    with pytest.raises(DatabaseRefused, match="23505"):
        await connection.run([_put(1), _put(1)])
    assert await connection.run([_READ]) == [[]]
    await connection.run([_put(1), _put(2)])
    assert [row[0] for row in (await connection.run([_READ]))[0]] == ["1", "2"]


async def test_failed_statement_leaves_the_connection_usable(
    connection: PipelinedConnection,
) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        await connection.run(
            [("SELECT 1", {}), ("SELECT %(a)s::int / 0", {"a": 1}), ("SELECT 2", {})]
        )
    assert refused.value.sqlstate == "22012"
    rows = await connection.run(
        [("SELECT 1", {}), ("SELECT NULL, %(a)s || %(b)s", {"a": 1, "b": "é"})]
    )
    assert rows == [[("1",)], [(None, "1é")]]


async def test_half_of_a_surrogate_pair_is_written_as_a_question_mark(
    connection: PipelinedConnection,
) -> None:
    both: Statement = ("SELECT %(a)s || %(b)s", {"a": "a\ud83d", "b": "é"})
    assert await connection.run([both]) == [[("a?é",)]]


async def test_transaction_without_an_answer_in_time_is_given_up(hub: Hub) -> None:
    connection = PipelinedConnection(hub.dsn, 0.05)
    await connection.open()
    try:
        with pytest.raises(DatabaseAway, match="no answer in time"):
            await connection.run([("SELECT pg_sleep(20)", {})])
        assert not connection.usable
    finally:
        await connection.close()


class SlowWriter(PipelinedConnection):
    """Hears that everything is written only when it is answered, as may be with a full socket."""

    async def _flush(self, pgconn: PGconn) -> None:
        assert self._pending is not None
        answer, _ = self._pending
        await super()._flush(pgconn)
        await asyncio.wait([answer])


async def test_answer_arrives_while_the_batch_is_still_being_sent(hub: Hub) -> None:
    """P2: a batch that is larger than the socket's buffer is answered like any other."""
    connection = SlowWriter(hub.dsn, 20.0)
    await connection.open()
    try:
        long = "x" * 10_000_000
        assert await connection.run([("SELECT length(%(text)s)", {"text": long})]) == [
            [("10000000",)]
        ]
    finally:
        await connection.close()
