"""The price book of one organisation: its prices and their validity, at any time."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from accounts.access.actors import Actor
from billing.currency.money import format_multiplier, format_usd
from billing.price_plans.price_plans import STANDARD, ListedPricePlan, price_plan_of_actor
from billing.prices.meters import FALLBACKS
from billing.prices.name_patterns import matches
from billing.prices.prices import ListedPrice, list_prices
from billing.prices.pricing import CostLines, PriceVersion, price
from billing.prices.words import (
    RateDisplay,
    condition_text,
    display_conditions,
    display_rates,
    markup_words,
    multiplier_words,
    rate_figure,
    rate_text,
    unit_word,
)
from gateway.channels.served_models import price_of
from gateway.model_entries.entries import absent_names
from gateway.models import Channel
from gateway.price_book.columns import price_cells

_MAIN: Final = ("in_text", "in_cache_read", "out_text")


@dataclass(frozen=True)
class BookEntry:
    """One price of one model. `named` is the pattern that the price is defined for, if any. Texts
    are computed on access, because a book may have thousands of entries and a page shows few."""

    model: str
    price: ListedPrice
    multiplier_ppm: int

    @property
    def named(self) -> str:
        return self.price.model if self.price.model != self.model else ""

    @property
    def condition(self) -> str:
        return condition_text(self.price.key)

    @cached_property
    def rates(self) -> tuple[RateDisplay, ...]:
        """The rates, including the plan's multiplier."""
        return tuple(display_rates(self.price.rates, self.multiplier_ppm))

    @property
    def terms(self) -> tuple[RateDisplay, ...]:
        """The rates, and those under conditions."""
        return (*self.rates, *display_conditions(self.price.rates, self.multiplier_ppm))

    @property
    def main(self) -> dict[str, RateDisplay]:
        """Return the three main rates of a language model, if it has them. A meter without a rate
        shows the rate of its fallback."""
        plain_rates = {rate.meter: rate for rate in self.rates if not rate.mode}
        priced = (
            (meter, plain_rates.get(meter) or plain_rates.get(FALLBACKS.get(meter, "")))
            for meter in _MAIN
        )
        return {meter: replace(rate, meter=meter) for meter, rate in priced if rate}

    @property
    def id(self) -> str:
        """Return the entry's unique id within its book."""
        key = self.price.key
        return f"{self.model} {key.service_tier} {key.hours} {key.region}"

    @cached_property
    def cells(self) -> dict[str, Any]:
        """The rates in the columns of a list."""
        return price_cells(self.rates)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A price that begins later: its start and its rates."""

    entry: BookEntry
    begins_at: dt.datetime


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The prices at a time, and announced ones."""

    plan: ListedPricePlan
    entries: tuple[BookEntry, ...]
    upcoming: tuple[Upcoming, ...]
    # Names that are hidden from them, whatever their plan.
    absent: frozenset[str] = frozenset()

    @property
    def multiplier(self) -> str:
        return format_multiplier(self.plan.multiplier_ppm)

    @property
    def markup(self) -> str:
        """Return what the organisation's plan adds to list prices, as text."""
        return markup_words(self.plan.multiplier_ppm)

    @property
    def subscribed(self) -> str:
        """Return what the organisation's subscription multiplies prices by, as text."""
        return multiplier_words(self.plan.subscribed)


@dataclass(frozen=True, slots=True)
class Calculated:
    """The cost of quantities: each line with its exact rate, and the total in nano. `missing` names
    the meters without a rate."""

    lines: tuple[tuple[str, int, str], ...]
    total_nano: int
    missing: tuple[str, ...] = ()

    @property
    def exact(self) -> str:
        """The exact total in USD."""
        return format_usd(self.total_nano)


