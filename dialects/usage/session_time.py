"""The time of a live session, in the units of its price."""

from typing import Final

_MINUTE_MS: Final = 60_000
_BILLION: Final = 10**9


def session_minutes(ms: int) -> int:
    """Return a duration in billionths of a minute, rounded half-even.

    At up to 0.5 USD a minute, a charge for whole seconds is that of the exact duration: at 0.05 USD
    a minute, 833,333 nano for a second.
    """
    whole, rest = divmod(ms * _BILLION, _MINUTE_MS)
    return whole + (2 * rest > _MINUTE_MS or (2 * rest == _MINUTE_MS and whole % 2))
