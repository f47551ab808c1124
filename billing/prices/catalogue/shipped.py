"""The catalogue of the release. A fresh installation uses its prices; later releases make
proposals.

It is part of the code; nothing is fetched (P24).
"""

from typing import NamedTuple

from accounts.access.actors import Actor
from billing.models import Price, PriceProposal, PriceVersion
from billing.prices.catalogue.additions import add_own_prices, own_models
from billing.prices.catalogue.catalogue import convert_catalogue
from billing.prices.prices import CATALOGUE, catalogue_loaded, load_catalogue
from billing.prices.proposals import Proposed, propose_catalogue


class Brought(NamedTuple):
    """The result of loading the shipped catalogue: the number of prices that were created, or of
    proposals."""

    source: str
    made: int
    proposed: Proposed


NOTHING = Proposed(0, 0, 0)


def load_shipped_catalogue(actor: Actor, *, again: bool = False) -> Brought:
    """Load the shipped catalogue into an installation that has none; else propose its changes.

    A catalogue of the same release is compared only once, unless `again`.
    """
    # The package imports an HTTP client that no other process needs.
    import genai_prices
    from genai_prices import data

    source = f"{CATALOGUE} {genai_prices.__version__}"
    if not catalogue_loaded():
        rows = add_own_prices(convert_catalogue(data.providers).rows)
        return Brought(source, load_catalogue(actor, rows, source), NOTHING)
    if _is_known(source) and not again:
        return Brought(source, 0, NOTHING)
    rows = add_own_prices(convert_catalogue(data.providers).rows)
    return Brought(source, 0, propose_catalogue(actor, rows, source))


def _is_known(source: str) -> bool:
    """Return whether this catalogue, and each price of our own, was already compared."""
    priced = Price.objects.filter(model__in=own_models()).values_list("model", flat=True)
    proposed = PriceProposal.objects.filter(model__in=own_models()).values_list("model", flat=True)
    if not own_models() <= {*priced, *proposed}:
        return False
    return (
        PriceVersion.objects.filter(source=source).exists()
        or PriceProposal.objects.filter(source=source).exists()
    )
