import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.openai import usage as module
from dialects.openai.usage import encode, quantities
from dialects.usage.impossible_counts import COUNT_MAX
from dialects.usage.usage import RAW_BYTES_MAX, Counts, storable
from tests.dialects.neutral import counts


def of(**usage: object) -> tuple[dict[str, int], tuple[str, ...]]:
    got = quantities(json.dumps(usage).encode())
    return got.meters, got.flags


_COUNTS = st.sampled_from([0, 1, 2, 3, 5, -1, 20_000_001, None, 1.0, True, "2"])
_PARTS = st.dictionaries(
    st.sampled_from(
        ["cached_tokens", "text_tokens", "audio_tokens", "image_tokens", "cache_write_tokens",
         "reasoning_tokens", "accepted_prediction_tokens", "unheard_of"]
    ),
    _COUNTS,
    max_size=3,
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"prompt_tokens": _COUNTS, "completion_tokens": _COUNTS},
        optional={
            "total_tokens": st.integers(0, 8),
            "prompt_tokens_details": st.none() | _PARTS,
            "completion_tokens_details": st.none() | _PARTS,
            "cached_tokens": _COUNTS,
        },
    )
)
def test_the_usual_usage_is_read_like_any_other(usage: dict[str, object]) -> None:
    """And in the same order, for it is stored as text."""
    raw = json.dumps(usage).encode()
    if (plain := module._plain_quantities(raw)) is not None:
        expected = module._any_quantities(raw)
        assert plain == expected
        assert [*plain.meters] == [*expected.meters]


def test_the_usual_usage_has_cached_and_reasoning_tokens() -> None:
    raw = (
        b'{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9,'
        b'"prompt_tokens_details":{"cached_tokens":2,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":3}}'
    )
    plain = module._plain_quantities(raw)
    assert plain is not None
    assert plain.meters == {"in_text": 3, "in_cache_read": 2, "out_text": 1, "out_reasoning": 3}
    assert module._plain_quantities(raw.replace(b"9", b"8")) is None


def test_cached_reasoning_and_audio_are_split_out() -> None:
    assert of(
        prompt_tokens=1000,
        completion_tokens=150,
        total_tokens=1150,
        prompt_tokens_details={"cached_tokens": 400, "audio_tokens": 200, "image_tokens": 50},
        completion_tokens_details={"reasoning_tokens": 30, "audio_tokens": 100, "image_tokens": 5},
    ) == (
        {
            "in_text": 350,
            "in_cache_read": 400,
            "in_audio": 200,
            "in_image": 50,
            "out_text": 15,
            "out_reasoning": 30,
            "out_audio": 100,
            "out_image": 5,
        },
        (),
    )


def test_cached_counts_against_text_then_audio_then_image() -> None:
    meters, flags = of(
        prompt_tokens=100,
        completion_tokens=0,
        prompt_tokens_details={"cached_tokens": 95, "audio_tokens": 40, "image_tokens": 20},
    )
    assert flags == ()
    assert meters == {
        "in_text": 0,
        "in_cache_read": 40,
        "in_audio_cached": 40,
        "in_image": 5,
        "in_image_cached": 15,
        "out_text": 0,
    }


@pytest.mark.parametrize("name", ["cache_write_tokens", "cache_creation_input_tokens"])
def test_cache_writes(name: str) -> None:
    meters, _ = of(prompt_tokens=100, completion_tokens=1, prompt_tokens_details={name: 60})
    assert meters == {"in_text": 40, "in_cache_write_5m": 60, "out_text": 1}


def test_nothing_is_written_to_a_cache_where_the_first_name_says_so() -> None:
    # F28: a zero that was sent.
    details = {"cache_write_tokens": 0, "cache_creation_input_tokens": 60}
    meters, _ = of(prompt_tokens=100, completion_tokens=1, prompt_tokens_details=details)
    assert meters == {"in_text": 100, "out_text": 1}


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400},
        {"cached_tokens": 600},
        {"prompt_tokens_details": {"cached_tokens": 600}},
        # The best known of several counts.
        {"cached_tokens": 500, "prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400},
        {"prompt_tokens_details": {"cached_tokens": 600}, "prompt_cache_hit_tokens": 500},
    ],
)
def test_cached_forms(usage: dict[str, object]) -> None:
    meters, flags = of(prompt_tokens=1000, completion_tokens=200, **usage)
    assert meters == {"in_text": 400, "in_cache_read": 600, "out_text": 200}
    assert flags == ()


