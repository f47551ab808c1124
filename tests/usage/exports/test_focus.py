"""The cost export in the columns of FOCUS 1.2."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import Key
from lib.ids import id_text
from tests.support import cast
from tests.support.golden_texts import GoldenTexts
from tests.usage.overview.test_api import management
from tests.usage.rows import NOON, happen, refuse
from usage.exports import exports, focus
from usage.filters.filters import between
from usage.models import Export
from usage.reports import too_many_records

pytestmark = pytest.mark.django_db

FILES = GoldenTexts(Path(__file__).with_name("focus.txt"))

# Of the specification: the columns that every row must have, and what may stand in some.
MANDATORY = {
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost"),
    *("EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory"),
}
_EDGES = ("Start", "End")
NULLABLE = {"ChargeClass"}
ALLOWED = {
    "ChargeCategory": {"Usage"},
    "ChargeFrequency": {"Usage-Based"},
    "PricingCategory": {"Standard"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
}


def rows_of(client: Client, path: str) -> list[dict[str, str]]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_focus_row_is_valid_and_they_sum_to_the_charges(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    for n in range(12):
        happen(key, NOON - dt.timedelta(hours=7 * n), 10**8 + n, model=f"m-{n % 2}")
    happen(key, NOON, 5, meters={"images": 2}, model="painter", own_nano=7_000_000_001)
    sum_up()
    days = "from=2026-11-14&to=2026-11-18"
    rows = rows_of(cast.signed_in(people.alice), f"/o/acme/usage/focus.csv?range=custom&{days}")
    assert rows == rows_of(management(people), f"/api/v1/usage/focus?{days}")
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("1.200000071")
    assert sum(int(row["x_Requests"]) for row in rows) == 13
    for row in rows:
        assert set(row) > MANDATORY
        assert not {name for name in MANDATORY - NULLABLE if not row[name]}
        for name, allowed in ALLOWED.items():
            assert row[name] in allowed
        # Without a unit price, one cost is as good as the other.
        assert len({row[name] for name in row if name.endswith("Cost")}) == 1
        start, end = (dt.datetime.fromisoformat(row[f"ChargePeriod{edge}"]) for edge in _EDGES)
        assert (end - start, start.hour, start.tzinfo) == (dt.timedelta(days=1), 0, dt.UTC)
        first, last = (dt.datetime.fromisoformat(row[f"BillingPeriod{edge}"]) for edge in _EDGES)
        assert first <= start < end <= last
        assert (first.day, last.day) == (1, 1)
        assert row["ResourceId"] == id_text(key.id)
    # What is paid to the provider itself is in its own bill, and in no cost here.
    assert {row["ServiceName"]: row["x_PaidToProviders"] for row in rows} == {
        "m-0": "0.00", "m-1": "0.00", "painter": "7.000000001",
    }  # fmt: skip
    (painted,) = [row for row in rows if row["ServiceName"] == "painter"]
    assert (painted["PricingQuantity"], painted["PricingUnit"]) == ("1", "Requests")


def test_export_contains_only_visible_rows(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    happen(key)
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    happen(other)
    sum_up()
    path = "/o/acme/usage/focus.csv?range=custom&from=2026-11-18&to=2026-11-18"
    assert len(rows_of(cast.signed_in(people.alice), path)) == 2
    (row,) = rows_of(cast.signed_in(people.bob), path)
    assert row["ResourceId"] == id_text(key.id)
    ids = {id_text(key.id): "§", id_text(people.acme.id): "§"}
    lines = [f"{name}: {ids.get(value, value)}" for name, value in row.items()]
    FILES.check("focus", {"focus": "\n".join(lines)})


def test_the_file_has_every_key_however_many_are_read_at_once(
    people: cast.Cast, sum_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four keys of one day: some reads end with a full batch, some with a part of one."""
    keys = [cast.make_key(people.core, f"key-{n}", user=people.alice)[0] for n in range(4)]
    for n, key in enumerate(keys):
        refuse(key, NOON, charge_nano=10**n)
    sum_up()
    alice = cast.actor(people.alice, people.acme)
    asked = between(NOON, NOON + dt.timedelta(hours=1), ZoneInfo("UTC"), NOON)
    charges = [Decimal(10**n).scaleb(-9) for n in range(4)]
    for at_once in (1, 2, 3, 4, 5):
        monkeypatch.setattr(focus, "_KEYS_AT_ONCE", at_once)
        found = [
            Decimal(cost) for columns in focus.focus_batches(alice, asked) for cost in columns[0]
        ]
        assert sorted(found) == charges, at_once


def test_slow_export_is_made_by_a_worker(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    for n in range(3):
        happen(key, NOON - dt.timedelta(days=n), 10**8 + n, project="search")
        happen(other, NOON - dt.timedelta(days=n), 7, project="search")
    happen(key, NOON, 10**9, project="chat")
    sum_up()
    # One key at a time.
    monkeypatch.setattr(focus, "_KEYS_AT_ONCE", 1)
    alice, days = cast.signed_in(people.alice), "from=2026-11-14&to=2026-11-18"
    query = f"range=custom&{days}&project=search"
    expected = rows_of(alice, f"/o/acme/usage/focus.csv?{query}")
    assert [row["x_Requests"] for row in expected] == ["1"] * 6
    assert sum(Decimal(row["BilledCost"]) for row in expected) == Decimal("0.300000024")

    monkeypatch.setattr(too_many_records, "RECORDS_MAX", 2)
    asked = alice.get(f"/o/acme/usage/focus.csv?{query}")
    assert asked.status_code == 302
    assert "Export costs" in alice.get(asked["Location"]).content.decode()
    assert alice.post(asked["Location"]).status_code == 303
    assert exports.make_next()
    export = Export.objects.get()
    assert (export.state, export.done, exports.file_name(export)[:6]) == ("done", 6, "focus-")
    assert "focus-" in alice.get("/o/acme/exports").content.decode()
    assert rows_of(alice, f"/o/acme/exports/{id_text(export.id)}/file") == expected

    client = management(people)
    body = {"format": "focus", "from": "2026-11-14", "to": "2026-11-18", "project": ["search"]}
    begun = client.post("/api/v1/exports", body, content_type="application/json")
    assert begun.status_code == 201, begun.content
    assert exports.make_next()
    assert rows_of(client, f"/api/v1/exports/{begun.json()['id']}/file") == expected
    refused = client.post(
        "/api/v1/exports", body | {"sort": "cost"}, content_type="application/json"
    )
    assert refused.status_code == 422
