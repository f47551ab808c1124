"""The management API of prices in the organisation's own price book. Pages call the same
function."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from billing.currency.money import format_multiplier, format_scaled
from billing.prices.meters import scale_digits
from billing.prices.written_conditions import write_conditions
from gateway.listed_models.shown_models import usable_models
from gateway.price_book.price_book import BookEntry, price_book
from lib import clock
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import Schema

router = Router(tags=["Prices"])

Rates = dict[str, str]


class TierOut(Schema):
    input_over: int = Field(description="Applies strictly above this many input tokens.")
    mode: Literal["whole", "marginal"]
    meters: Rates


class OwnConditionOut(Schema):
    """The charge for a request that is served under a condition."""

    kind: str
    value: str
    multiplier: str | None = Field(None, description="Of all rates of tokens.")
    meters: Rates | None = Field(None, description="Rates that replace those above.")
    tiers: list[TierOut] = []
    source: str = ""
    date: str = ""


class PriceOut(Schema):
    model: str
    service_tier: str = Field(description="Empty for the standard price.")
    hours: str = Field(description="In UTC. Empty: all day.")
    region: str = Field(description="Where the provider serves it. Empty: any other region.")
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    multiplier: str = Field(
        description="Of the subscription, where one of its patterns fits the model, else of the "
        "plan. The rates include it."
    )
    meters: Rates = Field(
        description="USD per million tokens, characters or milliseconds, per minute of a session, "
        "otherwise per unit."
    )
    tiers: list[TierOut]
    conditions: list[OwnConditionOut]


class PriceListOut(Schema):
    plan: str | None
    multiplier: str = Field(description="Of the plan.")
    as_of: dt.datetime
    items: list[PriceOut]
    next: str | None


class PriceQuery(pagination.PageQuery):
    as_of: Instant | None = Field(None, description="A time in the past or future. Default: now.")
    model: str | None = Field(None, description="Only the prices of this model.")


@router.get("/prices", response=PriceListOut, summary="List your prices")
@requires("models.read")
def list_prices(actor: Actor, query: Query[PriceQuery]) -> dict[str, Any]:
    """The exact price you pay per model, by your own plan, your team's or your organisation's."""
    at = query.as_of or clock.now()
    book = price_book(actor, at)
    may_use = usable_models(actor)
    entries = [
        entry
        for entry in book.entries
        if query.model in (None, entry.model) and may_use(entry.model)
    ]
    page = pagination.page_by_key(entries, query.limit, query.cursor, _key_of)
    return {
        "plan": book.plan.name or None,
        "multiplier": book.multiplier,
        "as_of": at,
        "items": [_serialize_entry(entry) for entry in page.items],
        "next": page.next,
    }


def _key_of(entry: BookEntry) -> str:
    return " ".join(
        (entry.model, entry.price.key.service_tier, entry.price.key.hours, entry.price.key.region)
    )


def _serialize_entry(entry: BookEntry) -> dict[str, Any]:
    price, ppm = entry.price, entry.multiplier_ppm
    return {
        "model": entry.model,
        "service_tier": price.key.service_tier,
        "hours": price.key.hours,
        "region": price.key.region,
        "valid_from": price.valid_from,
        "valid_to": price.valid_to,
        "multiplier": format_multiplier(ppm),
        "meters": _rates(price.rates["meters"], ppm),
        "tiers": [
            {
                "input_over": tier["input_over"],
                "mode": tier.get("mode", "whole"),
                "meters": _rates(tier["meters"], ppm),
            }
            for tier in price.rates.get("tiers") or ()
        ],
        "conditions": write_conditions(price.rates, lambda meters: _rates(meters, ppm)),
    }


def _rates(stored: Mapping[str, int], multiplier_ppm: int) -> Rates:
    return {meter: _rate(meter, rate, multiplier_ppm) for meter, rate in stored.items()}


def _rate(meter: str, rate: int, multiplier_ppm: int) -> str:
    """Return a rate in the unit of the configuration files, times the multiplier, exactly."""
    return format_scaled(rate * multiplier_ppm, scale_digits(meter) + 6)
