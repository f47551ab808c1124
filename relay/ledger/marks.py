"""High-water marks: the certain progress of a process's streams, written while they run. They
determine how the holds of a killed process are resolved (docs/promises.md, "Life of an attempt").
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from uuid import UUID

from relay.ledger.recovery import LedgerRecovery

# A stream is checked this often, and its mark is written at the third check; the rest of the
# promised 250 ms is for its commit. A stream that has grown by half of the 64 tokens is marked
# immediately: the other half is for what arrives while we are late.
_LOOK_S: Final = 0.05
_LOOKS: Final = 3


class Watched(Protocol):
    """A stream that reports how much has certainly been used."""

    @property
    def id(self) -> UUID: ...
    def mark(self) -> str | None:
        """Return the meters up to now as JSON text, or None if nothing has changed."""


class LedgerMarks:
    """The high-water marks of one process. `write` is called when marks are due."""

    def __init__(self, recovery: LedgerRecovery, write: Callable[[], None]) -> None:
        self._recovery = recovery
        self._write = write
        self._watched: set[Watched] = set()
        self.waiting: dict[UUID, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def watch(self, stream: Watched) -> None:
        """Store high-water marks of this stream until `unwatch`."""
        self._watched.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def unwatch(self, stream: Watched) -> None:
        self._watched.discard(stream)
        self.waiting.pop(stream.id, None)

    def mark(self, stream: Watched) -> None:
        """Store the high-water mark of a stream so that it survives a kill. It is written to the
        database soon after."""
        meters = stream.mark()
        if meters is not None:
            self.waiting[stream.id] = meters
            self._recovery.mark(stream.id, meters)

    def take(self) -> Mapping[UUID, str]:
        """Return and clear the marks to write now."""
        taken, self.waiting = self.waiting, {}
        return taken

    def put_back(self, marks: Mapping[UUID, str]) -> None:
        """Add back marks that could not be written. Newer marks take precedence."""
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
