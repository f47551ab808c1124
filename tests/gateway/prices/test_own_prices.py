"""The organisation's own price book, as of the day that is asked for (W45)."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.urls import reverse

from accounts.access.actors import SYSTEM
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from gateway.channels.channels import create_channel
from gateway.models import Channel
from gateway.own_keys.fallback_prices import fallback_prices
from gateway.price_book.price_book import price_book
from lib import clock
from tests.billing.credits.test_operator_api import api_of
from tests.support.cast import Cast, actor, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CHEAP: dict[str, Any] = {"meters": {"in_text": 100_000_000, "out_text": 300_000_000}}
DEAR: dict[str, Any] = {"meters": {"in_text": 200_000_000, "out_text": 300_000_000}}
URL = "/o/acme/prices"


@pytest.fixture
def changed(people: Cast) -> dt.datetime:
    """Since when a price is dearer, which was always there; another one began then."""
    since = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=3)
    create_channel(
        SYSTEM, "east",
        {"provider": "openai_compatible", "base_url": "https://p.example/v1",
         "models": {"brook": "", "river": ""}},
    )  # fmt: skip
    set_price(SYSTEM, "brook", EPOCH, CHEAP, source="file")
    set_price(SYSTEM, "brook", since, DEAR, source="file")
    set_price(SYSTEM, "river", EPOCH, CHEAP, source="file")
    return since


def test_list_file_and_api_have_the_prices_of_the_day(people: Cast, changed: dt.datetime) -> None:
    """In all three, and the page's link to the file keeps the day."""
    bob, day = signed_in(people.bob), changed - dt.timedelta(days=1)
    on, at = day.date().isoformat(), day + dt.timedelta(hours=12)
    (row, _) = file_of(bob, f"{URL}?asof={on}&export=csv&cols=model,input")
    assert f'csv?asof={on}"' in bob.get(f"{URL}?asof={on}").text
    text = bob.get(reverse("organisation_prices_csv", args=["acme"]), {"asof": on}).text
    lines = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    rates = {
        line["rate_usd"] for line in lines if (line["model"], line["meter"]) == ("brook", "in_text")
    }
    query = {"as_of": clock.rfc3339(at), "model": "brook"}
    (told,) = api_of(people, "bob").get("/api/v1/prices", query).json()["items"]
    found = ([*row.values()][1], *rates, told["meters"]["in_text"])
    assert [float(rate) for rate in found] == [0.1, 0.1, 0.1]


def test_price_that_was_always_there_has_no_start(people: Cast, changed: dt.datetime) -> None:
    rows = file_of(signed_in(people.bob), f"{URL}?export=csv&cols=model,since")
    starts = {row["model"]: [*row.values()][1] for row in rows}
    assert starts["river"] == ""
    assert starts["brook"].startswith(f"{changed:%Y-%m-%d}")


def test_fall_back_costs_the_standard_price(people: Cast, changed: dt.datetime) -> None:
    """Not that of a service tier. A model without rates of tokens shows those that it has."""
    tier = PriceKey("brook", service_tier="flex")
    set_price(SYSTEM, tier, EPOCH, CHEAP, source="file")
    channel = Channel.objects.get()
    channel.routes.create(model="picture")
    channel.routes.create(model="writer")
    per_image = {"meters": {"images": 4 * 10**15}}
    set_price(SYSTEM, "picture", EPOCH, per_image, source="file")
    only_out = {"meters": {"out_text": 300_000_000, "images": 4 * 10**15}}
    set_price(SYSTEM, "writer", EPOCH, only_out, source="file")
    book = price_book(actor(people.alice, people.acme), clock.now())
    assert len([entry for entry in book.entries if entry.model == "brook"]) == 2
    prices = fallback_prices(actor(people.alice, people.acme), channel)
    assert [price.model for price in prices] == ["brook", "picture", "river", "writer"]
    brook, picture, _, writer = prices
    assert "0.20" in brook.input
    assert (picture.input, picture.output, bool(picture.other)) == ("", "", True)
    assert (writer.input, bool(writer.output), writer.other) == ("", True, "")
