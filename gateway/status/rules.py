"""The state of a model, from the results of its requests and the state of its channels."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

State = Literal["operational", "degraded", "down", "unknown"]
TestResult = Literal["passed", "failed", "untested"]

# With fewer requests, the failure rate means nothing.
_SAMPLE_MIN: Final = 5
_DOWN_PERCENT, _DEGRADED_PERCENT = 50, 5
_OUT: Final = frozenset({"open", "keys_out"})


class ServedBy(NamedTuple):
    """One channel that serves a model: its condition, and the result of its last test."""

    condition: str
    test: TestResult


def state_of(
    requests: int, failed: int, channels: Sequence[ServedBy], *, answered: bool = False
) -> State:
    """Return a model's state by its requests of the last minutes.

    If there were too few, the last tests of its channels decide. A model without a test is
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
