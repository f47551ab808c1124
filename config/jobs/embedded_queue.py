"""The queue of `make run`: kombu's in Postgres, which the worker reads when it has sent to it.

Nobody else sends there, and a queue that is read by the clock costs some commits each second with
nobody there. Whatever came otherwise, such as what was left by an end of the worker, is found a few
seconds later.
"""

from threading import Event
from time import monotonic
from typing import Any, Final

from kombu.transport import pgmq

LOOK_S: Final = 5.0
"""How long it is not read, in seconds, while nothing is sent."""

# Something was sent, or there is room again for what was left.
_sent = Event()


class Channel(pgmq.Channel):
    """One that tells what it does."""

    def _put(self, *args: Any, **kwargs: Any) -> None:
        super()._put(*args, **kwargs)  # type: ignore[no-untyped-call]
        _sent.set()

    def basic_ack(self, *args: Any, **kwargs: Any) -> None:
        super().basic_ack(*args, **kwargs)  # type: ignore[no-untyped-call]
        _sent.set()


class Transport(pgmq.Transport):
    """What `broker_transport` names."""

    Channel = Channel
    # When it is read again although nothing was sent.
    _look_at = 0.0

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Hand out what waits; TimeoutError where nothing does for so long."""
        rest_s = self._look_at - monotonic()
        if rest_s > 0 and not _sent.wait(rest_s if timeout is None else min(rest_s, timeout)):
            raise TimeoutError
        # Before it is read: what is sent meanwhile is looked for again.
        _sent.clear()
        try:
            super().drain_events(connection, timeout=0)  # type: ignore[no-untyped-call]
        except TimeoutError:
            self._look_at = monotonic() + LOOK_S
            raise
        self._look_at = 0.0
