"""How a model does: what its requests came to, and what is known of who serves it."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

State = Literal["operational", "degraded", "down", "unknown"]
TestResult = Literal["passed", "failed", "untested"]

# Of fewer requests than this a share says nothing.
_SAMPLE_MIN: Final = 5
_DOWN_PERCENT, _DEGRADED_PERCENT = 50, 5
_OUT: Final = frozenset({"open", "keys_out"})


class ServedBy(NamedTuple):
    """One channel that serves a model: its condition, and how its last test ended."""

    condition: str
    test: TestResult


def state_of(
    requests: int, failed: int, channels: Sequence[ServedBy], *, answered: bool = False
) -> State:
    """Judge a model by its requests of the last minutes.

    Where there were too few, judge it by the last tests of its channels. A model with no test is
    "unknown" unless a request was `answered` within the week.
    """
    out = sum(channel.condition in _OUT for channel in channels)
    if out == len(channels):
        return "down"
    troubled = any(channel.condition != "good" for channel in channels)
    if requests >= _SAMPLE_MIN:
        if failed * 100 >= requests * _DOWN_PERCENT:
            return "down"
        failing = failed * 100 >= requests * _DEGRADED_PERCENT
    else:
        results = {channel.test for channel in channels}
        proven = answered or "passed" in results
        if results == {"failed"} or (requests and failed == requests and not proven):
            return "down"
        if not proven:
            return "unknown"
        failing = "failed" in results
    return "degraded" if failing or troubled else "operational"
