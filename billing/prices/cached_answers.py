"""The charge of an answer that is served again: a share of what the first request was charged."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from billing.currency.money import round_half_even

CACHED: Final = "cached"
"""The basis of a record whose answer was served again."""


class CachedCharge(NamedTuple):
    """How a charge follows from that of the request whose answer was stored: `request` is its id,
    `charge_nano` its charge, `price_percent` the share."""

    request: str
    charge_nano: int
    price_percent: int

    @property
    def nano(self) -> int:
        """The charge, rounded once, half to even."""
        return round_half_even(self.charge_nano * self.price_percent, 100)

    def pricing(self) -> dict[str, Any]:
        """Return it as it is stored with the record."""
        return {CACHED: self._asdict()}


def cached_charge_of(pricing: Mapping[str, Any] | None) -> CachedCharge | None:
    """Return the stored form of a record's `pricing`; None if no stored answer was served."""
    stored = (pricing or {}).get(CACHED)
    return None if stored is None else CachedCharge(**stored)