@pytest.mark.parametrize(
    ("completion", "total", "reasoning", "output", "flags"),
    [
        (500, 600, 300, 500, ()),
        (200, 600, 300, 500, ()),
        (200, 700, 300, 600, ("usage_mismatch",)),
        (200, None, 300, 500, ("usage_mismatch",)),
        (500, None, 300, 500, ()),
        (500, 9999, 300, 500, ("usage_mismatch",)),
    ],
)
def test_reasoning_inside_or_outside(
    completion: int, total: int | None, reasoning: int, output: int, flags: tuple[str, ...]
) -> None:
    details = {"reasoning_tokens": reasoning}
    meters, got = of(
        prompt_tokens=100,
        completion_tokens=completion,
        total_tokens=total,
        completion_tokens_details=details,
    )
    assert got == flags
    assert meters["out_text"] + meters["out_reasoning"] == output


def test_a_missing_side_follows_from_the_total() -> None:
    assert of(prompt_tokens=5, total_tokens=9) == ({"in_text": 5, "out_text": 4}, ())
    assert of(completion_tokens=4, total_tokens=9) == ({"in_text": 5, "out_text": 4}, ())
    assert of(completion_tokens=10, total_tokens=9) == ({}, ("usage_parts_above_total",))
    assert of(prompt_tokens=5) == ({}, ("usage_unreadable",))
    assert of(total_tokens=5) == ({}, ("usage_unreadable",))


def test_zero_is_a_count() -> None:
    assert of(prompt_tokens=0, completion_tokens=0) == ({"in_text": 0, "out_text": 0}, ())


@pytest.mark.parametrize("raw", [None, b"null", b"{}"])
def test_missing(raw: bytes | None) -> None:
    got = quantities(raw)
    assert got.missing
    assert not got.quarantined
    assert got.meters == {}


@pytest.mark.parametrize("raw", [b"[1]", b'{"prompt_tokens":1e400}', b"{", b'"x"'])
def test_unreadable(raw: bytes) -> None:
    assert quantities(raw).flags == ("usage_unreadable",)
    assert not quantities(raw).missing


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (-1, "usage_negative"),
        (1.0, "usage_not_integer"),
        ("7", "usage_not_integer"),
        (True, "usage_not_integer"),
        ([], "usage_not_integer"),
        (10**18, "usage_huge"),
    ],
)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "num_sources_used"])
def test_implausible_usage_is_quarantined(name: str, value: object, flag: str) -> None:
    got = quantities(json.dumps({"prompt_tokens": 1, "completion_tokens": 1, name: value}).encode())
    assert flag in got.flags
    assert got.quarantined
    assert got.meters == {}


def test_largest_possible_count_is_charged() -> None:
    # A member beside the usual ones, so that the careful reading is what is asked.
    for count, flags in ((COUNT_MAX, ()), (COUNT_MAX + 1, ("usage_huge", "usage_unreadable"))):
        got = of(prompt_tokens=count, completion_tokens=1, num_sources_used=0)
        assert got == ({"in_text": count, "out_text": 1} if not flags else {}, flags)


@pytest.mark.parametrize(
    ("details", "flag"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 400}}, "usage_cached_above_input"),
        ({"prompt_tokens_details": {"audio_tokens": 101}}, "usage_parts_above_total"),
        ({"prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 20}},
         "usage_parts_above_total"),
        ({"completion_tokens_details": {"audio_tokens": 11}}, "usage_parts_above_total"),
    ],
)  # fmt: skip
def test_parts_above_their_whole(details: dict[str, object], flag: str) -> None:
    assert of(prompt_tokens=100, completion_tokens=10, **details) == ({}, (flag,))


@pytest.mark.parametrize(
    ("total", "meters", "flags"),
    [
        (260, {"in_text": 100, "out_text": 110, "out_reasoning": 50}, ("usage_mismatch",)),
        (300, {"in_text": 100, "out_text": 150, "out_reasoning": 50}, ()),
        (350, {"in_text": 100, "out_text": 200, "out_reasoning": 50}, ()),
        # Less than the reasoning: the total counts less than the parts, which stay.
        (150, {"in_text": 100, "out_text": 0, "out_reasoning": 50}, ("usage_mismatch",)),
        (120, {"in_text": 100, "out_text": 150, "out_reasoning": 50}, ("usage_mismatch",)),
        (90, {"in_text": 100, "out_text": 150, "out_reasoning": 50}, ("usage_mismatch",)),
    ],
)
def test_total_of_grok_decides_even_if_it_fits_neither_rule(
    total: int, meters: dict[str, int], flags: tuple[str, ...]
) -> None:
    got = of(
        prompt_tokens=100,
        completion_tokens=200,
        total_tokens=total,
        completion_tokens_details={"reasoning_tokens": 50},
        num_sources_used=0,
    )
    assert (got[0], tuple(sorted(got[1]))) == (meters, flags)


def test_mismatch_is_flagged_and_counted() -> None:
    meters, flags = of(prompt_tokens=5, completion_tokens=5, total_tokens=11)
    assert flags == ("usage_mismatch",)
    assert meters == {"in_text": 5, "out_text": 5}
    _, flags = of(
        prompt_tokens=5,
        completion_tokens=5,
        prompt_cache_hit_tokens=1,
        prompt_cache_miss_tokens=1,
    )
    assert flags == ("usage_mismatch",)


