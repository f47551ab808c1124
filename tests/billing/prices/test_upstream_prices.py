"""Prices that an upstream publishes: exact, and whatever is odd is named and never used."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices import upstream_prices
from billing.prices.pricing import PriceVersion
from billing.prices.upstream_prices import (
    MODELS_MAX,
    GroupNeeded,
    PricesInvalid,
    UpstreamPrices,
    read_upstream_prices,
)

# As OpenRouter's documents have it: everything a text, 0 for what has no price of its own.
PRICING = {
    "prompt": "0.00000125",
    "completion": "0.00001",
    "request": "0",
    "image": "0",
    "web_search": "0.01",
    "internal_reasoning": "0",
    "input_cache_read": "0.000000125",
    "input_cache_write": "0.0000015",
    "input_cache_write_1h": "0.0000025",
}
RATIO = {
    "model_name": "gpt-5",
    "quota_type": 0,
    "model_ratio": 0.625,
    "model_price": 0,
    "completion_ratio": 8,
    "owner_by": "",
    "enable_groups": ["default", "vip"],
    "supported_endpoint_types": ["openai"],
}


def models(*entries: Any) -> bytes:
    return json.dumps({"data": list(entries)}).encode()


def priced(**over: Any) -> bytes:
    return models({"id": "m", "name": "M", "pricing": {**PRICING, **over}})


def ratios(*entries: Any, **over: Any) -> bytes:
    whole = {"success": True, "group_ratio": {"default": 1, "vip": 0.8}, "data": list(entries)}
    return json.dumps({**whole, **over}).encode()


def meters(upstream_prices: UpstreamPrices, name: str = "m") -> dict[str, int]:
    assert upstream_prices.not_understood == {}
    read: dict[str, int] = upstream_prices.rates[name]["meters"]
    PriceVersion.from_stored(upstream_prices.rates[name])
    return read


def words(upstream_prices: UpstreamPrices, name: str) -> str:
    """The reason as its parts say it."""
    return " ".join(filter(None, upstream_prices.not_understood[name]))


def test_prices_by_token_are_exact() -> None:
    assert meters(read_upstream_prices(priced())) == {
        "in_text": 1_250_000_000,
        "out_text": 10_000_000_000,
        "in_cache_read": 125_000_000,
        "in_cache_write_5m": 1_500_000_000,
        "in_cache_write_1h": 2_500_000_000,
        "searches": 10 * 10**12,
    }


def test_ratios_are_exact_and_multiplied_by_the_groups() -> None:
    """A ratio of 1 is 2 USD per million tokens."""
    entry = {**RATIO, "cache_ratio": 0.1, "create_cache_ratio": 1.25, "image_ratio": 2}
    entry |= {"audio_ratio": 4, "audio_completion_ratio": 2}
    assert meters(read_upstream_prices(ratios(entry), "vip"), "gpt-5") == {
        "in_text": 1_000_000_000,
        "out_text": 8_000_000_000,
        "in_cache_read": 100_000_000,
        "in_cache_write_5m": 1_250_000_000,
        "in_cache_write_1h": 1_250_000_000,
        "in_image": 2_000_000_000,
        "in_audio": 4_000_000_000,
        "out_audio": 8_000_000_000,
    }
    call = {**RATIO, "quota_type": 1, "model_price": 0.05}
    upstream_prices = read_upstream_prices(ratios(call), "vip")
    assert meters(upstream_prices, "gpt-5") == {"requests": 40 * 10**12}


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"prompt": "-1", "completion": "-1"}, "below_zero prompt"),
        ({"prompt": "NaN"}, "no_number prompt NaN"),
        ({"prompt": "Infinity"}, "no_number prompt"),
        ({"prompt": "1e-6\n"}, "no_number prompt"),
        ({"prompt": "1e999999999"}, "no_number prompt"),
        ({"prompt": "0x1"}, "no_number prompt"),
        ({"prompt": "١"}, "no_number prompt"),
        ({"prompt": "0,000001"}, "no_number prompt"),
        ({"prompt": ""}, "no_number prompt"),
        ({"prompt": None}, "no_number prompt"),
        ({"prompt": True}, "no_number prompt"),
        ({"prompt": ["0.1"]}, "no_number prompt"),
        ({"prompt": {"usd": "0.1"}}, "no_number prompt"),
        ({"prompt": "5"}, "too_much prompt 0.01"),
        ({"prompt": "9" * 29}, "too_much prompt"),
        ({"request": "1001"}, "too_much request 1000"),
        ({"prompt": "0.0000000000000001"}, "not_exact prompt"),
        ({"input_cache_write": "0.00000008333333333333334"}, "not_exact input_cache_write"),
        ({"image": "0.001"}, "no_meter image"),
        ({"discount": 0.1}, "no_meter discount"),
        ({"overrides": [{"min_prompt_tokens": 200_000}]}, "no_meter overrides"),
        ({"video_second": "0.1"}, "unknown video_second"),
        ({"video_second": {"720p": "0.1"}}, "unknown video_second"),
        ({"prompt": "0", "completion": "0", "web_search": "0", "input_cache_read": "0",
          "input_cache_write": "0", "input_cache_write_1h": "0"}, "free"),
    ],
)  # fmt: skip
def test_invalid_price_is_named_and_its_model_skipped(over: dict[str, Any], why: str) -> None:
    upstream_prices = read_upstream_prices(priced(**over))
    assert upstream_prices.rates == {}
    assert words(upstream_prices, "m").startswith(why), upstream_prices.not_understood


@pytest.mark.parametrize("text", ["1.25e-6", "1.25E-6", "0.125e-5", 0.00000125])
def test_an_exponent_is_read_exactly(text: Any) -> None:
    assert meters(read_upstream_prices(priced(prompt=text)))["in_text"] == 1_250_000_000


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"quota_type": 2}, "quota_type quota_type 2"),
        ({"quota_type": "0"}, "quota_type quota_type 0"),
        ({"quota_type": True}, "quota_type quota_type True"),
        ({"model_ratio": -1}, "below_zero model_ratio"),
        ({"model_ratio": None}, "no_number model_ratio"),
        ({"model_ratio": 10**6}, "too_much model_ratio"),
        ({"model_ratio": 0}, "free"),
        ({"model_ratio": 1e-12}, "not_exact model_ratio"),
        ({"completion_ratio": "x"}, "no_number completion_ratio"),
        ({"cache_ratio": -0.1}, "below_zero cache_ratio"),
        ({"audio_completion_ratio": 2}, "alone audio_completion_ratio"),
        ({"billing_mode": "tiered_expr", "billing_expr": "p * 3"}, "no_meter billing_mode"),
        ({"video_ratio": 3}, "unknown video_ratio"),
        ({"extra_fee": {"usd": 1}}, "unknown extra_fee"),
        ({"enable_groups": ["vip"]}, "other_group default"),
        ({"enable_groups": None}, "other_group default"),
    ],
)
def test_invalid_ratio_is_named(over: dict[str, Any], why: str) -> None:
    upstream_prices = read_upstream_prices(ratios({**RATIO, **over}), "default")
    assert upstream_prices.rates == {}
    assert words(upstream_prices, "gpt-5").startswith(why), upstream_prices.not_understood


def test_unknown_members_are_listed_even_when_empty() -> None:
    """A member without a price does not keep a model from being read, and is told."""
    entries = [
        {"id": "a", "pricing": {**PRICING, "new_part": "0"}},
        {"id": "b", "pricing": {**PRICING, "new_part": "0.1"}},
    ]
    upstream_prices = read_upstream_prices(models(*entries))
    assert (set(upstream_prices.rates), set(upstream_prices.not_understood)) == ({"a"}, {"b"})
    assert upstream_prices.unknown == {"new_part": 2}
    upstream_prices = read_upstream_prices(
        ratios({**RATIO, "note": "x", "surcharge_price": 0}), "default"
    )
    assert (set(upstream_prices.rates), upstream_prices.unknown) == (
        {"gpt-5"},
        {"note": 1, "surcharge_price": 1},
    )


def test_ambiguous_names_are_not_used() -> None:
    twice = b'{"data": [{"id": "t", "pricing": {"prompt": "1e-6", "prompt": "2e-6"}},'
    twice += b'{"id": "u", "id": "v", "pricing": {"prompt": "1e-6", "completion": "1e-6"}}]}'
    upstream_prices = read_upstream_prices(twice)
    assert upstream_prices.rates == {}
    assert set(upstream_prices.not_understood) == {"t", "v"}
    entry = {"id": "m", "pricing": PRICING}
    odd: list[Any] = [entry, entry, {"pricing": PRICING}, "text", None, 7]
    odd += [{"id": name, "pricing": PRICING} for name in ("", "a b", "a\x00", "*", "x" * 201, 5)]
    upstream_prices = read_upstream_prices(models(*odd, {"id": "good", "pricing": PRICING}))
    assert set(upstream_prices.rates) == {"good"}
    assert len(upstream_prices.not_understood) == len(odd) - 1
    assert all(name.isprintable() for name in upstream_prices.not_understood)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"<!doctype html><html></html>", "it is no JSON"),
        (b"", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b'{"data": [{"id": "m", "pricing": {"prompt": NaN}}]}', "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"data": [{"id": "m", "pricing": {"prompt": ' + b"9" * 5000 + b"}}]}", "it is no JSON"),
        (b"[]", "it is no list"),
        (b'{"data": {}}', "it is no list"),
        (b'{"data": []}', "it is no list"),
        (b'{"data": [1], "data": [2]}', "it is no list"),
        (b'{"data": [{"id": "m"}]}', "it publishes no prices"),
        (b'{"error": {"message": "no"}}', "it is no list"),
        (json.dumps({"success": False, "data": [RATIO]}).encode(), "it says that it did not"),
        (json.dumps({"success": True, "data": [RATIO]}).encode(), "it publishes no ratios"),
        (ratios(RATIO, group_ratio={}), "it publishes no ratios"),
        (ratios(RATIO, group_ratio=["default"]), "it publishes no ratios"),
        (
            ratios(RATIO, group_ratio={"default": 7}).replace(b"7", b'1, "default": 2'),
            "it publishes no ratios",
        ),
        (ratios(RATIO, group_ratio={"default": "x"}), "ratio of the group is no number"),
        (ratios(RATIO, group_ratio={"default": -1}), "ratio of the group is below 0"),
        (models(*[{"id": "m", "pricing": PRICING}] * (MODELS_MAX + 1)), "it lists more than"),
    ],
)  # fmt: skip
def test_malformed_list_is_rejected(text: bytes, why: str) -> None:
    with pytest.raises(PricesInvalid, match=why):
        read_upstream_prices(text)


def test_the_longest_list_is_read() -> None:
    entries = [{"id": f"m-{n}", "pricing": PRICING} for n in range(MODELS_MAX)]
    assert len(read_upstream_prices(models(*entries)).rates) == MODELS_MAX


def test_the_group_is_asked_for_and_never_guessed() -> None:
    with pytest.raises(GroupNeeded) as needed:
        read_upstream_prices(ratios(RATIO))
    assert needed.value.groups == ("default", "vip")
    assert str(needed.value) == "choose the group of your key: default, vip"
    with pytest.raises(GroupNeeded):
        read_upstream_prices(ratios(RATIO), "svip")
    only = read_upstream_prices(ratios(RATIO, group_ratio={"default": 2}))
    assert meters(only, "gpt-5")["in_text"] == 2_500_000_000


def test_zero_group_ratio_has_no_paid_model_and_is_no_fault() -> None:
    free = read_upstream_prices(ratios(RATIO, group_ratio={"default": 0}))
    assert (free.rates, words(free, "gpt-5")) == ({}, "free")


def test_ten_thousand_models_are_read() -> None:
    upstream_prices = read_upstream_prices(
        models(*({"id": f"m-{n}", "pricing": PRICING} for n in range(10_000)))
    )
    assert len(upstream_prices.rates) == 10_000


@given(
    st.decimals(0, "0.01", places=15, allow_nan=False),
    st.decimals(0, "0.01", places=15, allow_nan=False),
)
def test_a_price_is_read_as_it_is_written(prompt: Any, completion: Any) -> None:
    """No digit is lost and none is made up, however the number is written."""
    for form in (f"{prompt:f}", f"{prompt:e}"):
        upstream_prices = read_upstream_prices(priced(prompt=form, completion=f"{completion:f}"))
        read = meters(upstream_prices)
        assert Fraction(read["in_text"], 10**15) == Fraction(prompt)
        assert Fraction(read["out_text"], 10**15) == Fraction(completion)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
members = st.sampled_from([*PRICING, *RATIO, "new_price", "discount", "overrides", "tiers"])
# One that is odd decides about its model: the more there are, the less is said of each.
odd_members = st.dictionaries(members, anything, max_size=4)


@given(odd_members, odd_members)
def test_every_published_model_is_read_or_named(
    pricing: dict[str, Any], ratio: dict[str, Any]
) -> None:
    """I14: nothing is dropped unsaid, and what is read can be a price."""
    ratio = {**RATIO, **ratio, "model_name": "m"}
    for text in (models({"id": "m", "pricing": {**PRICING, **pricing}}), ratios(ratio)):
        try:
            upstream_prices = read_upstream_prices(text, "default")
        except PricesInvalid:
            continue
        assert upstream_prices.names == {"m"}
        for one_expected in upstream_prices.rates.values():
            assert any(PriceVersion.from_stored(one_expected).rates.values())


@pytest.mark.parametrize(
    ("usd", "nano"),
    [(Fraction(-1, 10**15), "below_zero"), (Fraction(0), 0), (Fraction(1, 10**15), 1),
     (Fraction(1, 10**16), "not_exact"), (Fraction(1), 10**15),
     (Fraction(1) + Fraction(1, 10**15), "too_much")],
)  # fmt: skip
def test_unit_price_is_exact_within_its_bounds(usd: Fraction, nano: int | str) -> None:
    if isinstance(nano, int):
        assert upstream_prices._nano("prompt", usd, "1") == nano
        return
    with pytest.raises(upstream_prices._NotUnderstood) as refused:
        upstream_prices._nano("prompt", usd, "1")
    assert refused.value.reason.code == nano


@pytest.mark.parametrize("pricing", [None, "0.1", 1, True, [], ["prompt"], [PRICING], ""])
def test_unpriced_model_is_named_and_others_are_read(pricing: Any) -> None:
    entries = [{"id": "odd", "pricing": pricing}, {"id": "none"}, {"id": "m", "pricing": PRICING}]
    result = read_upstream_prices(models(*entries))
    assert [words(result, name) for name in ("odd", "none")] == ["no_prices", "no_prices"]
    assert result.rates.keys() == {"m"}
