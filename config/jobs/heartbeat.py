"""A file whose modification time shows that a worker takes jobs, or that the scheduler ticks.
Health checks read it (deploy/alive.py). Without HEARTBEAT_FILE nothing is written. A worker
renews it as often as it notifies a service manager, the scheduler at each tick, at least once a
minute."""

from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from django.conf import settings

from lib.process import service_manager


def beat(*_: Any) -> None:
    """Renew the heartbeat file, and notify the service manager. Raises OSError if the file cannot
    be written."""
    service_manager.notify_alive()
    if settings.HEARTBEAT_FILE:
        Path(settings.HEARTBEAT_FILE).touch()


def offer_heartbeat(app: Celery) -> None:
    """Let the workers of this app renew the heartbeat file."""
    app.steps["consumer"].add(HeartbeatStep)


class HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Renews the heartbeat file in a thread of the pool, while the worker is connected to its
    queue. A worker without a connection, or whose threads all hang, does not look healthy."""

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
        self._renewal = consumer.timer.call_repeatedly(
            service_manager.EVERY_S, self._renew, (consumer,)
        )

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
