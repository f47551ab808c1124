"""The models that a new channel is offered: their names, which are ticked, and at which prices."""

import datetime as dt
from typing import Any

import pytest

from billing.prices.conditions import PriceKey
from billing.prices.prices import ListedPrice
from gateway.channel_setup.proposed_models import ProposedModel, propose_models
from gateway.channels.refusals import ChannelRefused
from gateway.providers import provider_named

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
USD = 10**9


def price(model: str, **rates: Any) -> ListedPrice:
    return ListedPrice(PriceKey(model), 1, 2, SINCE, None, rates, "file")


TOKENS = {"in_text": USD, "out_text": 2 * USD, "searches": 10**13}
PRICES = {
    "gpt-4o": price("gpt-4o", meters=TOKENS),
    "image-1": price("image-1", meters={"images": 42 * 10**12}),
}
OPENAI = provider_named("openai")


def proposed(*listed: str, **more: Any) -> list[ProposedModel]:
    return propose_models(OPENAI, listed, PRICES, **more)


def test_known_models_with_a_price_are_ticked() -> None:
    rows = proposed("gpt-4o", "gpt-4.1", "never-heard-of")
    assert [(row.upstream, row.name, row.ticked) for row in rows] == [
        ("gpt-4o", "gpt-4o", True), ("gpt-4.1", "gpt-4.1", False),
        ("never-heard-of", "never-heard-of", False),
    ]  # fmt: skip
    # Without any such model, those of a short list.
    names = [f"own-{n}" for n in range(25)]
    assert [row.ticked for row in proposed(*names)] == [True] * 20 + [False] * 5


def test_choices_of_the_operator_come_before() -> None:
    typed = {"in_text": "1", "in_cache_read": "", "out_text": "2"}
    rows = proposed("gpt-4o", "x", named={"x": "own"}, ticked=["x"], priced={"x": typed})
    assert [(row.name, row.ticked, row.typed) for row in rows] == [
        ("gpt-4o", False, None), ("own", True, typed),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("upstream", "name", "copied", "takes", "fields", "others"),
    [
        ("gpt-4o", "gpt-4o", False, False, ["", "", ""], ""),
        ("openai/gpt-4o", "openai/gpt-4o", True, True, ["1", "", "2"], ""),
        ("gpt-4o", "own", True, True, ["1", "", "2"], ""),
        ("never-heard-of", "never-heard-of", False, True, ["", "", ""], ""),
        ("image-1", "own", True, False, ["", "", ""], "$0.042 / image"),
    ],
)
def test_price_is_that_of_the_name_or_copied_from_the_model(
    upstream: str, name: str, copied: bool, takes: bool, fields: list[str], others: str
) -> None:
    (row,) = proposed(upstream, named={upstream: name})
    assert (row.copied, row.takes_price) == (copied, takes)
    assert [text for _, text in row.fields] == fields
    assert row.others == others
    assert (row.price is None) is (upstream == "never-heard-of")


def test_typed_rates_replace_the_proposed_ones() -> None:
    def new(upstream: str, *typed: str) -> Any:
        meters = ("in_text", "in_cache_read", "out_text")
        rates = {upstream: dict(zip(meters, typed, strict=True))}
        (row,) = proposed(upstream, named={upstream: "own"}, priced=rates)
        return row.new_rates()

    assert new("gpt-4o", "1", "", "2") == {"meters": TOKENS}
    changed = {"searches": 10**13, "in_text": 3 * USD, "in_cache_read": 0}
    assert new("gpt-4o", "3", "0", "") == {"meters": changed}
    assert new("never-heard-of", "", "", "") is None
    assert new("never-heard-of", "1", "", "") == {"meters": {"in_text": USD}}
    with pytest.raises(ChannelRefused, match=r"The price of own must be 0 or more"):
        new("never-heard-of", "x", "", "")
    (row,) = proposed("gpt-4o", priced={"gpt-4o": {"in_text": "9"}})
    with pytest.raises(ChannelRefused, match="gpt-4o already has a price"):
        row.new_rates()
