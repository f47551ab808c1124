"""The multipliers of a subscription plan: a list of patterns, of which the first match applies. A
model without a match has the multiplier of the organisation's price plan."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from billing.prices.name_patterns import matches

MULTIPLIERS_MAX: Final = 50
"""The most patterns that a plan has."""


class Multiplier(NamedTuple):
    """Prices of models that fit `pattern` are multiplied by `ppm` parts per million."""

    pattern: str
    ppm: int


def multiplier_for(multipliers: Iterable[Multiplier], model: str, otherwise: int) -> int:
    """The multiplier of a request for `model`, in parts per million: the first that fits, else
    `otherwise`."""
    return next((one.ppm for one in multipliers if matches(one.pattern, model)), otherwise)
