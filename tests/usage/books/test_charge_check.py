"""What a record must have been charged, by its own basis, fee, parts, price and hold (I10)."""

from typing import Any, Final

import pytest

from accounts.models import Key, Team
from tests.support.cast import Cast, make_key
from tests.usage import rows
from usage.books import charge_check
from usage.books.charge_check import wrong_charges

pytestmark = pytest.mark.django_db

# A record with 1,000 tokens in and 100 out, at 0.15 and 0.60 USD per million, costs this.
COST: Final = 210_000
HALF: Final = {"in_text": 500, "out_text": 50}


def parts(*used: dict[str, int]) -> dict[str, Any]:
    return {"parts": [{"meters": meters} for meters in used]}


FEE: Final = {"request_nano": 500, "million_nano": 10**6}
OWN: Final = {"own_fee": FEE, "own_nano": COST}
UNKNOWN: Final = {"meters": {"nonsense": 1}}

CACHED: Final = {
    "basis": "cached", "meters": {}, "price_version_id": None,
    "pricing": {"cached": {"request": "r", "charge_nano": 210_001, "price_percent": 50}},
}  # fmt: skip

# The columns of a record, and what is wrong with it, if anything is.
RECORDS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({}, ""),
    ({"charge_nano": COST - 1}, "charged 209999, expected 210000"),
    # No more than was held.
    ({"hold_nano": 1_000, "charge_nano": 1_000}, ""),
    ({"hold_nano": COST - 1}, "charged 210000, expected 209999"),
    # Bases that charge nothing, and records without a price.
    ({"basis": "free", "charge_nano": 0}, ""),
    ({"basis": "free", "charge_nano": 1}, "charged 1, expected 0"),
    ({"price_version_id": None, "charge_nano": 0}, ""),
    ({"price_version_id": None, "charge_nano": 1}, "charged 1, expected 0"),
    # What the price does not have.
    ({"meters": {"images": 1}, "charge_nano": 0}, "its meters have no price"),
    # What caches saved, and records of before it was counted.
    ({"meters": {"in_cache_read": 1_000}, "charge_nano": 75_000, "saved_nano": 75_000}, ""),
    ({"saved_nano": 1}, "saved 1, expected 0"),
    ({"saved_nano": None}, ""),
    ({"charge_nano": COST + 1, "saved_nano": 1}, "charged 210001, expected 210000"),
    # Parts are what the record used, each with a price.
    ({"pricing": parts(HALF, HALF)}, ""),
    ({"pricing": parts(HALF, HALF), "charge_nano": 1}, "charged 1, expected 210000"),
    ({"pricing": parts(HALF, HALF), "saved_nano": 1}, "saved 1, expected 0"),
    ({"pricing": parts(HALF), "charge_nano": COST // 2}, "its parts are not what it used"),
    (
        {"pricing": parts(rows.METERS, {"images": 1})},
        "its parts are not what it used",
    ),
    (
        {"pricing": parts({"images": 1}), "meters": {"images": 1}, "charge_nano": 0},
        "its parts have no price",
    ),
    (
        {"pricing": {"parts": [{"meters": rows.METERS, "rates": UNKNOWN}]}},
        "its parts have no price",
    ),
    # An own key: its fee alone, no more than was held.
    ({**OWN, "charge_nano": 1_600}, ""),
    ({**OWN, "charge_nano": COST}, "charged 210000, expected 1600"),
    ({**OWN, "hold_nano": 1_000, "charge_nano": 1_000}, ""),
    # A stored answer: its share of the charge of the request that it answered, half to even.
    ({**CACHED, "charge_nano": 105_000}, ""),
    ({**CACHED, "charge_nano": 105_001}, "charged 105001, expected 105000"),
    ({**CACHED, "hold_nano": 1_000, "charge_nano": 1_000}, ""),
)


def test_every_kind_of_record_is_judged_by_its_own_rule(people: Cast) -> None:
    key, version = credited(people.core), rows.price_version()
    made = [
        (rows.happen(key, **{"price_version_id": version.id, **columns}), columns)
        for columns, _ in RECORDS
    ]
    found = dict(wrong_charges())
    told = [(columns, found.get(record.id, "").partition(":")[0]) for record, columns in made]
    assert told == list(RECORDS)


def test_records_are_checked_to_the_end_of_each_organisation(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wrong record once, in the first and the last page of each."""
    monkeypatch.setattr(charge_check, "_ROWS", 2)
    wrong = [
        rows.happen(key, charge_nano=1, price_version_id=None).id
        for key in (credited(people.core), credited(people.stranger.teams.get()))
        for _ in range(5)
    ]
    assert sorted(id for id, _ in wrong_charges()) == sorted(wrong)


def credited(team: Team) -> Key:
    key, _ = make_key(team)
    rows.credit(key)
    return key
