"""Check whether Postgres answers at all, so that pages fail within a second if it does not.

A thread that waits for a frozen Postgres cannot be interrupted, and the pool waits five seconds for
a Postgres that refuses connections. So a page that takes longer than `LOOK_AFTER_S` triggers a
check here, on a separate connection:

    answers --no answer in half a second, or refused--> away --a new connection answers--> answers

While Postgres is away, pages are refused immediately, and a new connection is tried every
`_LOOK_EACH_S`. While pages are quick, nothing is checked.
"""

import asyncio
import contextlib
import logging
from contextvars import Context
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

log = logging.getLogger(__name__)

LOOK_AFTER_S: Final = 0.3
"""A page that takes this long triggers a check of the database, and again each time."""
# The wait for an answer, in steps: a step that this busy process itself prolongs counts as one. The
# last ones take no time: an answer that arrived while the event loop was busy is read within them.
_STEPS_S: Final = (*[0.05] * 10, 0, 0, 0)
_LOOK_EACH_S: Final = 0.25
_CONNECT_S: Final = 2


class DatabaseWatch:
    """Whether one process can reach its database."""

    def __init__(self, dsn: str) -> None:
        # libpq reads whole seconds; `_STEPS_S` ends the wait before.
        self._dsn = make_conninfo(dsn, connect_timeout=_CONNECT_S, application_name="weir watch")
        self._connection: psycopg.AsyncConnection[object] | None = None
        self._asking: asyncio.Task[bool] | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Return whether the last check failed and no connection has succeeded since."""
        return self._looking is not None

    async def open(self) -> None:
        """Connect before the first check: on a busy machine, that takes longer than a statement.
        If it fails, the first check tries again."""
        with contextlib.suppress(psycopg.Error):
            self._connection = await self._connect()

    async def answers(self) -> bool:
        """Check now. Concurrent callers share the result."""
        if self.away:
            return False
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._probe_once(), context=Context())
        return await asyncio.shield(self._asking)

    async def close(self) -> None:
        """Close the connection and stop all checks."""
        for task in (self._asking, self._looking):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._drop()

    async def _probe_once(self) -> bool:
        if await self._try():
            return True
        log.warning("The database does not answer; pages say so until it does.")
        self._looking = asyncio.create_task(self._probe_repeatedly(), context=Context())
        return False

    async def _probe_repeatedly(self) -> None:
        while True:
            if await self._try():
                break
            await asyncio.sleep(_LOOK_EACH_S)
        self._looking = None
        log.info("The database answers again.")

    async def _try(self) -> bool:
        """Return whether Postgres answers a statement in time. A connection that the server has
        closed in the meantime is replaced once."""
        for _ in range(1 if self._connection is None else 2):
            asked = asyncio.create_task(self._select())
            for step_s in _STEPS_S:
                if not asked.done():
                    await asyncio.wait({asked}, timeout=step_s)
            if asked.done() and not asked.exception():
                return True
            timed_out = not asked.done()
            self._drop()
            asked.cancel()
            await asyncio.wait({asked})
            if timed_out:
                return False
        return False

    async def _select(self) -> None:
        if self._connection is None:
            self._connection = await self._connect()
        await self._connection.execute("SELECT 1")

    async def _connect(self) -> psycopg.AsyncConnection[object]:
        return await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # `close` would first send the server a message.
            connection.pgconn.finish()
