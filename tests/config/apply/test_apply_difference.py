import datetime as dt
from typing import Any

import pytest

from config.apply.difference import (
    Id,
    Item,
    Kept,
    Secret,
    Value,
    compare,
    rates_as_written,
    serialize_difference,
    summary,
)

OLD, NEW = Secret(b"old"), Secret(b"new", "the text")
CHANNEL = Id("channel", ("main",))
DIRECT: dict[str, Value] = {
    "proxy_url": "", "ca_bundle": "", "proxy_login": None, "client_cert": "", "client_key": None,
}  # fmt: skip
ADDRESS: dict[str, Value] = {"provider": "openai", "base_url": "https://one.example"}


def there(**fields: Value) -> Item:
    return Item(CHANNEL, {**ADDRESS, **DIRECT, "keys": (OLD,), "priority": 5, **fields})


def wanted(**fields: Value) -> Item:
    return Item(CHANNEL, {**ADDRESS, **fields}, {"priority": 0, "keys": ()}, ("channels", 0))


def test_what_is_equal_changes_nothing() -> None:
    difference = compare([there()], [wanted(keys=(Kept(),), priority=5)], prune=False)
    assert difference.nothing
    assert summary(difference) == "nothing to change"


def test_an_unstated_field_keeps_its_value_unless_pruned() -> None:
    assert compare([there()], [wanted()], prune=False).nothing
    (change,) = compare([there()], [wanted(keys=(Kept(),))], prune=True).changes
    assert change.after == {"priority": 0}


def test_new_thing_gets_defaults_for_unstated_fields() -> None:
    (change,) = compare([], [wanted(priority=3)], prune=False).changes
    assert change.action == "create"
    assert change.after == {**ADDRESS, "keys": (), "priority": 3}


def test_unnamed_things_are_pruned_and_lasting_ones_never() -> None:
    lasting = Item(Id("team", ("acme", "core")), {}, lasting=True)
    assert compare([there(), lasting], [], prune=False).nothing
    (change,) = compare([there(), lasting], [], prune=True).changes
    assert (change.action, change.id) == ("remove", CHANNEL)


def test_a_new_address_drops_the_stored_secrets() -> None:
    (change,) = compare([there()], [wanted(base_url="https://two.example")], prune=False).changes
    dropped = {"keys": (), "proxy_login": None, "client_key": None}
    assert change.after == {"base_url": "https://two.example", **dropped}


def test_a_new_address_refuses_to_keep_a_secret() -> None:
    asked = wanted(base_url="https://two.example", keys=(Kept(),))
    (refused,) = compare([there()], [asked], prune=False).refused
    assert refused.path == ("channels", 0, "keys", 0)
    assert "give this one again" in refused.message


def test_a_new_address_is_given_the_same_secret_again() -> None:
    same = Secret(OLD.digest, "the same text")
    asked = wanted(base_url="https://two.example", keys=(same,))
    (change,) = compare([there()], [asked], prune=False).changes
    assert change.after["keys"] == (same,)


def test_keep_needs_a_stored_secret() -> None:
    (refused,) = compare([], [wanted(keys=(Kept(),))], prune=False).refused
    assert "no stored secret" in refused.message
    key = Item(Id("key", ("acme", "ci")), {"team": "core", "secret": Kept()}, path=("k",))
    (refused,) = compare([], [key], prune=False).refused
    assert refused.path == ("k", "secret")


def test_credit_is_posted_once_and_another_amount_is_told() -> None:
    organisation = Id("organisation", ("acme",))
    has = Item(organisation, {"credit": 100})
    asked = Item(organisation, {"credit": 200}, path=("organisations", 0))
    difference = compare([has], [asked], prune=False)
    assert difference.nothing
    assert "already posted" in difference.notes[0].message
    late = compare([Item(organisation, {"credit": None})], [asked], prune=False)
    assert late.changes[0].after == {"credit": 200}


def test_a_key_does_not_move_to_another_team() -> None:
    has = Item(Id("key", ("acme", "ci")), {"team": "core", "secret": OLD})
    asked = Item(Id("key", ("acme", "ci")), {"team": "lab", "secret": Kept()}, path=("k",))
    assert "cannot be moved" in compare([has], [asked], prune=False).refused[0].message


def test_difference_is_readable_and_shows_no_secret() -> None:
    price = Id("price", ("m", "2026-01-01T00:00:00Z"))
    rates = {"meters": {"in_text": 150_000_000}}
    later = {"meters": {"in_text": 200_000_000}}
    end = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    difference = compare(
        [there(), Item(price, {"rates": rates, "valid_to": None})],
        [wanted(keys=(NEW,)), Item(price, {"rates": later, "valid_to": end})],
        prune=False,
    )
    assert summary(difference).splitlines() == [
        "~ channel main",
        "    keys: 1 stored, 1 new, 1 dropped",
        "~ price m/2026-01-01T00:00:00Z",
        "    rates: {meters: {in_text: 0.15}} -> {meters: {in_text: 0.2}}",
        "    valid_to: none -> 2027-01-01T00:00:00Z",
    ]
    assert "the text" not in f"{serialize_difference(difference)}{difference}{summary(difference)}"
    assert serialize_difference(difference)[0]["fields"] == {
        "keys": {"before": ["••••"], "after": ["••••"]}
    }


RATES = {"in_text": 150_000_000}
WRITTEN = {"in_text": "0.15"}


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ({}, {}),
        ({"tiers": [], "conditions": None}, {}),
        (
            {"tiers": [{"input_over": 9, "meters": RATES}]},
            {"tiers": [{"input_over": 9, "mode": "whole", "meters": WRITTEN}]},
        ),
        (
            {"tiers": [{"input_over": 9, "mode": "marginal", "meters": RATES}]},
            {"tiers": [{"input_over": 9, "mode": "marginal", "meters": WRITTEN}]},
        ),
    ],
)
def test_price_is_exported_as_it_is_charged(
    stored: dict[str, Any], written: dict[str, object]
) -> None:
    """A stored tier without a mode prices the whole request (`billing/prices/pricing.py`)."""
    assert rates_as_written({"meters": RATES, **stored}) == {"meters": WRITTEN, **written}
