"""Prices with dates: a new version closes the former, and nothing ever overlaps."""

import datetime as dt
import time
from collections import Counter
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Epoch
from billing.models import Price, PriceVersion
from billing.prices import pricing
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.conditions import PriceKey
from billing.prices.prices import (
    CATALOGUE,
    PriceRefused,
    catalogue_loaded,
    end_price,
    list_prices,
    load_catalogue,
    remove_price,
    set_price,
)

pytestmark = pytest.mark.django_db

JANUARY, MARCH, MAY = (dt.datetime(2026, month, 1, tzinfo=dt.UTC) for month in (1, 3, 5))
ONE, TWO = {"meters": {"in_text": 1_000_000_000}}, {"meters": {"in_text": 2_000_000_000}}


def spans(model: str = "m") -> list[tuple[dt.datetime, dt.datetime | None]]:
    return [(price.valid_from, price.valid_to) for price in list_prices([model])]


def test_new_version_closes_the_previous_at_its_start() -> None:
    set_price(SYSTEM, "m", JANUARY, ONE, source="file")
    set_price(SYSTEM, "m", MARCH, TWO, source="file")
    assert spans() == [(JANUARY, MARCH), (MARCH, None)]
    assert [price.rates for price in list_prices()] == [ONE, TWO]


def test_a_former_version_that_ended_earlier_keeps_its_end() -> None:
    set_price(SYSTEM, "m", JANUARY, ONE, valid_to=MARCH, source="file")
    set_price(SYSTEM, "m", MAY, TWO, source="file")
    assert spans() == [(JANUARY, MARCH), (MAY, None)]


@pytest.mark.parametrize("valid_to", [None, MAY + dt.timedelta(days=1)])
def test_overlap_with_a_later_version_is_rejected_with_a_message(
    valid_to: dt.datetime | None,
) -> None:
    set_price(SYSTEM, "m", MAY, ONE, source="file")
    with pytest.raises(PriceRefused, match="This price of m overlaps another one"):
        set_price(SYSTEM, "m", JANUARY, TWO, valid_to=valid_to, source="file")
    assert spans() == [(MAY, None)]


def test_hours_may_overlap_in_other_regions_and_after_their_removal() -> None:
    early, late = ({"hours": hours} for hours in ("01:00-03:00", "02:00-04:00"))
    version = set_price(SYSTEM, PriceKey("m", region="eu", **early), JANUARY, ONE, source="file")
    set_price(SYSTEM, PriceKey("m", region="us", **late), JANUARY, ONE, source="file")
    with pytest.raises(PriceRefused, match="overlap 01:00-03:00"):
        set_price(SYSTEM, PriceKey("m", region="eu", **late), JANUARY, ONE, source="file")
    remove_price(SYSTEM, version)
    set_price(SYSTEM, PriceKey("m", region="eu", **late), JANUARY, ONE, source="file")


@pytest.mark.parametrize(
    "only", [{"service_tier": "flex"}, {"hours": "01:00-02:00"}, {"region": "eu"}]
)
def test_own_plain_price_ends_each_narrower_price_of_the_list(only: dict[str, str]) -> None:
    """A cost is no price, so that it ends none."""
    shipped = set_price(SYSTEM, PriceKey("m", **only), JANUARY, ONE, source=CATALOGUE)
    set_price(SYSTEM, PriceKey("m", "cost", "main"), MARCH, TWO, source="page")
    shipped.refresh_from_db()
    assert shipped.valid_to is None
    set_price(SYSTEM, "m", MARCH, TWO, source="page")
    shipped.refresh_from_db()
    assert shipped.valid_to == MARCH


def test_listed_version_is_in_force_until_before_its_end() -> None:
    set_price(SYSTEM, "m", JANUARY, ONE, valid_to=MARCH, source="file")
    [listed] = list_prices(["m"])
    tick = dt.timedelta(microseconds=1)
    instants = (JANUARY - tick, JANUARY, MARCH - tick, MARCH)
    assert [listed.in_force_at(at) for at in instants] == [False, True, True, False]


