"""The charge of a request: quantities times rates, exact, rounded once.

    charge = Σ quantity × rate × multiplier

as exact rationals, rounded half-even to 1 nano at the very end (docs/promises.md, "Books").
Rates are integers of nano per million units and the multiplier is in parts per million, so the sum
is one integer over 10¹² and no fraction is ever built on the way.

Tiers. A tier is reached when *all* input tokens of the request, cached ones included, are strictly
more than `input_over`. The rates of a reached tier replace those of lower tiers; a meter without a
rate in the tier keeps its rate. A *whole* tier prices the entire request. A *marginal* tier only
prices the tokens beyond its threshold: the input counts in the order of the prompt (the cached
prefix first, see METERS), and output comes after all input. A version's tiers share one mode.

A quantity on a meter without a rate is never free by accident: the result is Unpriced, and the
caller quarantines the row (I14).

Conditions. A version may have other rates for requests that are served differently: at another
speed, in another place, as a batch (dialects/usage/price_conditions.py lists the kinds). A
condition either replaces rates or multiplies those of language-model tokens; `under` returns the
version that applies.

Parts. A request that several models or sampling steps answered is priced part by part. Each part
has its own version, and its own input decides its tier; the sum of all parts is rounded once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

from billing.currency.money import INT64_MAX, round_half_even
from billing.prices.meters import FALLBACKS, INPUT_TOKEN_METERS, PLAIN_OF, TOKEN_METERS, find_meter
from dialects.usage.price_conditions import KINDS, OF_VERSIONS, VALUE

UNITS_PER_RATE: Final = 1_000_000
PPM: Final = 1_000_000

_DENOMINATOR: Final = UNITS_PER_RATE * PPM
_INPUT_TOKENS: Final = frozenset(INPUT_TOKEN_METERS)
_OF_CONDITION: Final = {"kind", "value", "meters", "tiers", "multiplier_ppm", "source", "date"}

TierMode = Literal["whole", "marginal"]
Rates = Mapping[str, int]


class PriceInvalid(ValueError):
    """A stored price is invalid; the message says where, and what was expected."""


class CostLine(NamedTuple):
    """One meter of a charge. A marginal tier gives one line for each side of its threshold."""

    meter: str
    quantity: int
    rate_nano_per_million: int
    multiplier_ppm: int
    condition_ppm: int = PPM

    @property
    def amount_nano(self) -> Fraction:
        """Return the exact, unrounded amount of this line in nano."""
        return Fraction(
            self.quantity * self.rate_nano_per_million * self.multiplier_ppm * self.condition_ppm,
            _DENOMINATOR * PPM,
        )


class CostLines(NamedTuple):
    """A charge: its lines, and its total in nano, rounded once over the exact sum of the lines."""

    lines: tuple[CostLine, ...]
    total_nano: int


class Unpriced(NamedTuple):
    """The charge is unknown (I14): the row is quarantined and its hold kept.

    `reason` is "unpriced_meter" (`meters` have a quantity and no rate), "negative_quantity"
    (`meters` have a quantity below zero) or "out_of_range" (the sum does not fit 64 bits).
    """

    reason: Literal["unpriced_meter", "negative_quantity", "out_of_range"]
    meters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that apply above `input_over` input tokens. Fallback rates are already filled in."""

    input_over: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Condition:
    """The prices of a version for requests in which `kind` is `value`: either own `rates` and
    `tiers`, or the version's with a multiplier for token rates. `source` is where the price is
    published, `date` when it was read there."""

    kind: str
    value: str
    rates: Rates | None = None
    tiers: tuple[Tier, ...] = ()
    mode: TierMode = "whole"
    token_ppm: int = PPM
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """The rates of one model in one span of time, ready for use; built by `from_stored`.

    The rates of the version and of every tier are complete: lower tiers and fallback meters are
    filled in, so that pricing needs one look-up per meter. `tiers` ascend. `multiplier_ppm` is the
    plan's multiplier in parts per million; it is part of the exact sum, which is rounded once.
    `token_ppm` is the multiplier of conditions and applies to token rates only.
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    mode: TierMode = "whole"
    multiplier_ppm: int = PPM
    conditions: tuple[Condition, ...] = ()
    token_ppm: int = PPM
    _dearest: dict[tuple[str, ...], str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def dearest_of(self, meters: tuple[str, ...]) -> str:
        """Return the meter with the highest rate in any tier; the first of equal ones. The result
        is cached, because every request needs it."""
        meter = self._dearest.get(meters)
        if meter is None:
            tables = (self.rates, *(tier.rates for tier in self.tiers))
            meter = max(meters, key=lambda name: max(rates.get(name, -1) for rates in tables))
            self._dearest[meters] = meter
        return meter

    def multiplied(self, multiplier_ppm: int) -> "PriceVersion":
        """Return the same rates with a plan's multiplier."""
        return replace(self, multiplier_ppm=multiplier_ppm)

    def under(self, held: Mapping[str, str]) -> "PriceVersion | None":
        """Return the version that applies under these conditions, {kind: value}. Conditions without
        prices change nothing. Return None if two conditions replace the rates, or if the
        multipliers result in a fraction of a part per million."""
        if not held or not self.conditions:
            return self
        version, replaced = self, False
        for condition in self.conditions:
            if held.get(condition.kind) != condition.value:
                continue
            if condition.rates is not None:
                if replaced:
                    return None
                replaced = True
                version = replace(
                    version,
                    rates=condition.rates,
                    tiers=condition.tiers,
                    mode=condition.mode,
                )
            token_ppm = version.token_ppm * condition.token_ppm
            if token_ppm % PPM:
                return None
            version = replace(version, token_ppm=token_ppm // PPM)
        return replace(version, conditions=())

    def stored(self) -> dict[str, object]:
        """Return the rates in the form of `from_stored`, without conditions and multipliers."""
        tiers = [
            {"input_over": tier.input_over, "mode": self.mode, "meters": dict(tier.rates)}
            for tier in self.tiers
        ]
        return {"meters": dict(self.rates), "tiers": tiers}

    def has_terms_for(self, kind: str, value: str) -> bool:
        """Return whether the version has prices where `kind` is `value`."""
        return any(one.kind == kind and one.value == value for one in self.conditions)

    def bound_under(self, asked: Mapping[str, str]) -> "PriceVersion":
        """Return the version for the size of a hold. It costs at least as much as the version under
        any subset of the requested conditions."""
        kinds = [kind for kind in asked if self.has_terms_for(kind, asked[kind])]
        if not kinds:
            return self
        granted: list[list[str]] = [[]]
        for kind in kinds:
            granted += [[*some, kind] for some in granted]
        versions = [self.under({kind: asked[kind] for kind in some}) for some in granted]
        return dearest([version for version in versions if version is not None])

    def visible_rates(self) -> Rates:
        """Return the rates below the first tier with the plan's multiplier, for display. Each is
        rounded half-even to 1 nano per million units; a charge never is."""
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
             "tiers": [{"input_over": 200000, "mode": "whole" | "marginal", "meters": {…}}],
             "conditions": [
                {"kind": "speed", "value": "fast", "meters": {…}, "tiers": […],
                 "source": "genai-prices 0.2.3", "date": "2026-11-24"},
                {"kind": "inference_geo", "value": "us", "multiplier_ppm": 1100000, …}]}

        `tiers` and `conditions` may be absent. The meters of a condition replace those of the
        version one by one; its tiers replace all tiers of the version. Raises PriceInvalid, and
        MeterUnknown for an unknown meter.
        """
        _refuse_unknown(stored, {"meters", "tiers", "conditions"}, "price")
        rates = _read_meters(stored.get("meters"), "meters")
        tiers, mode = _read_tiers(rates, stored.get("tiers", []), "")
        conditions = _read_conditions(rates, stored.get("conditions", []))
        return cls(_add_fallbacks(rates), tiers, mode, conditions=conditions)


def price(quantities: Mapping[str, int], version: PriceVersion) -> CostLines | Unpriced:
    """Return the charge of `quantities` (meter: units, no unit counted twice) at `version`.

    Meters with a quantity of zero have no line. The total is in nano, rounded half-even once.
    Whatever an upstream reports, this never raises: it returns Unpriced.
    """
    multiplier_ppm = version.multiplier_ppm
    if version.token_ppm != PPM:
        return price_parts([(quantities, version)])
    if version.tiers:
        reached = _reached_tiers(quantities, version)
        if reached and version.mode == "marginal":
            return _price_marginal(quantities, version, reached)
        rates = reached[-1].rates if reached else version.rates
    else:
        rates = version.rates
    # Nearly every request takes this path: one integer sum, one division.
    total = 0
    lines = []
    for meter, quantity in quantities.items():
        if quantity > 0:
            rate = rates.get(meter)
            if rate is None:
                return _unpriced_meters(quantities, rates)
            total += quantity * rate
            lines.append(CostLine(meter, quantity, rate, multiplier_ppm))
        elif quantity:
            return _unpriced_meters(quantities, rates)
    return _round(lines, total * multiplier_ppm)


class StoredPart(NamedTuple):
    """One part of a request, as stored in its record: the quantities, the model ("" for the
    requested model), the conditions, and the version with its price."""

    meters: Mapping[str, int]
    version: PriceVersion
    conditions: Mapping[str, str]
    model: str


def stored_parts(
    pricing: Mapping[str, Any] | None, meters: Mapping[str, int], version: PriceVersion
) -> list[StoredPart]:
    """Return the charged parts of a record: its `meters` at its `version`, or the parts in
    `pricing`.

    Raises PriceInvalid if the version has no prices for a part's conditions.
    """
    rows = (pricing or {}).get("parts")
    if not rows:
        return [StoredPart(meters, version, {}, "")]
    parts = []
    for row in rows:
        conditions = row.get("conditions", {})
        if "rates" in row:
            read = PriceVersion.from_stored(row["rates"])
            at: PriceVersion | None = replace(
                read,
                multiplier_ppm=version.multiplier_ppm,
                token_ppm=row.get("token_ppm", PPM),
            )
        else:
            at = version.under(conditions)
        if at is None:
            raise PriceInvalid("the conditions of a part exclude each other")
        parts.append(StoredPart(row["meters"], at, conditions, row.get("model", "")))
    return parts


def price_parts(
    parts: Sequence[tuple[Mapping[str, int], PriceVersion]],
) -> CostLines | Unpriced:
    """Return the charge of a request in parts: each at its own version, the sum rounded once."""
    lines: list[CostLine] = []
    for quantities, version in parts:
        cost = price(quantities, replace(version, token_ppm=PPM))
        if not isinstance(cost, CostLines):
            return cost
        lines += [
            line._replace(condition_ppm=version.token_ppm)
            if line.meter in TOKEN_METERS and version.token_ppm != PPM
            else line
            for line in cost.lines
        ]
    numerator = sum(
        line.quantity * line.rate_nano_per_million * line.multiplier_ppm * line.condition_ppm
        for line in lines
    )
    return _round(lines, numerator, _DENOMINATOR * PPM)


def total_of_parts(
    parts: Sequence[tuple[Mapping[str, int], PriceVersion]],
) -> int | Unpriced:
    """Return `price_parts(…).total_nano` without computing the lines."""
    if len(parts) == 1:
        return total_of(*parts[0])
    cost = price_parts(parts)
    return cost.total_nano if isinstance(cost, CostLines) else cost


def total_of(quantities: Mapping[str, int], version: PriceVersion) -> int | Unpriced:
    """Return `price(…).total_nano` without computing the lines, for callers that price millions of
    rows."""
    if version.token_ppm != PPM:
        cost = price_parts([(quantities, version)])
        return cost.total_nano if isinstance(cost, CostLines) else cost
    rates = version.rates
    if version.tiers:
        reached = _reached_tiers(quantities, version)
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
                return _unpriced_meters(quantities, rates)
            total += quantity * rate
        elif quantity:
            return _unpriced_meters(quantities, rates)
    nano = round_half_even(total * version.multiplier_ppm, _DENOMINATOR)
    if nano > INT64_MAX:
        return Unpriced("out_of_range", tuple(meter for meter, used in quantities.items() if used))
    return nano


def saved_by_cache(quantities: Mapping[str, int], version: PriceVersion) -> int:
    """Return how much less the cached input of `quantities` costs than the same tokens as plain
    input, in nano, rounded half-even once. Below 0 if cached input costs more.

    Each token keeps its place in the prompt, and so its tier. Returns 0 without a price.
    """
    if PLAIN_OF.keys().isdisjoint(quantities):
        return 0
    cached = {meter: used for meter in PLAIN_OF if (used := quantities.get(meter, 0)) > 0}
    if not cached:
        return 0
    if not version.tiers:
        difference = _cheaper(cached, version.rates)
    else:
        reached = _reached_tiers(quantities, version)
        if reached and version.mode == "marginal":
            as_plain = replace(
                version,
                rates=_plain_rates(version.rates),
                tiers=tuple(
                    replace(tier, rates=_plain_rates(tier.rates)) for tier in version.tiers
                ),
            )
            costs = [price(quantities, either) for either in (as_plain, version)]
            sums = [_exact(cost) for cost in costs if isinstance(cost, CostLines)]
            difference = sums[0] - sums[1] if len(sums) == 2 else 0
        else:
            difference = _cheaper(cached, reached[-1].rates if reached else version.rates)
    return round_half_even(
        difference * version.multiplier_ppm * version.token_ppm, _DENOMINATOR * PPM
    )


def _cheaper(cached: Mapping[str, int], rates: Rates) -> int:
    """Return how much cheaper the cached input is than plain input, in nano per million units x
    units."""
    plain = _plain_rates(rates)
    return sum(used * (plain[meter] - rates[meter]) for meter, used in cached.items()
               if meter in rates)  # fmt: skip


def _plain_rates(rates: Rates) -> Rates:
    """Return the rates with cached input at the rate of plain input, where that rate is known."""
    plain = {meter: rates[of] for meter, of in PLAIN_OF.items() if of in rates and meter in rates}
    return {**rates, **plain}


def _exact(cost: CostLines) -> int:
    return sum(line.quantity * line.rate_nano_per_million for line in cost.lines)


def reached_tier(quantities: Mapping[str, int], version: PriceVersion) -> int:
    """Return how many tiers the input tokens of `quantities` reach; 0 is below the first."""
    return len(_reached_tiers(quantities, version)) if version.tiers else 0


def price_bound(quantities: Mapping[str, int], version: PriceVersion) -> CostLines | Unpriced:
    """Return the most that `quantities`, or any part of them, can cost: the size of a hold.

    `quantities` are upper bounds. Every meter is priced at its highest rate among the tiers that
    the request could reach, because a higher tier may also be cheaper.
    """
    if not version.tiers:
        return price(quantities, version)
    candidates = [version.rates, *(tier.rates for tier in _reached_tiers(quantities, version))]
    return price(
        quantities, replace(version, rates=_dearest_rates(candidates), tiers=(), mode="whole")
    )


def total_bound(quantities: Mapping[str, int], version: PriceVersion) -> int | Unpriced:
    """Return `price_bound(…).total_nano` without computing the lines."""
    if not version.tiers:
        return total_of(quantities, version)
    cost = price_bound(quantities, version)
    return cost.total_nano if isinstance(cost, CostLines) else cost


def dearest(versions: Sequence[PriceVersion]) -> PriceVersion:
    """Return a version whose `price_bound` is at least that of each of `versions` (one or more).

    It sizes the hold of a request that may be charged at one of several prices. It has every tier
    of the versions, each with the highest rate that could apply in it.
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
        token_ppm=max(version.token_ppm for version in versions),
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