def test_searches() -> None:
    assert of(prompt_tokens=0, completion_tokens=0, num_sources_used=2)[0]["searches"] == 2
    plugins = {"search": {"count": 3}}
    assert of(prompt_tokens=0, completion_tokens=0, plugins=plugins)[0]["searches"] == 3
    # One of two members counts the searches; the other may be sent as 0.
    both = of(prompt_tokens=0, completion_tokens=0, num_sources_used=0, plugins=plugins)
    assert both[0]["searches"] == 3


def test_storable() -> None:
    assert storable(b'{"a":1}') == b'{"a":1}'
    assert storable(rb'{"a":"\u0000\\u0000\\\u0000"}') == rb'{"a":"\ufffd\\u0000\\\ufffd"}'
    assert storable(b"x" * RAW_BYTES_MAX) == b"x" * RAW_BYTES_MAX
    assert storable(b"x" * (RAW_BYTES_MAX + 1)) == b'{"dropped_bytes":16385}'


COUNT = st.none() | st.integers(-3, 400) | st.floats() | st.booleans() | st.text(max_size=2)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens"])
    | st.just("cache_write_tokens"),
    COUNT,
)


@given(COUNT, COUNT, COUNT, DETAILS, DETAILS)
def test_meters_are_disjoint_and_sum_up(
    prompt: object, completion: object, total: object, inside: object, outside: object
) -> None:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": inside,
        "completion_tokens_details": outside,
    }
    got = quantities(json.dumps(usage).encode())
    assert all(count >= 0 for count in got.meters.values())
    assert bool(got.meters) != (got.quarantined or got.missing)
    if got.meters and prompt is not None:
        assert sum(n for meter, n in got.meters.items() if meter.startswith("in_")) == prompt


@given(st.binary(max_size=60))
def test_no_bytes_crash(raw: bytes) -> None:
    quantities(raw)


@given(counts())
def test_written_counts_read_the_same(token_counts: Counts) -> None:
    read = quantities(json.dumps(encode(token_counts)).encode())
    assert read.flags == ()
    assert Counts.of(read.meters) == token_counts


def test_all_details_are_reported() -> None:
    assert encode(Counts(input=5, output=4, reasoning=3, cache_write_1h=2)) == {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "text_tokens": 5,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cache_write_tokens": 2,
        },
        "completion_tokens_details": {
            "text_tokens": 1,
            "reasoning_tokens": 3,
            "audio_tokens": 0,
            "image_tokens": 0,
        },
    }


# What hosts of open models and Mistral send, beside what OpenAI does: members of their references.
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (  # Groq: its client for Python, CompletionUsage
            {"queue_time": 0.03, "prompt_time": 0.01, "completion_time": 0.2, "total_time": 0.21,
             "prompt_tokens_details": {"cached_tokens": 4},
             "completion_tokens_details": {"reasoning_tokens": 2}},
            {"in_text": 6, "in_cache_read": 4, "out_text": 3, "out_reasoning": 2},
        ),
        (  # Cerebras: its client for Python
            {"prompt_tokens_details": {"cached_tokens": 4},
             "completion_tokens_details": {"accepted_prediction_tokens": 1,
                                           "rejected_prediction_tokens": 0}},
            {"in_text": 6, "in_cache_read": 4, "out_text": 5},
        ),
        (  # Mistral: its client for Python, UsageInfo
            {"prompt_audio_seconds": None, "request_count": 1, "num_cached_tokens": 4,
             "prompt_tokens_details": {"cached_tokens": 4, "messages": [
                 {"role": "user", "total_tokens": 10, "truncated": False, "usage_count": 1}]},
             "prompt_token_details": {"cached_tokens": 4, "audio_tokens": 0, "messages": None},
             "completion_tokens_details": {"reasoning_tokens": 2}},
            {"in_text": 6, "in_cache_read": 4, "out_text": 3, "out_reasoning": 2},
        ),
        ({"cached_tokens": 4}, {"in_text": 6, "in_cache_read": 4, "out_text": 5}),  # Together AI
        ({"estimated_cost": 0.0000268}, {"in_text": 10, "out_text": 5}),  # DeepInfra
    ],
)  # fmt: skip
def test_members_of_other_hosts(usage: dict[str, object], expected: dict[str, int]) -> None:
    counted = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    got = quantities(json.dumps(counted | usage).encode())
    assert (got.flags, got.unknown) == ((), ())
    assert got.meters == expected


def test_mistral_audio_is_charged_by_the_second() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_audio_seconds": 7}
    assert quantities(json.dumps(usage).encode()).unknown == ("prompt_audio_seconds",)
