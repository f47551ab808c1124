"""Notify the subscribers of a run: immediately within the process, by NOTIFY in other processes.

A notification only means "read again". A lost one delays a subscriber by its poll interval
(`RunNotifications.poll_s`), but loses no event.
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
_POLL_DEAF_S = 0.25
_POLL_S = 1.0
_RETRY_S = 1.0


class RunNotifications:
    """The notifications of one event loop. They listen to the database while anybody is
    subscribed."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._hears = False

    @property
    def poll_s(self) -> float:
        """The interval in seconds at which subscribers read without a notification."""
        return _POLL_S if self._hears else _POLL_DEAF_S

    @contextlib.contextmanager
    def subscribe(self, run_id: UUID) -> Iterator[asyncio.Event]:
        """Return an event that each notification of the run sets. Clear it before reading, not
        after."""
        notified = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(notified)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        try:
            yield notified
        finally:
            waiting = self._waiting[run_id]
            waiting.discard(notified)
            if not waiting:
                del self._waiting[run_id]
            if not self._waiting and self._listener is not None:
                self._listener.cancel()
                self._listener = None

    def notify(self, run_id: UUID) -> None:
        """Notify the subscribers in this process."""
        for notified in self._waiting.get(run_id, ()):
            notified.set()

    def _notify_all(self) -> None:
        for run_id in self._waiting:
            self.notify(run_id)

    def _notify_of(self, notice: psycopg.Notify) -> None:
        with contextlib.suppress(ValueError):
            self.notify(UUID(notice.payload))

    async def _listen(self) -> None:
        dsn = make_conninfo(
            settings.DATABASE_URL or "",
            dbname=connection.settings_dict["NAME"],
            application_name="weir playground notifications",
            connect_timeout=2,
        )
        while True:
            try:
                listener = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with listener:
                    await listener.execute(f"LISTEN {CHANNEL}")
                    self._hears = True
                    # Notify everybody, because changes may have been missed while the listener was
                    # disconnected.
                    self._notify_all()
                    async for notice in listener.notifies():
                        self._notify_of(notice)
            except (psycopg.Error, OSError) as error:
                log.warning("notifications of the database cannot be heard: %s", error)
                await asyncio.sleep(_RETRY_S)
            finally:
                self._hears = False


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, RunNotifications] = WeakKeyDictionary()


def notifications() -> RunNotifications:
    """Return the notifications of the running event loop."""
    return _of_loops.setdefault(asyncio.get_running_loop(), RunNotifications())
