"""The multipliers of a subscription plan: a list of patterns, of which the first match applies. A
model without a match has the multiplier of the organisation's price plan."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from billing.prices.name_patterns import matches

MULTIPLIERS_MAX: Final = 50
"""The most patterns of a plan."""


class Multiplier(NamedTuple):
    """A pattern of model names, and the factor for their prices in parts per million."""

    pattern: str
    ppm: int


def multiplier_for(multipliers: Iterable[Multiplier], model: str, otherwise: int) -> int:
    """Return the multiplier for `model` in parts per million: that of the first matching pattern,
    else `otherwise`."""
    return next((one.ppm for one in multipliers if matches(one.pattern, model)), otherwise)
