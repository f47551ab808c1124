"""The catalogue that is shipped, converted once for all files that look at it."""

from functools import cache

from genai_prices import data

from billing.prices.catalogue.additions import add_own_prices
from billing.prices.catalogue.catalogue import CatalogueRow, Conversion, convert_catalogue


@cache
def shipped_catalogue() -> Conversion:
    """The rows of the package, and what was left out."""
    return convert_catalogue(data.providers)


@cache
def shipped_rows() -> tuple[CatalogueRow, ...]:
    """All rows of a fresh installation: also the prices of our own."""
    return tuple(add_own_prices(shipped_catalogue().rows))
