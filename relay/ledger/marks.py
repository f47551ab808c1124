"""High-water marks: how far the streams of a process surely are, written while they run.

Whoever resolves the hold of a process that was killed goes by them (docs/promises.md, "Life of an
attempt").
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from uuid import UUID

from relay.ledger.recovery import LedgerRecovery

# A stream is looked at this often, and its mark written at the third look; the rest of the promised
# 250 ms is for its commit. One that has grown by half of the 64 tokens is marked at once: what it
# says while we read it late is the other half.
_LOOK_S: Final = 0.05
_LOOKS: Final = 3


class Watched(Protocol):
    """A stream that tells how far it surely is."""

    @property
    def id(self) -> UUID: ...
    def mark(self) -> str | None:
        """The meters so far as JSON text; None when there is nothing new."""


class LedgerMarks:
    """The marks of one process; `write` is called when some are to be written."""

    def __init__(self, recovery: LedgerRecovery, write: Callable[[], None]) -> None:
        self._recovery = recovery
        self._write = write
        self._watched: set[Watched] = set()
        self.waiting: dict[UUID, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def watch(self, stream: Watched) -> None:
        """Mark this stream until `unwatch`."""
        self._watched.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def unwatch(self, stream: Watched) -> None:
        self._watched.discard(stream)
        self.waiting.pop(stream.id, None)

    def mark(self, stream: Watched) -> None:
        """Keep how far a stream is where a kill finds it; the database hears of it soon."""
        meters = stream.mark()
        if meters is not None:
            self.waiting[stream.id] = meters
            self._recovery.mark(stream.id, meters)

    def take(self) -> Mapping[UUID, str]:
        """What is to be written now."""
        taken, self.waiting = self.waiting, {}
        return taken

    def put_back(self, marks: Mapping[UUID, str]) -> None:
        """These could not be written; what was marked since stands."""
        self.waiting = {**marks, **self.waiting}

    def _look(self) -> None:
        self._timer = None
        if not self._watched:
            return
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        self._looks += 1
        if self._looks % _LOOKS == 0:
            for stream in self._watched:
                self.mark(stream)
        if self.waiting:
            self._write()
