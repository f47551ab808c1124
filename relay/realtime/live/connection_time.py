"""The time of a Live connection, by its provider and by our own count. Times of the clock are in
seconds, lengths in milliseconds.

    reported    the last total of the provider
    most        no more than this has passed: what was reported and the time of the clock since
                then, or the sound that was sent if that is longer
    own         our own count, if the end is reported by nobody: what was reported or what an event
                named as its position, or the sound of either side if that is longer; at most `most`
"""

from typing import Final

# Providers may begin to count before their first event, and round up.
SLACK_MS: Final = 10_000


def part_of(total_ms: int, from_ms: int, length_ms: int, *, is_last: bool) -> int:
    """Return the part of the time `total_ms` that lies in a stretch which starts at `from_ms`. The
    last stretch has the rest."""
    part = max(0, total_ms - from_ms)
    return part if is_last else min(part, length_ms)


class ConnectionTime:
    """The time of one connection that started at `now`."""

    __slots__ = ("_input_ms", "_output_ms", "_reported_at", "position_ms", "reported_ms")

    def __init__(self, now: float) -> None:
        self.reported_ms = self.position_ms = 0
        self._reported_at = now
        self._input_ms = self._output_ms = 0

    def add_input(self, ms: int) -> None:
        """Count sound that the client sent."""
        self._input_ms += ms

    def add_output(self, ms: int) -> None:
        """Count sound that the provider sent."""
        self._output_ms += ms

    def reach(self, ms: int) -> None:
        """Record the position of an event."""
        self.position_ms = max(self.position_ms, ms)

    def most_ms(self, now: float, more_ms: int = 0) -> int:
        """Return an upper bound of the connection's time, if the client has sent `more_ms` more of
        sound."""
        clock_ms = self.reported_ms + int((now - self._reported_at) * 1000)
        return max(clock_ms, self._input_ms + more_ms)

    @property
    def least_ms(self) -> int:
        """Return a time that the provider's count is not below."""
        return max(self.reported_ms, self.position_ms)

    def own_ms(self, now: float) -> int:
        """Return a time that the provider's count is never below."""
        told_ms = max(self.position_ms, self._input_ms, self._output_ms)
        return max(self.reported_ms, min(self.most_ms(now), told_ms))

    def report(self, ms: int, now: float) -> str:
        """Record a total that the provider reports. Return a flag if the total is impossible; it is
        then not used."""
        if ms < self.reported_ms:
            return "usage_negative"
        if ms > self.most_ms(now) + SLACK_MS:
            return "usage_huge"
        self.reported_ms, self._reported_at = ms, now
        return ""
