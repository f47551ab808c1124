"""Changes are heard of at their commit, also by a connection that was lost and made again."""

import asyncio
from typing import Any, cast

import psycopg
import pytest

from relay.errors import DatabaseAway
from relay.front import refresher
from relay.front.refresher import Refresher
from tests.support.hub import Hub

WAIT_S = 20
_LISTENS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'weir relay notifications' AND query LIKE 'LISTEN%%'"
    " AND pid <> ALL (%s)"
)


class Listener:
    """What listens as a relay does, and nothing else of one."""

    def __init__(self, dsn: str) -> None:
        config: Any = type("Config", (), {"dsn": dsn})
        nothing = cast(Any, None)
        self.refresher = Refresher(config, nothing, nothing, nothing, nothing, nothing)

    async def hears(self) -> bool:
        async with asyncio.timeout(WAIT_S):
            await self.refresher._changed.wait()
        self.refresher._changed.clear()
        return True


async def another_pid(connection: psycopg.AsyncConnection[Any], known: list[int]) -> int:
    async with asyncio.timeout(WAIT_S):
        while True:
            row = await (await connection.execute(_LISTENS, [known])).fetchone()
            if row is not None:
                return int(row[0])
            await asyncio.sleep(0.01)


async def test_lost_connection_is_reopened_and_receives(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of its socket is used for next, nobody reads from it any more."""
    monkeypatch.setattr(refresher, "_LISTEN_RETRY_S", 0.0)
    listener = Listener(hub.dsn)
    async with await psycopg.AsyncConnection.connect(hub.dsn, autocommit=True) as connection:
        # Those of the hub's own processes.
        rows = await (await connection.execute(_LISTENS, [[]])).fetchall()
        known = [pid for (pid,) in rows]
        listening = asyncio.create_task(listener.refresher.listen())
        try:
            for _ in range(3):
                pid = await another_pid(connection, known)
                known.append(pid)
                await connection.execute("NOTIFY weir_epoch")
                assert await listener.hears()
                await connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            await another_pid(connection, known)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert listening.cancelled()


class Requests:
    """Running requests that are looked through, unless the database fails."""

    def __init__(self) -> None:
        self.database_fails = False
        self.looked = self.expiries = 0

    def end_expired(self, now: float) -> None:
        self.expiries += 1

    async def end_revoked(self) -> None:
        self.looked += 1
        if self.database_fails:
            raise DatabaseAway


@pytest.mark.parametrize(
    ("epochs", "fails", "looked"),
    [
        # Once for each change.
        ([1, 1, 2, 2], (), 2),
        # If the database failed meanwhile, again for the same change until it answers.
        ([1, 1, 1, 1], (0, 1), 3),
        ([1, 2, 2, 2], (1,), 3),
        # While the epoch itself cannot be read, there is nobody to ask.
        ([None, None, 1, None], (), 1),
    ],
)
async def test_running_requests_are_looked_through_at_each_change_until_that_succeeds(
    epochs: list[int | None], fails: tuple[int, ...], looked: int
) -> None:
    """P11"""
    requests, nothing = Requests(), cast(Any, None)
    under_test = Refresher(nothing, nothing, nothing, nothing, cast(Any, requests), nothing)
    for n, epoch in enumerate(epochs):
        requests.database_fails = n in fails
        await under_test._end_revoked(epoch)
    assert (requests.looked, requests.expiries) == (looked, len(epochs))
