"""Find the prices and costs that a request may have, by name at one instant."""

import bisect
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from billing.prices.catalogue.catalogue import CATALOGUE
from billing.prices.conditions import (
    SECONDS_PER_DAY,
    ConditionInvalid,
    Hours,
    read_hours,
    tier_name,
)
from billing.prices.meters import MeterUnknown
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM, PriceInvalid, PriceVersion, dearest
from dialects.json.body import Body
from dialects.usage.price_conditions import KINDS, TIER

log = logging.getLogger(__name__)

_NO_CONDITIONS: Final[Mapping[str, str]] = {}
_ASKED: Final = tuple(
    (kind, name) for kind in KINDS if kind != TIER for name in KINDS[kind].requested_by
)


class PriceRow(msgspec.Struct):
    """One stored version; times are Unix seconds."""

    id: int
    model: str
    kind: str
    channel: str
    service_tier: str
    hours: str
    valid_from: float
    valid_to: float | None
    rates: dict[str, object]
    source: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """A price version, with the period (Unix seconds) and the hours of the day in which it applies.

    `others` are the versions for service tiers that the answer may report instead. `tier` is the
    requested service tier, `asked` are the other requested conditions. `listed`: the price is from
    the shipped price list, so a condition without terms has an unknown price; an operator's price
    applies under every condition that has no terms. `regions` are the prices of requests that are
    served in these regions; `unplaced`: there are such prices, and it is unknown where the request
    is served.
    """

    id: int
    valid_from: float
    valid_to: float | None
    version: PriceVersion
    hours: Hours | None = None
    others: Mapping[str, "Price"] = field(default_factory=dict)
    tier: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False
    regions: Mapping[str, "Price"] = field(default_factory=dict)
    unplaced: bool = False

    @property
    def bound(self) -> PriceVersion:
        """Return the price to size a hold with: at least as high as any price that can apply."""
        if not self.others and not self.regions:
            return self.version.bound_under(self.asked) if self.asked else self.version
        versions = [self.version, *(other.version for other in self.others.values())]
        bounds = [version.bound_under(self.asked) for version in versions]
        return dearest([*bounds, *(price.bound for price in self.regions.values())])

    def asking(self, conditions: Mapping[str, str]) -> "Price":
        """Return the price for a request with these conditions besides the service tier."""
        if not conditions:
            return self
        regions = {name: price.asking(conditions) for name, price in self.regions.items()}
        return replace(self, asked=conditions, regions=regions)

    def for_request(self, tier: str) -> "Price":
        """Return the price for a request of a service tier. If the upstream reports less, the plain
        price applies. Nobody pays for a tier that was not requested."""
        regions = {name: price.for_request(tier) for name, price in self.regions.items()}
        tier_price = self.others.get(tier)
        if tier_price is None:
            return replace(self, others={}, tier=tier, regions=regions)
        others = {"": replace(self, regions={}), tier: tier_price}
        return replace(tier_price, others=others, tier=tier, regions=regions)

    def for_tier(self, tier: str) -> "Price":
        """Return the price for the service tier that the upstream reports."""
        return self.others.get(tier, self)

    def has_tier(self, tier: str) -> bool:
        """Return whether a service tier has its own price."""
        return tier in self.others

    def served_in(self, regions: Sequence[str] | None) -> "Price":
        """Return the price of a request that is served in `regions` (the most exact name first):
        the price of the first one that has a price, else the price of any other region. None means
        that the region is unknown."""
        if not self.regions:
            return self
        if regions is None:
            return replace(self, regions={}, unplaced=True)
        named = next((name for name in regions if name in self.regions), None)
        return replace(self, regions={}) if named is None else self.regions[named]

    def within(self, places: Iterable[Sequence[str] | None]) -> "Price":
        """Return the price with only those regional prices that may apply, given the regions of
        each place that may serve the request (see `served_in`)."""
        reached: dict[str, Price] = {}
        for place in places:
            if place is None:
                return self
            name = next((name for name in place if name in self.regions), None)
            if name is not None:
                reached[name] = self.regions[name]
        return replace(self, regions=reached)

    def multiplied(self, multiplier_ppm: int) -> "Price":
        """Return the price multiplied for an organisation's plan."""
        if multiplier_ppm == PPM:
            return self
        return replace(
            self,
            version=self.version.multiplied(multiplier_ppm),
            others={tier: price.multiplied(multiplier_ppm) for tier, price in self.others.items()},
            regions={
                name: price.multiplied(multiplier_ppm) for name, price in self.regions.items()
            },
        )


