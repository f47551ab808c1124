"""The changed rates between two prices."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from billing.currency.money import round_half_even
from billing.prices.meters import METERS

_PER_MILLE: Final = 1000
_ORDER: Final = {name: place for place, name in enumerate(METERS)}


class RateChange(NamedTuple):
    """One rate: its meter, its tier (None = below the first), and its values before and after in
    nano per million units, or None. `permille` is the change in tenths of a percent, rounded
    half-even; None without a value before or after. `condition` is the rate's condition. A
    condition that multiplies all token rates has no meter; its values are multipliers in parts per
    million."""

    meter: str
    input_over: int | None
    before: int | None
    after: int | None
    condition: tuple[str, str] | None = None

    @property
    def permille(self) -> int | None:
        if not self.before or self.after is None:
            return None
        return round_half_even((self.after - self.before) * _PER_MILLE, self.before)


def rate_changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[RateChange, ...]:
    """Return every rate that differs between two stored forms of pricing.py; None = no price."""
    old, new = dict(_rates(before)), dict(_rates(after))
    return tuple(
        RateChange(place.meter, place.over, old.get(place), new.get(place), place.condition)
        for place in sorted({*old, *new}, key=_order)
        if old.get(place) != new.get(place)
    )


class _Place(NamedTuple):
    """The position of a rate in a price."""

    condition: tuple[str, str] | None
    over: int | None
    meter: str


def _rates(stored: Mapping[str, Any] | None) -> Iterator[tuple[_Place, int]]:
    if stored is None:
        return
    yield from _table(stored, None)
    for one in stored.get("conditions") or ():
        held = (one["kind"], one["value"])
        if "multiplier_ppm" in one:
            yield _Place(held, None, ""), one["multiplier_ppm"]
        else:
            yield from _table(one, held)


def _table(
    stored: Mapping[str, Any], condition: tuple[str, str] | None
) -> Iterator[tuple[_Place, int]]:
    for meter, rate in stored["meters"].items():
        yield _Place(condition, None, meter), rate
    for tier in stored.get("tiers") or ():
        for meter, rate in tier["meters"].items():
            yield _Place(condition, tier["input_over"], meter), rate


def _order(place: _Place) -> tuple[tuple[str, ...], int, int, str]:
    over, meter = place.over, place.meter
    return (
        place.condition or (),
        -1 if over is None else over,
        _ORDER.get(meter.split("[")[0], len(_ORDER)),
        meter,
    )
