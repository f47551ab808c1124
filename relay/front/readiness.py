"""Whether this process can take a paid request now, which `/readyz` tells."""

import asyncio
import contextlib
import signal
from types import FrameType

from relay.ledger.database import PipelinedConnection
from relay.ledger.writer import LedgerWriter
from relay.routing.refresher import Refresher


class Readiness:
    """The readiness of one process."""

    def __init__(
        self, refresher: Refresher, connection: PipelinedConnection, ledger: LedgerWriter
    ) -> None:
        self.draining = False
        self._refresher = refresher
        # The one that the ledger is written by.
        self._connection = connection
        self._ledger = ledger

    @property
    def ready(self) -> bool:
        """Whether the database can be written and has what this code expects, the catalogue is
        loaded, no ending waits on the disk, its clock is that of the database, and the process is
        not about to end."""
        return (
            not self.draining
            and self._refresher.fit.fits
            and self._refresher.snapshot.epoch >= 0
            and self._connection.usable
            and self._ledger.ready
        )

    def drain_at_sigterm(self, wait_s: float) -> None:
        """At the signal to end, turn readiness off at once and go on accepting for a while: load
        balancers need a few seconds to notice. Then the server's own handler stops it; a second
        signal does at once."""
        loop = asyncio.get_running_loop()
        server = signal.getsignal(signal.SIGTERM)
        if not callable(server):
            return

        def hear(number: int, frame: FrameType | None) -> None:
            again, self.draining = self.draining, True
            if again or not wait_s:
                server(number, frame)
                return
            loop.call_soon_threadsafe(loop.call_later, wait_s, server, number, frame)

        with contextlib.suppress(ValueError):  # Not the main thread: there is no signal to hear.
            signal.signal(signal.SIGTERM, hear)