class PriceList:
    """Prices of one kind by name or pattern. An exact name beats the longest matching pattern."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._standard: dict[str, list[Price]] = {}
        self._tiers: dict[str, dict[str, list[Price]]] = {}
        self._regions: dict[str, dict[str, list[Price]]] = {}
        self._region_tiers: dict[tuple[str, str], dict[str, list[Price]]] = {}
        for row in rows:
            try:
                price = _price(row)
            except (PriceInvalid, MeterUnknown, ConditionInvalid) as error:
                log.error("price version %s of %s is out of use: %s", row.id, row.model, error)
                continue
            if row.service_tier:
                tiers = (
                    self._region_tiers.setdefault((row.model, row.region), {})
                    if row.region
                    else self._tiers.setdefault(row.model, {})
                )
                versions = tiers.setdefault(row.service_tier, [])
            elif row.region:
                versions = self._regions.setdefault(row.model, {}).setdefault(row.region, [])
            else:
                versions = self._standard.setdefault(row.model, [])
            # Prices for certain hours come before those for the whole day.
            bisect.insort(
                versions, price, key=lambda version: (version.hours is None, version.valid_from)
            )
        patterns = [name for name in self._standard if "*" in name]
        self._patterns = tuple(sorted(patterns, key=lambda name: (-len(name), name)))

    @property
    def names(self) -> Iterable[str]:
        """The names and patterns that have a plain price."""
        return self._standard

    def names_for(self, model: str) -> tuple[str, ...]:
        """Return the names of the prices that match a model. The first one in force applies."""
        named = (model,) if model in self._standard and "*" not in model else ()
        return (*named, *(name for name in self._patterns if matches(name, model)))

    def find(self, names: Iterable[str], now: float) -> Price | None:
        """Return the first of the named prices that is in force, with its service tiers, or
        None."""
        for name in names:
            price = _price_in_force(self._standard[name], now)
            if price is not None:
                tiers = self._tiers.get(name)
                if tiers is not None:
                    price = replace(price, others=_in_force(tiers, now))
                if name in self._regions:
                    price = replace(price, regions=self._find_regions(name, now))
                return price
        return None

    def _find_regions(self, name: str, now: float) -> dict[str, Price]:
        """Return the prices of a name by region that are in force, with their service tiers."""
        tiers = self._region_tiers
        return {
            region: replace(price, others=_in_force(tiers.get((name, region), {}), now))
            for region, price in _in_force(self._regions[name], now).items()
        }


def requested_tier(body: Body) -> str:
    """Return the requested service tier, "" for the plain one."""
    members = body.members
    if "service_tier" not in members and "serviceTier" not in members:
        return ""
    raw = body.value("service_tier") or body.value("serviceTier") or b""
    return tier_name(raw.decode(errors="replace").strip('"')) if raw.startswith(b'"') else ""


def asked_conditions(body: Body) -> Mapping[str, str]:
    """Return the requested conditions besides the service tier, without plain ones."""
    members, asked = body.members, _NO_CONDITIONS
    for kind, name in _ASKED:
        if name in members and (raw := body.value(name)) is not None:
            value = raw.decode(errors="replace").strip('"').lower()
            if value not in KINDS[kind].plain:
                asked = {**asked, kind: value[:40]}
    return asked


def _price(row: PriceRow) -> Price:
    version = PriceVersion.from_stored(row.rates)
    return Price(
        row.id,
        row.valid_from,
        row.valid_to,
        version,
        read_hours(row.hours),
        listed=row.source.startswith(CATALOGUE),
    )


def _price_in_force(versions: Iterable[Price], now: float) -> Price | None:
    for price in versions:
        if price.valid_from > now or (price.valid_to is not None and now >= price.valid_to):
            continue
        if price.hours is None or price.hours.hold_at(int(now) % SECONDS_PER_DAY):
            return price
    return None


def _in_force(by_name: Mapping[str, Iterable[Price]], now: float) -> dict[str, Price]:
    in_force = {name: _price_in_force(versions, now) for name, versions in by_name.items()}
    return {name: price for name, price in in_force.items() if price is not None}
