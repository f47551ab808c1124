"""What cached input saved: every figure is the sum of the requests behind it."""

import csv
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Key, KeyKind
from billing.prices.pricing import PriceVersion
from relay.answers.attempt_end import saved_of
from tests.support import cast
from tests.usage.rows import NOON, RATES, happen, price_version, refuse
from usage.breakdowns.explorer import explore
from usage.buckets.buckets import BUCKET
from usage.filters.filters import Scope, between
from usage.overview.overview import overview
from usage.rollups.levels import read_freshness

DAY = "range=custom&from=2026-11-18&to=2026-11-18"


@pytest.fixture
def used(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> int:
    """Requests at two prices and a plan's multiplier; what all of them saved, in nano."""
    total = 0
    for n, (rate, ppm) in enumerate(((75_000_000, 10**6), (15_000_000, 1_070_001))):
        rates = {"in_text": 150_000_000, "in_cache_read": rate, "out_text": 600_000_000}
        version = price_version(f"model-{n}", {"meters": rates})
        for tokens in (1, 333, 10**6):
            meters = {"in_text": 5, "in_cache_read": tokens, "out_text": 1}
            # By hand: nano per million tokens, half to even.
            exact = Decimal(tokens * (150_000_000 - rate) * ppm) / 10**12
            happen(
                key, NOON + n * BUCKET, 10**6, model=f"model-{n}", meters=meters,
                multiplier_ppm=ppm, price_version_id=version.id, saved_nano=round(exact),
                project="search" if n else "", hold_nano=10**10,
            )  # fmt: skip
            total += round(exact)
    refuse(key)
    sum_up()
    return total


def test_every_figure_is_the_sum_of_its_requests(people: cast.Cast, used: int) -> None:
    alice = cast.actor(people.alice, people.acme)
    asked = between(NOON - 8 * BUCKET, NOON + 8 * BUCKET, ZoneInfo("UTC"), NOON)
    seen = overview(alice, asked, read_freshness(), keys=3)
    assert sum(bucket.saved_nano or 0 for bucket in seen.buckets) == used
    assert [group.totals.saved_nano for group, _ in seen.keys] == [used]
    explored = explore(alice, asked, ["model"])
    assert explored.total.saved_nano == used
    by_model = {cell.groups[0].value: cell.totals.saved_nano for cell in explored.cells}
    # From the records, which alone know the project, and from the sums.
    of_second = replace(asked, scope=Scope(projects=("search",)))
    assert explore(alice, of_second, []).total.saved_nano == by_model["model-1"]
    bob = cast.actor(people.charlie, people.stranger)
    assert explore(bob, asked, []).total.saved_nano == 0


def test_pages_api_and_files_agree(people: cast.Cast, used: int) -> None:
    alice = cast.signed_in(people.alice)
    usd = Decimal(used) / 10**9
    _, text = cast.make_key(people.core, "api", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    body = api.get("/api/v1/usage?from=2026-11-18&to=2026-11-18").json()
    assert Decimal(body["total"]["saved_by_cache"]) == usd
    assert sum(Decimal(item["saved_by_cache"]) for item in body["items"]) == usd
    requests = api.get("/api/v1/requests?from=2026-11-18&to=2026-11-18").json()["items"]
    assert sum(Decimal(one["saved_by_cache"] or 0) for one in requests) == usd
    for page in ("requests", "usage/explore"):
        path = f"/o/acme/{page}?{DAY}&cols=saved&export=csv"
        file = alice.get(path).getvalue().decode()
        rows = list(csv.DictReader(file.splitlines()))
        assert sum(Decimal(row["saved_usd"] or 0) for row in rows) == usd, page


def test_uncounted_savings_are_unknown(
    people: cast.Cast, key: Key, used: int, sum_up: Callable[[], None]
) -> None:
    """One request of before: no sum that holds it says how much."""
    happen(key, NOON - BUCKET, 1, model="old", saved_nano=None)
    sum_up()
    alice = cast.actor(people.alice, people.acme)
    asked = between(NOON - 8 * BUCKET, NOON + 8 * BUCKET, ZoneInfo("UTC"), NOON)
    explored = explore(alice, asked, ["model"])
    assert explored.total.saved_nano is None
    saved = {cell.groups[0].value: cell.totals.saved_nano for cell in explored.cells}
    assert saved["old"] is None
    assert sum(nano for nano in saved.values() if nano) == used


@pytest.mark.parametrize(
    ("basis", "saved"),
    [("measured", 75_000), ("estimated", 75_000), ("free", 0), ("absorbed", 0), ("held", 0)],
)
def test_uncharged_request_saves_nothing(basis: str, saved: int) -> None:
    version = PriceVersion.from_stored(RATES)
    assert saved_of({"in_cache_read": 1000}, version, basis) == saved
    assert saved_of({"in_cache_read": 1000}, None, basis) == 0
