"""What a request costs: quantities times rates, exact, rounded once.

    charge = Σ quantity × rate × multiplier

as exact rationals, rounded half-even to 1 nano at the very end (docs/promises.md, "Books").
Rates are integers of nano per million units and the multiplier is in parts per million, so the sum
is one integer over 10¹² and no fraction is ever built on the way.

Tiers. A tier is reached when *all* input tokens of the request, cached ones included, are strictly
more than `input_over`. A reached tier lays its rates over those below it; a meter that it does not
name keeps its rate. In a *whole* tier the entire request is priced so; in a *marginal* tier only
what stands beyond the threshold: the input is counted in the order of the prompt (the cached prefix
first, see METERS), and output comes after all input. A version's tiers share one mode.

A quantity on a meter without a rate is never free by accident: the result is Unpriced, and the
caller quarantines the row (I14).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from billing.rules.meters import FALLBACKS, INPUT_TOKEN_METERS, PLAIN_OF, find_meter
from billing.rules.money import INT64_MAX, round_half_even

UNITS_PER_RATE: Final = 1_000_000
PPM: Final = 1_000_000

_DENOMINATOR: Final = UNITS_PER_RATE * PPM
_INPUT_TOKENS: Final = frozenset(INPUT_TOKEN_METERS)

TierMode = Literal["whole", "marginal"]
Rates = Mapping[str, int]


class PriceInvalid(ValueError):
    """A stored price that cannot be used; the message names the place and what was expected."""


class CostLine(NamedTuple):
    """One meter of a charge; a marginal tier gives one line for each side of its threshold."""

    meter: str
    quantity: int
    rate_nano_per_million: int
    multiplier_ppm: int

    @property
    def amount_nano(self) -> Fraction:
        """The exact, unrounded part of this line in nano."""
        return Fraction(
            self.quantity * self.rate_nano_per_million * self.multiplier_ppm, _DENOMINATOR
        )


class CostLines(NamedTuple):
    """A charge: its lines, and its total in nano, rounded once over the exact sum of the lines."""

    lines: tuple[CostLine, ...]
    total_nano: int


class Unpriced(NamedTuple):
    """No charge can be named (I14): the row is quarantined and its hold kept.

    `reason` is "unpriced_meter" (`meters` have a quantity and no rate), "negative_quantity"
    (`meters` came out below zero) or "out_of_range" (the sum does not fit 64 bits).
    """

    reason: Literal["unpriced_meter", "negative_quantity", "out_of_range"]
    meters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that hold above `input_over` input tokens, fallbacks already filled in."""

    input_over: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """The rates of one model in one span of time, ready for use; made by `from_stored`.

    `rates` and every tier's rates are complete: lower tiers and fallback meters are already laid
    in, so that pricing is one look-up per meter. `tiers` ascend. `multiplier_ppm` is the plan's, in
    parts per million; it enters the exact sum, which is rounded once.
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    mode: TierMode = "whole"
    multiplier_ppm: int = PPM
    _dearest: dict[tuple[str, ...], str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def dearest_of(self, meters: tuple[str, ...]) -> str:
        """The meter that is the dearest in any tier; the first of equals. Remembered, for every
        request asks the same."""
        meter = self._dearest.get(meters)
        if meter is None:
            tables = (self.rates, *(tier.rates for tier in self.tiers))
            meter = max(meters, key=lambda name: max(rates.get(name, -1) for rates in tables))
            self._dearest[meters] = meter
        return meter

    def multiplied(self, multiplier_ppm: int) -> "PriceVersion":
        """The same rates for an organisation whose plan has this multiplier."""
        return replace(self, multiplier_ppm=multiplier_ppm)

    def shown_rates(self) -> Rates:
        """The rates below the first tier with the plan's multiplier in them, for eyes: each is
        rounded half-even to 1 nano per million units, which a charge never is."""
        if self.multiplier_ppm == PPM:
            return self.rates
        return {
            meter: round_half_even(rate * self.multiplier_ppm, PPM)
            for meter, rate in self.rates.items()
        }

    @classmethod
    def from_stored(cls, stored: Mapping[str, object]) -> "PriceVersion":
        """Build from the stored form, all rates integer nano per million units:

            {"meters": {"in_text": 150000000, …},
             "tiers": [{"input_over": 200000, "mode": "whole" | "marginal", "meters": {…}}]}

        `tiers` may be absent. Raises PriceInvalid (MeterUnknown for a name that is no meter).
        """
        _refuse_unknown(stored, {"meters", "tiers"}, "price")
        stated = _read_meters(stored.get("meters"), "meters")
        tiers: list[Tier] = []
        modes: set[TierMode] = set()
        laid = dict(stated)
        for index, raw in enumerate(_read_list(stored.get("tiers", []))):
            where = f"tiers[{index}]"
            _refuse_unknown(raw, {"input_over", "mode", "meters"}, where)
            input_over = _read_integer(raw.get("input_over"), f"{where}.input_over")
            if tiers and input_over <= tiers[-1].input_over:
                raise PriceInvalid(f"{where}.input_over: expected more than the tier before it")
            mode = raw.get("mode", "whole")
            if mode not in ("whole", "marginal"):
                raise PriceInvalid(f'{where}.mode: expected "whole" or "marginal", got {mode!r}')
            modes.add(mode)
            laid.update(_read_meters(raw.get("meters"), f"{where}.meters"))
            tiers.append(Tier(input_over, _with_fallbacks(laid)))
        if len(modes) > 1:
            raise PriceInvalid("tiers: expected one mode for all tiers of a version")
        return cls(_with_fallbacks(stated), tuple(tiers), modes.pop() if modes else "whole")


def price(quantities: Mapping[str, int], version: PriceVersion) -> CostLines | Unpriced:
    """The charge of `quantities` (meter: units, none of them counted twice) at `version`.

    Meters with a quantity of zero have no line. The total is in nano, rounded half-even once.
    Never raises for what an upstream may report: that is Unpriced.
    """
    multiplier_ppm = version.multiplier_ppm
    if version.tiers:
        reached = _reached(quantities, version)
        if reached and version.mode == "marginal":
            return _price_marginal(quantities, version, reached)
        rates = reached[-1].rates if reached else version.rates
    else:
        rates = version.rates
    # The path of nearly every request: one integer sum, one division.
    total = 0
    lines = []
    for meter, quantity in quantities.items():
        if quantity > 0:
            rate = rates.get(meter)
            if rate is None:
                return _unpriced(quantities, rates)
            total += quantity * rate
            lines.append(CostLine(meter, quantity, rate, multiplier_ppm))
        elif quantity:
            return _unpriced(quantities, rates)
    return _round(lines, total * multiplier_ppm)


def total_of(quantities: Mapping[str, int], version: PriceVersion) -> int | Unpriced:
    """`price(…).total_nano` without its lines, for who prices millions of rows."""
    rates = version.rates
    if version.tiers:
        reached = _reached(quantities, version)
        if reached:
            if version.mode == "marginal":
                cost = _price_marginal(quantities, version, reached)
                return cost.total_nano if isinstance(cost, CostLines) else cost
            rates = reached[-1].rates
    total = 0
    for meter, quantity in quantities.items():
        if quantity > 0:
            rate = rates.get(meter)
            if rate is None:
                return _unpriced(quantities, rates)
            total += quantity * rate
        elif quantity:
            return _unpriced(quantities, rates)
    nano = round_half_even(total * version.multiplier_ppm, _DENOMINATOR)
    if nano > INT64_MAX:
        return Unpriced("out_of_range", tuple(meter for meter, used in quantities.items() if used))
    return nano


def saved_by_cache(quantities: Mapping[str, int], version: PriceVersion) -> int:
    """How much less the cached input of `quantities` costs than the same tokens as plain input, in
    nano, rounded half-even once; below 0 where cached input is the dearer one.

    Each token stays where it is in the prompt, and so in its tier. 0 for what has no price.
    """
    if PLAIN_OF.keys().isdisjoint(quantities):
        return 0
    cached = {meter: used for meter in PLAIN_OF if (used := quantities.get(meter, 0)) > 0}
    if not cached:
        return 0
    if not version.tiers:
        difference = _cheaper(cached, version.rates)
    else:
        reached = _reached(quantities, version)
        if reached and version.mode == "marginal":
            as_plain = replace(
                version,
                rates=_as_plain(version.rates),
                tiers=tuple(replace(tier, rates=_as_plain(tier.rates)) for tier in version.tiers),
            )
            costs = [price(quantities, either) for either in (as_plain, version)]
            sums = [_exact(cost) for cost in costs if isinstance(cost, CostLines)]
            difference = sums[0] - sums[1] if len(sums) == 2 else 0
        else:
            difference = _cheaper(cached, reached[-1].rates if reached else version.rates)
    return round_half_even(difference * version.multiplier_ppm, _DENOMINATOR)


def _cheaper(cached: Mapping[str, int], rates: Rates) -> int:
    """By so much, in nano per million units times units, cached input is cheaper than plain one."""
    plain = _as_plain(rates)
    return sum(used * (plain[meter] - rates[meter]) for meter, used in cached.items()
               if meter in rates)  # fmt: skip


def _as_plain(rates: Rates) -> Rates:
    """The same rates with cached input at those of plain input, where these are known."""
    plain = {meter: rates[of] for meter, of in PLAIN_OF.items() if of in rates and meter in rates}
    return {**rates, **plain}


def _exact(cost: CostLines) -> int:
    return sum(line.quantity * line.rate_nano_per_million for line in cost.lines)


def reached_tier(quantities: Mapping[str, int], version: PriceVersion) -> int:
    """How many tiers the input tokens of `quantities` reach; 0 is below the first."""
    return len(_reached(quantities, version)) if version.tiers else 0


def price_bound(quantities: Mapping[str, int], version: PriceVersion) -> CostLines | Unpriced:
    """The most that any part of `quantities` can cost: what a hold must cover.

    `quantities` are upper bounds. Every meter is priced at the dearest rate among the tiers that
    the request could end in, for a tier may also be cheaper than what lies below it.
    """
    if not version.tiers:
        return price(quantities, version)
    candidates = [version.rates, *(tier.rates for tier in _reached(quantities, version))]
    return price(
        quantities, PriceVersion(_dearest_rates(candidates), (), "whole", version.multiplier_ppm)
    )


def total_bound(quantities: Mapping[str, int], version: PriceVersion) -> int | Unpriced:
    """`price_bound(…).total_nano` without its lines."""
    if not version.tiers:
        return total_of(quantities, version)
    cost = price_bound(quantities, version)
    return cost.total_nano if isinstance(cost, CostLines) else cost


def dearest(versions: Sequence[PriceVersion]) -> PriceVersion:
    """A version by whose `price_bound` nothing costs less than by any of `versions` (at least one).

    For the hold of a request that may end at one of several prices. Its tiers stand wherever any
    of the versions has one, each with the dearest rate that could hold there.
    """
    if len(versions) == 1:
        return versions[0]
    steps = sorted({tier.input_over for version in versions for tier in version.tiers})
    tiers = tuple(
        Tier(step, _dearest_rates([_rates_above(version, step) for version in versions]))
        for step in steps
    )
    return PriceVersion(
        _dearest_rates([version.rates for version in versions]),
        tiers,
        "whole",
        max(version.multiplier_ppm for version in versions),
    )


def _rates_above(version: PriceVersion, input_over: int) -> Rates:
    rates = version.rates
    for tier in version.tiers:
        if tier.input_over <= input_over:
            rates = tier.rates
    return rates


def _dearest_rates(tables: Sequence[Rates]) -> Rates:
    rates: dict[str, int] = {}
    for table in tables:
        for meter, rate in table.items():
            if rate > rates.get(meter, -1):
                rates[meter] = rate
    return rates


def _reached(quantities: Mapping[str, int], version: PriceVersion) -> tuple[Tier, ...]:
    input_tokens = 0
    for meter, quantity in quantities.items():
        if meter in _INPUT_TOKENS:
            input_tokens += quantity
    return tuple(tier for tier in version.tiers if input_tokens > tier.input_over)


def _price_marginal(
    quantities: Mapping[str, int],
    version: PriceVersion,
    reached: tuple[Tier, ...],
) -> CostLines | Unpriced:
    top, multiplier_ppm = reached[-1].rates, version.multiplier_ppm
    if any(quantity < 0 for quantity in quantities.values()):
        return _unpriced(quantities, top)
    floors = [0, *(tier.input_over for tier in reached)]
    ceilings = [*floors[1:], sum(quantities.get(meter, 0) for meter in INPUT_TOKEN_METERS)]
    bands = [version.rates, *(tier.rates for tier in reached)]
    lines: list[CostLine] = []
    position = 0
    for meter in INPUT_TOKEN_METERS:
        end = position + quantities.get(meter, 0)
        for floor, ceiling, rates in zip(floors, ceilings, bands, strict=True):
            inside = min(end, ceiling) - max(position, floor)
            if inside > 0:
                # A meter that only the tier names has no rate for what stands beneath it.
                rate = rates.get(meter)
                if rate is None:
                    return _unpriced(quantities, rates)
                lines.append(CostLine(meter, inside, rate, multiplier_ppm))
        position = end
    for meter, quantity in quantities.items():
        if quantity and meter not in _INPUT_TOKENS:
            rate = top.get(meter)
            if rate is None:
                return _unpriced(quantities, top)
            lines.append(CostLine(meter, quantity, rate, multiplier_ppm))
    total = sum(line.quantity * line.rate_nano_per_million for line in lines)
    return _round(lines, total * multiplier_ppm)


def _round(lines: list[CostLine], numerator: int) -> CostLines | Unpriced:
    total = round_half_even(numerator, _DENOMINATOR)
    if total > INT64_MAX:
        return Unpriced("out_of_range", tuple(line.meter for line in lines))
    return CostLines(tuple(lines), total)


def _unpriced(quantities: Mapping[str, int], rates: Rates) -> Unpriced:
    negative = tuple(meter for meter, quantity in quantities.items() if quantity < 0)
    if negative:
        return Unpriced("negative_quantity", negative)
    missing = (meter for meter, quantity in quantities.items() if quantity and meter not in rates)
    return Unpriced("unpriced_meter", tuple(missing))


def _with_fallbacks(stated: Rates) -> Rates:
    rates = dict(stated)
    for meter, fallback in FALLBACKS.items():
        if meter not in stated and fallback in stated:
            rates[meter] = stated[fallback]
    return rates


def _read_meters(raw: object, where: str) -> dict[str, int]:
    if not isinstance(raw, Mapping):
        raise PriceInvalid(f"{where}: expected an object of meters, got {raw!r}")
    rates: dict[str, int] = {}
    for name, rate in raw.items():
        find_meter(name)
        rates[name] = _read_integer(rate, f"{where}.{name}")
    return rates


def _read_list(raw: object) -> list[Mapping[str, object]]:
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise PriceInvalid(f"tiers: expected a list of objects, got {raw!r}")
    return raw


def _read_integer(raw: object, where: str) -> int:
    if type(raw) is not int or raw < 0:
        raise PriceInvalid(f"{where}: expected an integer that is not negative, got {raw!r}")
    return raw


def _refuse_unknown(raw: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(raw) - known)
    if unknown:
        raise PriceInvalid(f"{where}: unknown field {unknown[0]!r}")
