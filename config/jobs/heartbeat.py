"""A file whose time says that a worker takes work, or that the scheduler ticks. Health checks read
it (deploy/alive.py); without HEARTBEAT_FILE nothing is written. A service manager is told
the same."""

from pathlib import Path
from typing import Any, Final

from celery import Celery, bootsteps
from django.conf import settings

from lib.process import service_manager

EVERY_S: Final = 10
"""How often a worker renews it. The scheduler does at each tick, of which none is a minute away."""


def beat(*_: Any) -> None:
    """Renew the file, and tell the service manager. Raises OSError where the file cannot be
    written."""
    service_manager.say_alive()
    if settings.HEARTBEAT_FILE:
        Path(settings.HEARTBEAT_FILE).touch()


def offer_heartbeat(app: Celery) -> None:
    """Let the workers of this app renew it."""
    app.steps["consumer"].add(HeartbeatStep)


class HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Renews the file by a thread of the pool, while the worker is connected to its queue: neither
    a lost connection nor threads that all hang look well.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._renewal: Any = None
        self._put = False

    def include_if(self, consumer: Any) -> bool:
        return bool(settings.HEARTBEAT_FILE) or service_manager.is_there()

    def start(self, consumer: Any) -> None:
        self._put = False
        self._renew(consumer)
        self._renewal = consumer.timer.call_repeatedly(EVERY_S, self._renew, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    def _renew(self, consumer: Any) -> None:
        if not self._put:
            self._put = True
            consumer.pool.apply_async(beat, callback=self._done)

    def _done(self, _: object) -> None:
        self._put = False
