"""What the calculator of the price book says (W20), without a page."""

import datetime as dt

import pytest

from billing.currency.money import NANO_PER_USD
from billing.price_plans.price_plans import ListedPricePlan
from billing.prices.conditions import PriceKey
from billing.prices.prices import ListedPrice
from gateway.price_book.price_book import BookEntry, PriceBook, calculate

PPM = 1_000_000


@pytest.mark.parametrize("plan_ppm", [PPM, 3 * PPM])
@pytest.mark.parametrize("model_ppm", [PPM // 4, PPM, 2 * PPM])
def test_calculator_uses_the_multiplier_of_the_model(plan_ppm: int, model_ppm: int) -> None:
    """It is the plan's, or the one of the organisation's subscription for this model."""
    rates = {"meters": {"in_text": 5 * NANO_PER_USD}}
    price = ListedPrice(
        PriceKey("m"), 1, 1, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, rates, ""
    )
    plan = ListedPricePlan("p", plan_ppm, (), 1)
    book = PriceBook(plan, (BookEntry("m", price, model_ppm),), ())
    result = calculate(book, "m", {"in_text": 1_000_000})
    assert result is not None
    assert result.total_nano == 5 * NANO_PER_USD * model_ppm // PPM


def test_price_names_its_pattern_where_that_is_not_the_model() -> None:
    rates = {"meters": {"in_text": 5}}
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def named(model: str) -> str:
        return BookEntry("m-1", ListedPrice(PriceKey(model), 1, 1, start, None, rates, ""), 1).named

    assert (named("m-1"), named("m-*")) == ("", "m-*")
