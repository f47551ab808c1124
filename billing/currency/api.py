"""The management API of exchange rates. The page calls the same function."""

import datetime as dt

from ninja import Query, Status
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.access import exchange_rates
from billing.currency.answers import answer_of
from billing.currency.exchange_rates import SOURCE_MAX, RateFields, add_rates, rate_text
from billing.models import ExchangeRate
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema

RATES_MAX = 1000

router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)


class ExchangeRateIn(RequestBody):
    """What one USD is worth in another currency on a day."""

    currency: str = Field(max_length=3, description="Such as `EUR`.")
    day: dt.date
    rate: str = Field(max_length=24, description="Units of the currency for one USD, as a decimal.")
    source: str = Field("", max_length=SOURCE_MAX, description="Where the rate is published.")


class ExchangeRatesIn(RequestBody):
    """Rates to add, all or none."""

    items: list[ExchangeRateIn] = Field(min_length=1, max_length=RATES_MAX)


class ExchangeRateOut(Schema):
    id: str
    currency: str
    day: dt.date
    rate: str
    source: str
    created_at: dt.datetime


class ExchangeRatePage(Schema):
    items: list[ExchangeRateOut]
    next: str | None


class ExchangeRatesOut(Schema):
    items: list[ExchangeRateOut]


@router.get("/exchange-rates", response=ExchangeRatePage, summary="List exchange rates")
def list_exchange_rates(actor: Actor, query: Query[pagination.PageQuery]) -> ExchangeRatePage:
    """Newest first. Of several rates of one currency and day, the newest counts."""
    rows = exchange_rates(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return ExchangeRatePage(items=[_serialize_rate(row) for row in page.items], next=page.next)


@router.get("/exchange-rates/{id}", response=ExchangeRateOut, summary="Show an exchange rate")
def show_exchange_rate(actor: Actor, id: str) -> ExchangeRateOut:
    """One rate."""
    return _serialize_rate(access.get_by_id(exchange_rates(actor), id))


@router.post("/exchange-rates", response={201: ExchangeRatesOut}, summary="Add exchange rates")
@requires("credits.write")
def add_exchange_rates(actor: Actor, body: ExchangeRatesIn) -> Status[ExchangeRatesOut]:
    """For organisations that show amounts in a currency of their own. Charges and documents stay in
    USD. Rates are never changed: to correct one, add another of the same day, in a request of its
    own."""
    rates = [RateFields(one.currency, one.day, one.rate, one.source) for one in body.items]
    return Status(
        201, ExchangeRatesOut(items=[_serialize_rate(row) for row in add_rates(actor, rates)])
    )


def _serialize_rate(row: ExchangeRate) -> ExchangeRateOut:
    return answer_of(ExchangeRateOut, row, rate=rate_text(row))
