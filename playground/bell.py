"""Rings when a run has news: heard at once within the process, over NOTIFY from every other one.

A ring says only "look": whoever hears it reads the rows. One that is missed costs as long as the
listener waits by itself (`Bell.floor_s`), never an event.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

log = logging.getLogger(__name__)

CHANNEL = "weir_playground"
_FLOOR_DEAF_S = 0.25
_FLOOR_S = 1.0
_RETRY_S = 1.0


class Bell:
    """The bell of one event loop. It listens to the database while somebody waits."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._hears = False

    @property
    def floor_s(self) -> float:
        """After how many seconds to look without a ring."""
        return _FLOOR_S if self._hears else _FLOOR_DEAF_S

    @contextlib.contextmanager
    def heard_by(self, run_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set by each ring for the run. Clear it before looking, not after."""
        rung = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(rung)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        try:
            yield rung
        finally:
            waiting = self._waiting[run_id]
            waiting.discard(rung)
            if not waiting:
                del self._waiting[run_id]
            if not self._waiting and self._listener is not None:
                self._listener.cancel()
                self._listener = None

    def ring(self, run_id: UUID) -> None:
        """Tell the waiters of this process."""
        for rung in self._waiting.get(run_id, ()):
            rung.set()

    async def _listen(self) -> None:
        dsn = make_conninfo(
            settings.DATABASE_URL or "",
            dbname=connection.settings_dict["NAME"],
            application_name="weir playground bell",
            connect_timeout=2,
        )
        while True:
            try:
                heard = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with heard:
                    await heard.execute(f"LISTEN {CHANNEL}")
                    self._hears = True
                    async for notice in heard.notifies():
                        with contextlib.suppress(ValueError):
                            self.ring(UUID(notice.payload))
            except (psycopg.Error, OSError) as error:
                log.warning("the bell cannot hear the database: %s", error)
                await asyncio.sleep(_RETRY_S)
            finally:
                self._hears = False


_bells: WeakKeyDictionary[asyncio.AbstractEventLoop, Bell] = WeakKeyDictionary()


def bell() -> Bell:
    """The bell of the running event loop."""
    return _bells.setdefault(asyncio.get_running_loop(), Bell())