def _reached_tiers(quantities: Mapping[str, int], version: PriceVersion) -> tuple[Tier, ...]:
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
        return _unpriced_meters(quantities, top)
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
                # A meter that only the tier has is not charged below its threshold.
                rate = rates.get(meter)
                if rate is None:
                    return _unpriced_meters(quantities, rates)
                lines.append(CostLine(meter, inside, rate, multiplier_ppm))
        position = end
    for meter, quantity in quantities.items():
        if quantity and meter not in _INPUT_TOKENS:
            rate = top.get(meter)
            if rate is None:
                return _unpriced_meters(quantities, top)
            lines.append(CostLine(meter, quantity, rate, multiplier_ppm))
    total = sum(line.quantity * line.rate_nano_per_million for line in lines)
    return _round(lines, total * multiplier_ppm)


def _round(
    lines: list[CostLine], numerator: int, denominator: int = _DENOMINATOR
) -> CostLines | Unpriced:
    total = round_half_even(numerator, denominator)
    if total > INT64_MAX:
        return Unpriced("out_of_range", tuple(line.meter for line in lines))
    return CostLines(tuple(lines), total)


def _unpriced_meters(quantities: Mapping[str, int], rates: Rates) -> Unpriced:
    negative = tuple(meter for meter, quantity in quantities.items() if quantity < 0)
    if negative:
        return Unpriced("negative_quantity", negative)
    missing = (meter for meter, quantity in quantities.items() if quantity and meter not in rates)
    return Unpriced("unpriced_meter", tuple(missing))


