"""The catalogue that the release ships: in force at a fresh installation, proposals afterwards.

It comes with the code; nothing is fetched (P24).
"""

from typing import NamedTuple

from accounts.access.actors import Actor
from billing.models import Price, PriceProposal, PriceVersion
from billing.prices.catalogue import convert_catalogue
from billing.prices.catalogue_additions import add_own_prices, own_models
from billing.prices.prices import CATALOGUE, catalogue_loaded, load_catalogue
from billing.prices.proposals import Proposed, propose_catalogue


class Brought(NamedTuple):
    """What the shipped catalogue came to: prices made at once, or proposals."""

    source: str
    made: int
    proposed: Proposed


NOTHING = Proposed(0, 0, 0)


def load_shipped_catalogue(actor: Actor, *, again: bool = False) -> Brought:
    """Load the shipped catalogue into an installation that has none; else propose what it changes.

    A catalogue of the same release is compared once, unless `again`.
    """
    # The package brings an HTTP client along that no other process needs.
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
    """Return whether this catalogue was compared, and each price of our own with it."""
    priced = Price.objects.filter(model__in=own_models()).values_list("model", flat=True)
    proposed = PriceProposal.objects.filter(model__in=own_models()).values_list("model", flat=True)
    if not own_models() <= {*priced, *proposed}:
        return False
    return (
        PriceVersion.objects.filter(source=source).exists()
        or PriceProposal.objects.filter(source=source).exists()
    )
