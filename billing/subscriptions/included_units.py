"""Units of a meter that a subscription plan includes per month, and the part of a charge that they
pay.

An allowance is a number of units of one meter, for a set of models. At its admission a request
takes the most units that it may need, and returns the unused ones at its end. So never more units
are used than included, however many requests run concurrently. The units pay the request's price
less the price of the remaining units, each rounded once. Remaining units are charged at the price
book, whose tiers count the whole request."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from billing.currency.money import round_half_even
from billing.prices.meters import FALLBACKS, TOKEN_METERS, Way, find_meter
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM, UNITS_PER_RATE, CostLines, PriceVersion, price_parts

UNITS_MAX: Final = 10**15
"""The most units of a meter that a month can include."""
TERMS_MAX: Final = 20
MODELS_MAX: Final = 20

_DENOMINATOR: Final = UNITS_PER_RATE * PPM * PPM


UnitKind = tuple[str, tuple[str, ...]]
"""The key of a unit term: a meter, and models by name or pattern."""


class UnitTerm(NamedTuple):
    """A monthly number of units of a meter with its variants. `models` are sorted names or
    patterns, () = every model."""

    meter: str
    models: tuple[str, ...]
    units: int

    @property
    def kind(self) -> UnitKind:
        """Return the key of the term. A plan has one term per key."""
        return self.meter, self.models


class Allowance(NamedTuple):
    """The units of an organisation's month. `id` is the id of their row."""

    id: int
    meter: str
    models: tuple[str, ...]


class Paid(NamedTuple):
    """The part of a charge that included units pay: its amount in nano, and the units of each
    meter."""

    nano: int
    units: Mapping[str, int]

    def of_each(self, held: Iterable[str]) -> tuple[int, ...]:
        """Return the used units of each held meter, in the order of the hold."""
        return tuple(self.units.get(meter, 0) for meter in held)


NOTHING_PAID: Final = Paid(0, {})


def applicable(allowances: Iterable[Allowance], model: str) -> dict[str, Allowance]:
    """Return the allowance for a request to a model, by meter: the first one that covers the
    model."""
    by_meter: dict[str, Allowance] = {}
    for one in allowances:
        if not one.models or any(matches(pattern, model) for pattern in one.models):
            by_meter.setdefault(one.meter, one)
    return by_meter


def wanted_units(ways: Iterable[Way], meters: Iterable[str]) -> dict[str, int]:
    """Return the most units of these meters that a request may need, whichever way it is billed."""
    wanted = dict.fromkeys(meters, 0)
    for way in ways:
        counts = dict.fromkeys(wanted, 0)
        for bound in way:
            for name in {_counts_to(meter, counts) for meter in bound.meters}:
                if name is not None:
                    counts[name] += bound.most
        for name, count in counts.items():
            wanted[name] = max(wanted[name], count)
    return {name: count for name, count in wanted.items() if count}


def beyond_nano(ways: Iterable[Way], meters: Iterable[str], version: PriceVersion) -> int:
    """Return the most that a request may cost in addition to its included units. These cover
    everything on `meters`; other meters are charged at the highest rate of any tier."""
    included = frozenset(meters)
    tables = (version.rates, *(tier.rates for tier in version.tiers))
    most = 0
    for way in ways:
        total = 0
        for bound in way:
            others = [name for name in bound.meters if _counts_to(name, included) is None]
            rates = [
                table[name] * (version.token_ppm if name in TOKEN_METERS else PPM)
                for table in tables
                for name in others
                if name in table
            ]
            total += bound.most * max(rates, default=0)
        most = max(most, total)
    return -(-most * version.multiplier_ppm // _DENOMINATOR)


def paid_by_units(
    parts: Sequence[tuple[Mapping[str, int], PriceVersion]], held: Mapping[str, int]
) -> Paid:
    """Return how much a request's held units pay of its parts (quantities, price version). Without
    a price they pay nothing."""
    cost = price_parts(parts)
    if not isinstance(cost, CostLines):
        return NOTHING_PAID
    left, rest = dict(held), 0
    for line in cost.lines:
        name = _counts_to(line.meter, left)
        taken = 0 if name is None else min(left[name], line.quantity)
        if name is not None:
            left[name] -= taken
        rate = line.rate_nano_per_million * line.multiplier_ppm * line.condition_ppm
        rest += (line.quantity - taken) * rate
    used = {name: count - left[name] for name, count in held.items() if count > left[name]}
    rest_nano = round_half_even(rest, _DENOMINATOR)
    return Paid(cost.total_nano - rest_nano if used else 0, used)


def _counts_to(meter: str, included: Container[str]) -> str | None:
    """Return the included meter that a unit of `meter` counts to: the meter itself, else the one
    whose rate it falls back to (cached input counts as input). None if there is none."""
    name: str | None = find_meter(meter).name
    while name is not None and name not in included:
        name = FALLBACKS.get(name)
    return name


def kept_back(charge_nano: int, removed: Iterable[tuple[int, int]]) -> int:
    """Return the charge of a plan change (below 0: a refund) after used units. `removed` has
    (`less`, `unused`) per term: the units that are no longer included, and the unused ones. The
    refund shrinks by the largest used share of any term, rounded against the customer."""
    if charge_nano >= 0:
        return charge_nano
    back_nano = -charge_nano
    kept_nano = max(
        (-(-back_nano * (less - min(unused, less)) // less) for less, unused in removed if less),
        default=0,
    )
    return kept_nano - back_nano
