"""The beat inside a worker, for an installation that has one of each: `celery worker --with-beat`.

Celery's own `--beat` starts a process, which holds in memory all that the worker does once more;
this is a thread. Where there may be several workers it stays a process of its own, of which there
is one (docker-compose.yml). The two end together: what starts a worker again starts its beat.
"""

from threading import Thread
from typing import Any

from celery import Celery, bootsteps
from celery.beat import Service
from celery.platforms import EX_FAILURE
from celery.worker import state
from click import Option


def offer_beat(app: Celery) -> None:
    """Let workers of this app be started with their beat."""
    app.user_options["worker"].add(
        Option(["--with-beat"], is_flag=True, help="Schedule the periodic tasks, too.")
    )
    app.steps["worker"].add(BeatStep)


class BeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts and stops the beat with its worker."""

    conditional = True

    def __init__(self, parent: Any, with_beat: bool = False, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = with_beat

    def create(self, parent: Any) -> "_Beat":
        return _Beat(parent.app)


class _Beat(Thread):
    def __init__(self, app: Celery) -> None:
        super().__init__(name="beat", daemon=True)
        self._service = Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)
        self._stopped = False

    def run(self) -> None:
        try:
            self._service.start()
        finally:
            if not self._stopped:
                # A worker without its beat would look well and do nothing.
                state.should_stop = EX_FAILURE

    def stop(self) -> None:
        """End it; that takes a second at most."""
        self._stopped = True
        self._service.stop()
        if self.is_alive():
            self.join()