def _add_fallbacks(own_rates: Rates) -> Rates:
    rates = dict(own_rates)
    for meter, fallback in FALLBACKS.items():
        if meter not in own_rates and fallback in rates:
            rates[meter] = rates[fallback]
    return rates


def _read_tiers(plain_rates: Rates, raw: object, where: str) -> tuple[tuple[Tier, ...], TierMode]:
    tiers: list[Tier] = []
    modes: set[TierMode] = set()
    laid = dict(plain_rates)
    for index, row in enumerate(_read_list(raw, f"{where}tiers")):
        at = f"{where}tiers[{index}]"
        _refuse_unknown(row, {"input_over", "mode", "meters"}, at)
        input_over = _read_integer(row.get("input_over"), f"{at}.input_over")
        if tiers and input_over <= tiers[-1].input_over:
            raise PriceInvalid(f"{at}.input_over: expected more than the tier before it")
        mode = row.get("mode", "whole")
        if mode not in ("whole", "marginal"):
            raise PriceInvalid(f'{at}.mode: expected "whole" or "marginal", got {mode!r}')
        modes.add(mode)
        laid.update(_read_meters(row.get("meters"), f"{at}.meters"))
        tiers.append(Tier(input_over, _add_fallbacks(laid)))
    if len(modes) > 1:
        raise PriceInvalid(f"{where}tiers: expected one mode for all tiers of a version")
    return tuple(tiers), modes.pop() if modes else "whole"


