"""The queue of installations without another broker: kombu's queue in Postgres. A worker reads it
right after sending to it, and at each `polling_interval`.

In `make run` no other process sends there, and polling would cost several commits per second on an
idle installation. Messages that a previous worker left are read at the start; those that it had
begun are found within half a minute of the time after which they are delivered again.
"""

from threading import Event
from time import monotonic
from typing import Any, Final

from kombu.transport import pgmq

ALONE_S: Final = 30.0
"""The polling interval, in seconds, of a worker that has the scheduler in it."""

# Set when a message was sent, or when there is room for one again.
_sent = Event()


class Channel(pgmq.Channel):
    """A channel that reports sent messages and freed room."""

    def _put(self, *args: Any, **kwargs: Any) -> None:
        super()._put(*args, **kwargs)  # type: ignore[no-untyped-call]
        _sent.set()

    def basic_ack(self, *args: Any, **kwargs: Any) -> None:
        super().basic_ack(*args, **kwargs)  # type: ignore[no-untyped-call]
        _sent.set()


class Transport(pgmq.Transport):
    """The transport class that `broker_transport` refers to."""

    Channel = Channel
    # The next time to read the queue even if nothing was sent.
    _look_at = 0.0

    def verify_connection(self, connection: Any) -> bool:
        """Return True. kombu asks before each wait, every other second, and its own answer takes
        three statements. A lost connection fails at the next read or send, and is then opened
        again."""
        return True

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver waiting messages. Raises TimeoutError if there are none within the timeout."""
        rest_s = self._look_at - monotonic()
        if rest_s > 0 and not _sent.wait(rest_s if timeout is None else min(rest_s, timeout)):
            raise TimeoutError
        # Clear it before reading, so that a message sent in between triggers another read.
        _sent.clear()
        try:
            super().drain_events(connection, timeout=0)  # type: ignore[no-untyped-call]
        except TimeoutError:
            self._look_at = monotonic() + self.polling_interval
            raise
        self._look_at = 0.0
