"""Whether this process can accept a paid request now; `/readyz` reports it."""

import asyncio
import contextlib
import signal
from types import FrameType

from relay.database.database import PipelinedConnection
from relay.front.refresher import Refresher
from relay.ledger.writer import LedgerWriter


class Readiness:
    """The readiness of one process."""

    def __init__(
        self, refresher: Refresher, connection: PipelinedConnection, ledger: LedgerWriter
    ) -> None:
        self.draining = False
        # When the server was told to stop, by the event loop's clock.
        self._stops_since: float | None = None
        self._refresher = refresher
        # The connection that writes the ledger.
        self._connection = connection
        self._ledger = ledger

    @property
    def ready(self) -> bool:
        """Return whether the process can accept paid requests: the database is writable and has the
        schema that this code expects, the catalogue is loaded, no settlement waits on the disk, our
        clock agrees with the database's, and no shutdown has begun."""
        return (
            not self.draining
            and self._refresher.fit.fits
            and self._refresher.snapshot.epoch >= 0
            and self._connection.usable
            and self._ledger.ready
        )

    def left_of(self, seconds: float) -> float:
        """Return what is left of the time that requests have since the server was told to stop. It
        has waited for its connections meanwhile."""
        if self._stops_since is None:
            return seconds
        return max(0.0, self._stops_since + seconds - asyncio.get_running_loop().time())

    def drain_at_sigterm(self, wait_s: float) -> None:
        """At SIGTERM, report not ready immediately and accept requests for `wait_s` more, which
        load balancers need to notice. Then call the server's own handler, which stops the server. A
        second signal calls that handler immediately."""
        loop = asyncio.get_running_loop()
        server = signal.getsignal(signal.SIGTERM)
        if not callable(server):
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            again, self.draining = self.draining, True
            if again or not wait_s:
                stop(number, frame)
                return
            loop.call_soon_threadsafe(loop.call_later, wait_s, stop, number, frame)

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stops_since is None:
                self._stops_since = loop.time()
            server(number, frame)

        with contextlib.suppress(ValueError):  # Signals can be handled in the main thread only.
            signal.signal(signal.SIGTERM, on_signal)
