"""How a model does: what its requests came to, and what is known of who serves it."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

State = Literal["operational", "degraded", "down"]

# Of fewer requests than this a share says nothing.
_SAMPLE_MIN: Final = 5
_DOWN_PERCENT, _DEGRADED_PERCENT = 50, 5
_OUT: Final = frozenset({"open", "keys_out"})


class ServedBy(NamedTuple):
    """One channel that serves a model: its condition, and whether its last test failed."""

    condition: str
    test_failed: bool


def state_of(requests: int, failed: int, channels: Sequence[ServedBy]) -> State:
    """The state by the last minutes' requests and those that the hub or a provider failed; where
    there were too few, by the last tests of the channels."""
    out = sum(channel.condition in _OUT for channel in channels)
    if out == len(channels):
        return "down"
    if requests >= _SAMPLE_MIN:
        if failed * 100 >= requests * _DOWN_PERCENT:
            return "down"
        failing = failed * 100 >= requests * _DEGRADED_PERCENT
    else:
        tests_failed = sum(channel.test_failed for channel in channels)
        if tests_failed == len(channels):
            return "down"
        failing = bool(tests_failed)
    troubled = any(channel.condition != "good" for channel in channels)
    return "degraded" if failing or troubled else "operational"