def price_book(actor: Actor | None, at: dt.datetime) -> PriceBook:
    """Return the actor's prices at a time, by model; for None, the list prices."""
    plan = STANDARD if actor is None else price_plan_of_actor(actor)
    listed = list_prices()
    in_force: dict[str, list[ListedPrice]] = {}
    later: dict[str, list[ListedPrice]] = {}
    for listed_price in listed:
        if listed_price.in_force_at(at):
            in_force.setdefault(listed_price.model, []).append(listed_price)
        elif listed_price.valid_from > at:
            later.setdefault(listed_price.model, []).append(listed_price)
    entries: list[BookEntry] = []
    upcoming: list[Upcoming] = []
    role = "" if actor is None or actor.role is None else str(actor.role)
    absent = absent_names(plan.name, role, at)
    for model in _visible_names(plan, {*in_force, *later}):
        if model in absent:
            continue
        for listed_price in price_of(model, in_force) or ():
            entries.append(BookEntry(model, listed_price, plan.multiplier_for(model)))
        for listed_price in price_of(model, later) or ():
            entry = BookEntry(model, listed_price, plan.multiplier_for(model))
            upcoming.append(Upcoming(entry, listed_price.valid_from))
    upcoming.sort(key=lambda item: (item.begins_at, item.entry.model))
    return PriceBook(plan, tuple(entries), tuple(upcoming), absent)


def calculate(book: PriceBook, model: str, meters: Mapping[str, int]) -> Calculated | None:
    """Return the cost of quantities of a model at the book's plain price, or None for an unknown
    model."""
    entry = next(
        (entry for entry in book.entries if entry.model == model and not entry.condition), None
    )
    if entry is None:
        return None
    version = PriceVersion.from_stored(entry.price.rates).multiplied(entry.multiplier_ppm)
    used = {meter: count for meter, count in meters.items() if count}
    if "requests" in version.rates:
        used["requests"] = 1
    cost = price(used, version)
    if not isinstance(cost, CostLines):
        return Calculated((), 0, cost.meters)
    lines = tuple(
        (
            line.meter,
            line.quantity,
            rate_text(line.meter, line.rate_nano_per_million, line.multiplier_ppm),
        )
        for line in cost.lines
    )
    return Calculated(lines, cost.total_nano)


def table_of(book: PriceBook) -> Iterator[tuple[object, ...]]:
    """Yield the book as a table with its head: one rate per row, exact decimals. A meter charged at
    another meter's rate, such as cached input at that of text, has its own row."""
    yield ("model", "service_tier", "hours_utc", "region", "meter", "unit", "input_over",
           "tier_mode", "rate_usd", "multiplier", "effective_rate_usd", "valid_from",
           "valid_to")  # fmt: skip
    for entry in book.entries:
        listed_price = entry.price
        for rate in (*entry.rates, *_fallback_rates(entry.rates)):
            yield (
                entry.model,
                listed_price.key.service_tier,
                listed_price.key.hours,
                listed_price.key.region,
                rate.meter,
                unit_word(rate.meter),
                "" if rate.input_over is None else rate.input_over,
                rate.mode,
                rate_figure(rate.meter, rate.rate),
                format_multiplier(entry.multiplier_ppm),
                rate_figure(rate.meter, rate.rate, entry.multiplier_ppm),
                listed_price.valid_from.isoformat(),
                listed_price.valid_to.isoformat() if listed_price.valid_to else "",
            )


def _fallback_rates(rates: Iterable[RateDisplay]) -> Iterator[RateDisplay]:
    rates = list(rates)
    meters = {rate.meter for rate in rates}
    for meter, fallback in FALLBACKS.items():
        if meter not in meters:
            yield from (replace(rate, meter=meter) for rate in rates if rate.meter == fallback)


def _visible_names(plan: ListedPricePlan, priced: Iterable[str]) -> list[str]:
    """Return the names that can be called and have a price, as far as the plan shows them."""
    routes = {
        route.model
        for channel in Channel.objects.filter(enabled=True).prefetch_related("routes")
        for route in channel.routes.all()
    }
    patterns = [route for route in routes if "*" in route]
    names = {route for route in routes if "*" not in route}
    names |= {
        name
        for name in priced
        if "*" not in name and any(matches(pattern, name) for pattern in patterns)
    }
    name_patterns = plan.model_patterns
    return sorted(
        name
        for name in names
        if not name_patterns or any(matches(pattern, name) for pattern in name_patterns)
    )
