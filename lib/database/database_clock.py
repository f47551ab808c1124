"""The database's clock, as one process knows it."""

from typing import Final

# A reading that took longer replaces a quicker one only after this time, in which the clocks of two
# machines drift apart by less than a slow reading is wrong.
_KEPT_S: Final = 30.0


class DatabaseClock:
    """The database's clock by this process's monotonic one. `ahead_s` is what to add to that; each
    reading is off by at most half the time that it took."""

    __slots__ = ("_read_at", "_took_s", "ahead_s")

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        self._took_s: float | None = None
        self._read_at = 0.0

    def read(self, database_s: float, asked_at: float, heard_at: float) -> None:
        """Set the clock by a time that the database told between two monotonic times."""
        took_s = heard_at - asked_at
        best_s = self._took_s
        if best_s is not None and took_s > best_s and heard_at - self._read_at < _KEPT_S:
            return
        self.ahead_s = database_s - (asked_at + heard_at) / 2
        self._took_s, self._read_at = took_s, heard_at
