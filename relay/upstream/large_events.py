"""A memory limit for incomplete events of upstreams (P9).

An event may be large: an image in it takes megabytes. The process limits the total of all
incomplete events, so that many endless ones cannot exhaust its memory.
"""

from typing import Final

from relay.config import MIB

# Incomplete events up to this size are not counted.
_FREE_BYTES: Final = MIB


class LargeEvents:
    """The memory of one process for incomplete events beyond the first MiB of each."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max

    def take(self, size: int) -> bool:
        """Reserve memory. Return False if there is no room."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        self._left += size


class Gathering:
    """Counts the bytes of a stream's current event, which is incomplete: `size`."""

    __slots__ = ("_events", "_taken", "size")

    def __init__(self, events: LargeEvents) -> None:
        self._events = events
        self.size = self._taken = 0

    def more(self, size: int) -> bool:
        """Count more bytes of an incomplete event. Return False if there is no room."""
        self.size += size
        beyond = self.size - _FREE_BYTES - self._taken
        if beyond <= 0:
            return True
        if not self._events.take(beyond):
            return False
        self._taken += beyond
        return True

    def whole(self) -> None:
        """Release the event's memory, because the event is complete or no longer wanted."""
        if self._taken:
            self._events.give_back(self._taken)
        self.size = self._taken = 0
