"""P10: a deploy stops the beat by SIGTERM, whatever it does when the signal comes."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.apps.beat import Beat
from celery.beat import Scheduler, Service
from celery.signals import beat_init

from config.jobs.beat_scheduler import stop_on_signal

TICKS_MAX = 50


class Signalled(Scheduler):  # type: ignore[misc]
    """Is asked to end at its first tick, and fails when it has gone on for long."""

    ticks = 0

    def tick(self, *_: Any, **__: Any) -> float:
        type(self).ticks += 1
        assert self.ticks < TICKS_MAX, "it goes on"
        if self.ticks == 1:
            self.end()
        return 0.001

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class Finalizing(Signalled):
    """The signal comes while Python finalizes an object: it drops exceptions there."""

    def end(self) -> None:
        class Finalized:
            def __del__(self) -> None:
                os.kill(os.getpid(), signal.SIGTERM)

        Finalized()


class Sending(Signalled):
    """The signal comes while a connection to the broker is in use."""

    def end(self) -> None:
        with self.app.connection_for_write() as connection, connection.channel():
            super().end()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Service]:
    """As Celery's command makes it, with none of our handlers but the one that stops it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(beat_init, "receivers", [])
    beat_init.connect(stop_on_signal)
    app = Celery("beat", set_as_current=False, broker="memory://")
    request.param.ticks = 0
    made = Service(app, scheduler_cls=request.param)
    Beat(app=app).install_sync_handler(made)
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("service", [Signalled, Finalizing, Sending], indirect=True)
def test_beat_ends_by_its_signal(service: Service) -> None:
    service.start()
    assert service.scheduler.ticks == 1