def test_duplicate_start_is_rejected() -> None:
    set_price(SYSTEM, "m", MAY, ONE, source="file")
    with pytest.raises(PriceRefused):
        set_price(SYSTEM, "m", MAY, TWO, source="file")


def test_version_fits_before_a_later_one_of_its_model_only() -> None:
    set_price(SYSTEM, "m", MAY, ONE, source="file")
    set_price(SYSTEM, "m", JANUARY, TWO, valid_to=MAY, source="file")
    set_price(SYSTEM, "other", JANUARY, TWO, source="file")
    assert spans() == [(JANUARY, MAY), (MAY, None)]


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(PriceRefused, match="ends before it starts"):
        set_price(SYSTEM, "m", MAY, ONE, valid_to=JANUARY, source="file")
    assert not Price.objects.exists()


@pytest.mark.parametrize(
    "rates",
    [{}, {"meters": {"in_words": 1}}, {"meters": {"in_text": -1}}, {"meters": {"in_text": 1.5}}],
)
def test_rates_that_cannot_be_charged_are_refused(rates: dict[str, object]) -> None:
    with pytest.raises(PriceRefused):
        set_price(SYSTEM, "m", JANUARY, rates, source="file")
    assert not Price.objects.exists()


def test_an_end_may_move_but_not_into_the_next_version() -> None:
    first = set_price(SYSTEM, "m", JANUARY, ONE, source="file")
    set_price(SYSTEM, "m", MAY, TWO, source="file")
    end_price(SYSTEM, first, MARCH)
    assert spans() == [(JANUARY, MARCH), (MAY, None)]
    with pytest.raises(PriceRefused, match="overlaps"):
        end_price(SYSTEM, first, None)
    assert spans() == [(JANUARY, MARCH), (MAY, None)]


def test_every_write_is_audited_and_published() -> None:
    version = set_price(SYSTEM, "m", JANUARY, ONE, source="file")
    end_price(SYSTEM, version, MARCH)
    remove_price(SYSTEM, version)
    # Ids of one millisecond have no order, so that none is asked for.
    assert Counter(AuditEvent.objects.values_list("action", flat=True)) == {
        "price.set": 1,
        "price.ended": 1,
        "price.removed": 1,
    }
    assert Epoch.objects.get().n == 3
    assert not PriceVersion.objects.exists()


# The shipped price list ---------------------------------------------------------------------------


def row(model: str, valid_from: dt.datetime = JANUARY) -> CatalogueRow:
    return CatalogueRow(model, None, "maker", valid_from, None, ONE)


def test_catalogue_leaves_priced_models_alone() -> None:
    set_price(SYSTEM, "mine", MARCH, TWO, source="file")
    assert load_catalogue(SYSTEM, [row("mine"), row("theirs")], f"{CATALOGUE} 1") == 1
    assert [price.source for price in list_prices(["mine"])] == ["file"]
    assert [price.from_catalogue for price in list_prices(["theirs"])] == [True]


def test_a_second_catalogue_changes_nothing() -> None:
    load_catalogue(SYSTEM, [row("theirs")], f"{CATALOGUE} 1")
    epoch = Epoch.objects.get().n
    assert load_catalogue(SYSTEM, [row("theirs", MAY), row("new")], f"{CATALOGUE} 2") == 0
    assert spans("theirs") == [(JANUARY, None)]
    assert not Price.objects.filter(model="new").exists()
    assert Epoch.objects.get().n == epoch


def test_shipped_list_loads_whole_and_fast_and_is_chargeable() -> None:
    out = StringIO()
    started = time.process_time()
    call_command("load_catalogue", stdout=out)
    assert time.process_time() - started < 2
    assert catalogue_loaded()
    prices = list_prices()
    assert f"{len(prices)} prices from genai-prices " in out.getvalue()
    assert len(prices) > 1000
    for price in prices:
        pricing.PriceVersion.from_stored(price.rates)
    out = StringIO()
    call_command("load_catalogue", stdout=out)
    assert out.getvalue() == "the price list is already loaded\n"
    assert len(list_prices()) == len(prices)