def _read_conditions(plain_rates: Rates, raw: object) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    for index, row in enumerate(_read_list(raw, "conditions")):
        at = f"conditions[{index}]"
        _refuse_unknown(row, _OF_CONDITION, at)
        kind, value = str(row.get("kind", "")), str(row.get("value", ""))
        if kind not in OF_VERSIONS:
            raise PriceInvalid(f"{at}.kind: expected one of {', '.join(OF_VERSIONS)}, got {kind!r}")
        if not VALUE.fullmatch(value) or value in KINDS[kind].plain:
            raise PriceInvalid(f"{at}.value: {value!r} is not a {kind} with a price of its own")
        if any(one.kind == kind and one.value == value for one in conditions):
            raise PriceInvalid(f"{at}: {kind} {value} is there already")
        source, date = (
            _read_text(row.get(name, ""), f"{at}.{name}") for name in ("source", "date")
        )
        if ("meters" in row) == ("multiplier_ppm" in row):
            raise PriceInvalid(f"{at}: expected either meters or multiplier_ppm")
        if "multiplier_ppm" in row:
            if "tiers" in row:
                raise PriceInvalid(f"{at}: a multiplier has no tiers")
            token_ppm = _read_integer(row["multiplier_ppm"], f"{at}.multiplier_ppm")
            conditions.append(Condition(kind, value, token_ppm=token_ppm, source=source, date=date))
            continue
        laid = {**plain_rates, **_read_meters(row["meters"], f"{at}.meters")}
        tiers, mode = _read_tiers(laid, row.get("tiers", []), f"{at}.")
        conditions.append(
            Condition(kind, value, _add_fallbacks(laid), tiers, mode, source=source, date=date)
        )
    return tuple(conditions)


def _read_text(raw: object, where: str) -> str:
    if not isinstance(raw, str) or len(raw) > 120:
        raise PriceInvalid(f"{where}: expected a text of at most 120 characters")
    return raw


def _read_meters(raw: object, where: str) -> dict[str, int]:
    if not isinstance(raw, Mapping):
        raise PriceInvalid(f"{where}: expected an object of meters, got {raw!r}")
    rates: dict[str, int] = {}
    for name, rate in raw.items():
        find_meter(name)
        rates[name] = _read_integer(rate, f"{where}.{name}")
    return rates


def _read_list(raw: object, where: str) -> list[Mapping[str, object]]:
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise PriceInvalid(f"{where}: expected a list of objects, got {raw!r}")
    return raw


def _read_integer(raw: object, where: str) -> int:
    if type(raw) is not int or raw < 0:
        raise PriceInvalid(f"{where}: expected an integer that is not negative, got {raw!r}")
    return raw


def _refuse_unknown(raw: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(raw) - known)
    if unknown:
        raise PriceInvalid(f"{where}: unknown field {unknown[0]!r}")
