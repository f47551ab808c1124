"""The check of the database from a process that is itself busy (P18)."""

import asyncio
import time

from config.server.database_watch import DatabaseWatch
from tests.runner.databases import own_database

BUSY_S = 0.15
"""So long is every other turn of the event loop: a new connection takes longer than a check."""


async def _hog_loop() -> None:
    while True:
        time.sleep(BUSY_S)  # noqa: ASYNC251
        await asyncio.sleep(0)


async def _answers(dsn: str, *, opened: bool) -> bool:
    watch = DatabaseWatch(dsn)
    if opened:
        await watch.open()
    hogging = asyncio.create_task(_hog_loop())
    try:
        return await watch.answers()
    finally:
        hogging.cancel()
        await watch.close()


def test_busy_process_does_not_take_its_database_for_away() -> None:
    """A fresh process that still loaded its pages answered 503 while Postgres was there."""
    with own_database("database_watch") as dsn:
        assert asyncio.run(_answers(dsn, opened=True))
        assert asyncio.run(_answers(dsn, opened=False))
