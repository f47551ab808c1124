"""A process is ready only while the database has every migration of its code."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import psycopg
import pytest_asyncio

from relay.catalogue import snapshot_sql as snapshot_statements
from relay.config import RelayConfig
from relay.database.database import PipelinedConnection, Row, Statement
from relay.front.database_fit import DatabaseFit
from tests.support.hub import Hub

OURS = ("weir", "0001_ours")


class Looker:
    """Looks as a process of the code with the migration `OURS`; `counted` is how often it compared
    all of them."""

    def __init__(self, dsn: str, connection: PipelinedConnection) -> None:
        config = RelayConfig(dsn=dsn, kek="", pepper="", migrations=(OURS,))
        self._connection = connection
        self.fit = DatabaseFit(config, cast(Any, None), self.ask)
        self.counted = 0

    async def ask(self, statement: Statement) -> Sequence[Row]:
        self.counted += statement[0] == snapshot_statements.missing_statement([OURS])[0]
        (rows,) = await self._connection.run([statement])
        return rows

    async def missing(self) -> int | None:
        assert await self.fit.read_epoch() is not None
        return self.fit._missing


@pytest_asyncio.fixture
async def looker(hub: Hub) -> AsyncIterator[Looker]:
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    yield Looker(hub.dsn, connection)
    await connection.close()
    with psycopg.connect(hub.dsn) as database:
        database.execute("DELETE FROM django_migrations WHERE app = 'weir'")


def migrate(dsn: str, undone: str = "", done: str = "") -> None:
    """One migration of ours taken back, another one added, at once."""
    with psycopg.connect(dsn) as database:
        database.execute("DELETE FROM django_migrations WHERE app = 'weir' AND name = %s", [undone])
        if done:
            database.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('weir', %s, now())",
                [done],
            )


async def test_clock_is_read_together_with_the_catalogue(looker: Looker) -> None:
    """I11: a price begins by the database's clock, however long the catalogue takes to load."""
    await looker.missing()
    assert abs(time.monotonic() + looker.fit.clock.ahead_s - time.time()) < 1


async def test_migrations_are_compared_once_and_after_a_change(hub: Hub, looker: Looker) -> None:
    assert [await looker.missing() for _ in range(3)] == [1, 1, 1]
    assert looker.counted == 1
    migrate(hub.dsn, done=OURS[1])
    assert [await looker.missing() for _ in range(3)] == [0, 0, 0]
    assert looker.counted == 2
    migrate(hub.dsn, undone=OURS[1], done="0001_of_another_branch")
    assert await looker.missing() == 1
    migrate(hub.dsn, undone="0001_of_another_branch")
    assert await looker.missing() == 1
    assert looker.counted == 4
    assert not looker.fit.fits
