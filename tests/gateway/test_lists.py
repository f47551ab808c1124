"""The lists of models, prices, channels and plans: filtered, sorted, exported."""

import csv
import datetime as dt
import io
import re
from typing import NamedTuple

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.prices import CATALOGUE, load_catalogue, set_price
from billing.prices.proposals import propose_catalogue
from gateway.models import Channel, Route
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RATES = {
    "gpt-4o": {"in_text": 150_000_000, "out_text": 600_000_000},
    "claude-sonnet-4-5": {"in_text": 3 * 10**9, "out_text": 15 * 10**9},
    "gemini-2.5-flash": {"in_text": 100_000_000, "out_text": 400_000_000},
}


def row(model: str, rate: int) -> CatalogueRow:
    return CatalogueRow(model, None, "p", SINCE, None, {"meters": {"in_text": rate}})


@pytest.fixture
def served(people: Cast) -> Cast:
    for name, provider in (("east", "openai"), ("north", "anthropic"), ("west", "google")):
        Channel.objects.create(name=name, provider=provider, base_url=f"https://{name}.example")
    for (name, meters), channel in zip(
        RATES.items(), Channel.objects.order_by("name"), strict=True
    ):
        Route.objects.create(channel=channel, model=name)
        set_price(SYSTEM, name, SINCE, {"meters": meters}, source="file")
    names = ("a", "b", "c")
    load_catalogue(SYSTEM, [row(name, 100) for name in names], f"{CATALOGUE} 1")
    changed = zip(names, (120, 190, 90), strict=True)
    propose_catalogue(SYSTEM, [row(name, rate) for name, rate in changed], f"{CATALOGUE} 2")
    for name, ppm in (("gold", 900_000), ("retail", 1_070_000), ("staff", 1_000_001)):
        save_plan(SYSTEM, name, multiplier_ppm=ppm, models=[f"{name}-*"])
    return people


class Listed(NamedTuple):
    """One list page: what finds one of its rows, and its rows by one column."""

    address: str
    column: str
    query: str
    alone: str
    sort: str
    ordered: list[str]


MODELS = ["gemini-2.5-flash", "gpt-4o", "claude-sonnet-4-5"]
LISTS = {
    "models": Listed("/models", "name", "provider=Anthropic", MODELS[2], "input", MODELS),
    "pricing": Listed("/pricing", "model", "q=SONNET", MODELS[2], "output", MODELS),
    "own": Listed("/o/acme/prices", "model", "q=sonnet", MODELS[2], "input", MODELS),
    "routes": Listed("/admin/models", "name", "q=north", MODELS[2], "input", MODELS),
    "book": Listed(
        "/admin/prices", "model", "source=own&q=sonnet", MODELS[2], "input",
        ["a", "b", "c", *MODELS],
    ),
    "channels": Listed(
        "/admin/channels", "name", "q=claude", "north", "name", ["east", "north", "west"]
    ),
    "proposals": Listed(
        "/admin/prices/proposals", "model", "what=changed&q=b", "b", "percent", ["c", "a", "b"]
    ),
    "plans": Listed(
        "/admin/plans", "name", "q=retail", "retail", "markup,name",
        ["gold", "Standard", "staff", "retail"],
    ),
}  # fmt: skip


def file_of(client: Client, address: str, query: str) -> list[dict[str, str]]:
    answer = client.get(f"{address}?{query}&export=csv")
    assert answer["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def heads(client: Client, address: str, query: str) -> list[str]:
    """The text of the first cell of each row."""
    page = client.get(f"{address}?{query}").content.decode()
    cells = re.findall(r'<th scope="row".*?</th>', page, re.S)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_filters_sorts_and_exports_what_it_shows(served: Cast, name: str) -> None:
    client = signed_in(served.bob if name == "own" else served.dora)
    one = LISTS[name]
    assert heads(client, one.address, one.query) == [one.alone]
    assert [row[one.column] for row in file_of(client, one.address, one.query)] == [one.alone]
    assert heads(client, one.address, f"sort={one.sort}") == one.ordered
    exported = file_of(client, one.address, f"sort={one.sort}")
    assert [row[one.column] for row in exported] == one.ordered
    assert (
        "Nothing matches these filters"
        in client.get(f"{one.address}?q=nothing-like-this").content.decode()
    )


def test_prices_have_two_decimals_on_pages_and_all_in_files(served: Cast) -> None:
    """I1: what a plan multiplies is not rounded."""
    save_plan(SYSTEM, "odd", multiplier_ppm=1_070_001)
    client = signed_in(served.bob)
    assert "$0.10" in client.get("/o/acme/prices").content.decode()
    assign_plan(SYSTEM, served.acme, "odd")
    (row,) = file_of(client, "/o/acme/prices", "q=gpt")
    assert row["input_usd_per_1m"] == "0.16050015"
    assert row["output_usd_per_1m"] == "0.6420006"


def test_selected_models_open_in_a_comparison(served: Cast, client: Client) -> None:
    assert 'name="id"' not in client.get("/models").content.decode()
    bob = signed_in(served.bob)
    assert bob.get("/models").content.decode().count('name="id"') == 3
    sent = bob.post(reverse("models_compare", args=["acme"]), {"id": MODELS, "act": "compare"})
    assert sent["location"] == "/o/acme/playground/compare?" + "&".join(
        f"m={name}" for name in MODELS
    )


def test_price_book_starts_with_the_operators_prices(served: Cast) -> None:
    listed = heads(signed_in(served.dora), "/admin/prices", "")
    assert listed == [*sorted(MODELS), "a", "b", "c"]
