"""What cached input saves the customer of a request."""

from collections.abc import Mapping

from billing.prices.pricing import PriceVersion, saved_by_cache
from usage.requests.outcomes import UNCHARGED


def saved_of(meters: Mapping[str, int], version: PriceVersion | None, basis: str) -> int:
    """Return how much these meters cost less because of cached input, in nano; 0 for a basis that
    is not charged."""
    if version is None or basis in UNCHARGED:
        return 0
    return saved_by_cache(meters, version)
