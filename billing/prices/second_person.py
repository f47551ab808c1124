"""Which changes of prices need a second person: cuts by more than half."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db.models import Q

from billing.models import Price, PriceKind, PriceProposal
from billing.prices.conditions import PriceKey
from billing.prices.name_patterns import matches
from billing.prices.prices import ListedPrice, key_of, list_prices, prices_in_force
from billing.prices.rate_changes import rate_changes
from lib import clock

_TOGETHER = dt.timedelta(hours=24)
"""Cuts within it count as one."""
Charges = Mapping[str, Sequence[ListedPrice]]
"""Present and past prices for customers, by name or pattern."""


def needs_two(row: PriceProposal, charges: Charges | None = None) -> bool:
    """Return whether a rate that customers pay falls by more than half within 24 hours, or ends
    without a replacement. Callers with many proposals pass all `charges`."""
    if row.kind != PriceKind.CHARGE:
        return False
    if charges is None:
        charges = _charges_of(row.model)
    now, own = clock.now(), key_of(row)
    at = max(row.valid_from or now, now)
    before = [
        row.replaces or _customer_rates(own, charges, at),
        _customer_rates(own, charges, at - _TOGETHER),
    ]
    return any(fell_by_more_than_half(rates, row.rates) for rates in before)


def fell_by_more_than_half(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> bool:
    """Return whether any rate falls to less than half of its value, or ends. Such a price cut needs
    two persons. A first price is not a cut."""
    if before is None:
        return False
    return any(
        change.before and 2 * (change.after or 0) < change.before
        for change in rate_changes(before, after)
    )


def deep_cuts(key: PriceKey) -> set[int]:
    """Return the ids of a model's future versions that cut the price by more than half."""
    if key.kind != PriceKind.CHARGE:
        return set()
    charges, now = _charges_of(key.model), clock.now()
    deep = set()
    for version in charges.get(key.model, ()):
        if version.valid_from <= now:
            continue
        instants = (version.valid_from - dt.timedelta.resolution, version.valid_from - _TOGETHER)
        before = [_customer_rates(version.key, charges, at) for at in instants]
        if any(fell_by_more_than_half(rates, version.rates) for rates in before):
            deep.add(version.version_id)
    return deep


def charges_by_name(prices: Iterable[ListedPrice]) -> Charges:
    """Return prices, which are in the order of their names, by name."""
    return {name: list(of_it) for name, of_it in groupby(prices, lambda listed: listed.model)}


def _charges_of(model: str) -> Charges:
    named = Price.objects.filter(Q(model=model) | Q(model__contains="*"), kind=PriceKind.CHARGE)
    return charges_by_name(list_prices(named.values_list("model", flat=True)))


def _customer_rates(own: PriceKey, charges: Charges, at: dt.datetime) -> Mapping[str, Any] | None:
    """Return the rates that customers pay at an instant in place of a price: its own, or else those
    of the whole day, of the plain tier, of any region, or of a pattern."""
    patterns = [name for name in charges if "*" in name and matches(name, own.model)]
    patterns.sort(key=lambda name: (-len(name), name))
    for name in (own.model, *patterns):
        held = prices_in_force(charges.get(name, ()), at)
        for key in (
            own,
            PriceKey(name, service_tier=own.service_tier, region=own.region),
            PriceKey(name, region=own.region),
            PriceKey(name, service_tier=own.service_tier),
            PriceKey(name),
        ):
            if key in held:
                return held[key].rates
    return None
