"""Units of a meter that a subscription plan includes in a month, and what of a request they pay.

An allowance is so many units of one meter, for a set of models. A request takes at its admission as
many as it may come to, and gives back at its end what it did not use; so no more is ever used than
is included, however many run at once. What they pay is worth what it would have been charged: the
request's price, less the price of what is left to pay, each rounded once. What is left is at the
prices of the price book, whose tiers count all of the request.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from billing.currency.money import round_half_even
from billing.prices.meters import FALLBACKS, TOKEN_METERS, find_meter
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM, UNITS_PER_RATE, CostLines, PriceVersion, price_parts

UNITS_MAX: Final = 10**15
"""The most units of a meter that a month includes."""
TERMS_MAX: Final = 20
MODELS_MAX: Final = 20

_DENOMINATOR: Final = UNITS_PER_RATE * PPM * PPM


UnitKind = tuple[str, tuple[str, ...]]
"""What units are of: a meter, and models by name or pattern."""


class UnitTerm(NamedTuple):
    """So many units a month of a meter, its variants included. `models` are names or patterns in
    their order, () = every model."""

    meter: str
    models: tuple[str, ...]
    units: int

    @property
    def kind(self) -> UnitKind:
        """A plan has one term of a kind."""
        return self.meter, self.models


class Allowance(NamedTuple):
    """The units of a month that an organisation has, by the id of their row."""

    id: int
    meter: str
    models: tuple[str, ...]


class Bound(NamedTuple):
    """At most `most` units of a request, which may end on any of these meters."""

    meters: tuple[str, ...]
    most: int


Way = Sequence[Bound]
"""One of the ways in which a request may be billed."""


class Paid(NamedTuple):
    """What included units pay of a charge: its worth in nano, and the units of each meter."""

    nano: int
    units: Mapping[str, int]

    def of_each(self, held: Iterable[str]) -> tuple[int, ...]:
        """The units of each meter that is held, in the order of the hold."""
        return tuple(self.units.get(meter, 0) for meter in held)


NOTHING_PAID: Final = Paid(0, {})


def applicable(allowances: Iterable[Allowance], model: str) -> dict[str, Allowance]:
    """By meter, the allowance that a request for a model takes from: the first that is for it."""
    by_meter: dict[str, Allowance] = {}
    for one in allowances:
        if not one.models or any(matches(pattern, model) for pattern in one.models):
            by_meter.setdefault(one.meter, one)
    return by_meter


def wanted_units(ways: Iterable[Way], meters: Iterable[str]) -> dict[str, int]:
    """Return how many units of these meters a request may come to, whichever way it is billed."""
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
    """The most that a request may cost beyond what is included, when it has taken all that it may
    come to of these meters: its units are then on others, at the dearest rate of any tier."""
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
    """What the units that a request holds pay of its parts, each with its quantities and the
    version that gives its price; nothing of what has no price."""
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
    """Of which of these units one on this meter is: of its own, else of those of the meter whose
    rate it has where it has none, as cached input of input."""
    name: str | None = find_meter(meter).name
    while name is not None and name not in included:
        name = FALLBACKS.get(name)
    return name


def kept_back(charge_nano: int, removed: Iterable[tuple[int, int]]) -> int:
    """What a change of plan is charged (below 0: gives back) where units are removed: of each
    (`less`, `unused`) so many fewer are included, of which so many are unused. What was used of the
    most used one is taken off what goes back, in proportion; rounded against who gets it."""
    if charge_nano >= 0:
        return charge_nano
    back_nano = -charge_nano
    kept_nano = max(
        (-(-back_nano * (less - min(unused, less)) // less) for less, unused in removed if less),
        default=0,
    )
    return kept_nano - back_nano
