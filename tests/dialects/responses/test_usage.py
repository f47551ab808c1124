import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.responses.usage import encode, quantities
from dialects.usage.usage import Counts
from tests.dialects.exchanges import load_exchange
from tests.dialects.neutral import counts
from tests.dialects.responses.golden import ANSWERS, EXPECTED, check_usage


def meters(**members: object) -> tuple[dict[str, int], tuple[str, ...]]:
    got = quantities(json.dumps(members).encode())
    return got.meters, got.flags


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_usage(key: str) -> None:
    body = load_exchange(key)["response"]["body"]
    searches = sum(item["type"] == "web_search_call" for item in body["output"])
    got = quantities(json.dumps(body["usage"]).encode(), searches=searches)
    assert got.flags == ()
    check_usage(Counts.of(got.meters), EXPECTED["codec"][key]["usage"])


def test_every_part_is_in_one_meter() -> None:
    got, flags = meters(
        input_tokens=100,
        input_tokens_details={
            "cached_tokens": 70,
            "cache_write_tokens": 10,
            "audio_tokens": 20,
            "image_tokens": 30,
        },
        output_tokens=50,
        output_tokens_details={"reasoning_tokens": 20, "audio_tokens": 5, "image_tokens": 6},
        total_tokens=150,
    )
    assert flags == ()
    assert got == {
        "in_text": 0,
        "in_cache_read": 40,
        "in_cache_write_5m": 10,
        "in_audio_cached": 20,
        "in_image": 20,
        "in_image_cached": 10,
        "out_text": 19,
        "out_reasoning": 20,
        "out_audio": 5,
        "out_image": 6,
    }


# What Perplexity's Agent API answered to a request with two searches (2026-10).
PERPLEXITY = {
    "input_tokens": 11575,
    "input_tokens_details": {
        "cache_creation_input_tokens": 6296,
        "cache_read_input_tokens": 5270,
        "cached_tokens": 5270,
    },
    "output_tokens": 227,
    "output_tokens_details": {"reasoning_tokens": 28},
    "tool_calls_details": {"search_web": {"cost_usd": 0.005, "invocation": 2}},
    "total_tokens": 11802,
    "cost": {
        "cache_creation_cost": 0.00157,
        "cache_read_cost": 0.00033,
        "input_cost": 0,
        "output_cost": 0.00057,
        "tool_calls_cost": 0.005,
        "tool_calls_cost_details": {"search_web": 0.005},
        "currency": "USD",
        "total_cost": 0.00747,
    },
}


def test_perplexity_counts_searches_and_both_cache_sides() -> None:
    got = quantities(json.dumps(PERPLEXITY).encode())
    assert (got.flags, got.unknown) == ((), ())
    assert got.meters == {
        "in_text": 9,
        "in_cache_read": 5270,
        "in_cache_write_5m": 6296,
        "out_text": 199,
        "out_reasoning": 28,
        "searches": 2,
    }
    # The form of its reference has no `cached_tokens`.
    raw = json.dumps(PERPLEXITY).replace(', "cached_tokens": 5270', "")
    assert quantities(raw.encode()).meters == got.meters


@pytest.mark.parametrize(
    ("split", "meters"),
    [
        ({"ttl_30m_tokens": 60}, {"in_cache_write_30m": 60}),
        ({"ttl_12h_tokens": 60}, {"in_cache_write_12h": 60}),
        ({"ttl_30m_tokens": 20, "ttl_12h_tokens": 40},
         {"in_cache_write_30m": 20, "in_cache_write_12h": 40}),
        # The rest is kept for the shortest time.
        ({"ttl_30m_tokens": 20, "ttl_12h_tokens": 30},
         {"in_cache_write_5m": 10, "in_cache_write_30m": 20, "in_cache_write_12h": 30}),
        (None, {"in_cache_write_5m": 60}),
    ],
)  # fmt: skip
def test_each_token_written_to_a_cache_is_charged_once(
    split: dict[str, int] | None, meters: dict[str, int]
) -> None:
    details = {"cached_tokens": 0, "cache_write_tokens": 60, "cache_write_tokens_details": split}
    usage = {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": details}
    assert quantities(json.dumps(usage).encode()).meters == {"in_text": 40, **meters, "out_text": 1}


def test_lifetimes_of_more_than_was_written_are_reviewed() -> None:
    split = {"ttl_30m_tokens": 30, "ttl_12h_tokens": 31}
    details = {"cache_write_tokens": 60, "cache_write_tokens_details": split}
    usage = {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": details}
    assert quantities(json.dumps(usage).encode()).flags == ("usage_parts_above_total",)


@pytest.mark.parametrize(
    ("calls", "unknown"),
    [
        ({"fetch_url": {"invocation": 1}}, ("tool_calls_details.fetch_url.invocation",)),
        ({"fetch_url": {"invocation": 0}}, ()),
        (
            {"search_web": {"invocation": 1, "made_up": 2}},
            ("tool_calls_details.search_web.made_up",),
        ),
    ],
)
def test_unpriced_tool_calls_are_reviewed(
    calls: dict[str, object], unknown: tuple[str, ...]
) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "tool_calls_details": calls}
    assert quantities(json.dumps(usage).encode()).unknown == unknown


@pytest.mark.parametrize(
    ("cost", "unknown"), [(0.01, ()), ({"total_cost": 0.01}, ()), ([1], ("cost",)), (None, ())]
)
def test_a_cost_is_a_number_or_an_object(cost: object, unknown: tuple[str, ...]) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "cost": cost}
    assert quantities(json.dumps(usage).encode()).unknown == unknown


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (None, "usage_missing"),
        (b"null", "usage_missing"),
        (b"{}", "usage_missing"),
        (b"[]", "usage_unreadable"),
        (b"{", "usage_unreadable"),
        (b'{"input_tokens":3}', "usage_unreadable"),
        (b'{"input_tokens":"3","output_tokens":1}', "usage_not_integer"),
        (b'{"input_tokens":true,"output_tokens":1}', "usage_not_integer"),
        (b'{"input_tokens":-3,"output_tokens":1}', "usage_negative"),
        (b'{"input_tokens":3,"output_tokens":10000000000000}', "usage_huge"),
        (
            b'{"input_tokens":3,"output_tokens":1,"input_tokens_details":{"cached_tokens":4}}',
            "usage_cached_above_input",
        ),
        (
            b'{"input_tokens":3,"output_tokens":1,"input_tokens_details":{"audio_tokens":4}}',
            "usage_parts_above_total",
        ),
        (
            b'{"input_tokens":3,"output_tokens":1,"output_tokens_details":{"reasoning_tokens":4}}',
            "usage_parts_above_total",
        ),
    ],
)
def test_implausible_usage_is_not_priced(raw: bytes | None, flag: str) -> None:
    got = quantities(raw)
    assert flag in got.flags
    assert got.meters == {}


def test_zero_is_a_count_and_a_wrong_total_a_note() -> None:
    assert meters(input_tokens=0, output_tokens=0, input_tokens_details=None) == (
        {"in_text": 0, "out_text": 0},
        (),
    )
    assert meters(input_tokens=1, output_tokens=2, total_tokens=4)[1] == ("usage_mismatch",)


@given(counts())
def test_written_usage_reads_the_same(token_counts: Counts) -> None:
    got = quantities(json.dumps(encode(token_counts)).encode(), searches=token_counts.searches)
    assert got.flags == ()
    assert Counts.of(got.meters) == token_counts


@given(st.binary(max_size=80))
def test_no_bytes_crash_reading(raw: bytes) -> None:
    quantities(raw)
