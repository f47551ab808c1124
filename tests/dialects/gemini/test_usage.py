import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini.usage import encode, quantities, with_searches
from dialects.usage.usage import Counts
from tests.dialects import neutral


def read(**usage: Any) -> tuple[dict[str, int], tuple[str, ...]]:
    got = quantities(json.dumps(usage).encode())
    return got.meters, got.flags


def details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


@pytest.mark.parametrize(
    ("usage", "meters"),
    [
        ({"promptTokenCount": 1000, "cachedContentTokenCount": 300, "candidatesTokenCount": 200,
          "thoughtsTokenCount": 100, "totalTokenCount": 1300},
         {"in_text": 700, "in_cache_read": 300, "out_text": 200, "out_reasoning": 100}),
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 90, "candidatesTokenCount": 8,
          "totalTokenCount": 103, "webSearchCount": 2},
         {"in_text": 95, "out_text": 8, "searches": 2}),
        ({"promptTokenCount": 0, "totalTokenCount": 0}, {"in_text": 0, "out_text": 0}),
        ({"promptTokenCount": 4}, {"in_text": 4, "out_text": 0}),
        ({"totalTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2},
         {"in_text": 3, "out_text": 4, "out_reasoning": 2}),
        ({"promptTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 9},
         {"in_text": 3, "out_text": 4, "out_reasoning": 2}),
        ({"promptTokenCount": 100,
          "promptTokensDetails": details(TEXT=50, AUDIO=20, IMAGE=10, VIDEO=15, DOCUMENT=5),
          "candidatesTokenCount": 60, "candidatesTokensDetails": details(AUDIO=10, IMAGE=20)},
         {"in_text": 70, "in_audio": 20, "in_image": 10,
          "out_text": 30, "out_audio": 10, "out_image": 20}),
        ({"promptTokenCount": 100, "promptTokensDetails": details(AUDIO=20, IMAGE=10),
          "cachedContentTokenCount": 30, "cacheTokensDetails": details(TEXT=5, AUDIO=20, IMAGE=5)},
         {"in_text": 65, "in_cache_read": 5, "in_audio_cached": 20, "in_image": 5,
          "in_image_cached": 5, "out_text": 0}),
        ({"promptTokenCount": 100, "promptTokensDetails": details(AUDIO=20, IMAGE=10),
          "cachedContentTokenCount": 95},
         {"in_text": 0, "in_cache_read": 70, "in_audio_cached": 20, "in_image": 5,
          "in_image_cached": 5, "out_text": 0}),
        ({"promptTokenCount": 1, "toolUsePromptTokenCount": 9,
          "toolUsePromptTokensDetails": details(AUDIO=2, IMAGE=3)},
         {"in_text": 5, "in_audio": 2, "in_image": 3, "out_text": 0}),
        # A modality may be listed twice.
        ({"promptTokenCount": 100,
          "promptTokensDetails": [*details(AUDIO=20, IMAGE=10), *details(AUDIO=7, IMAGE=3)]},
         {"in_text": 60, "in_audio": 27, "in_image": 13, "out_text": 0}),
        # No more is cached than all cached tokens.
        ({"promptTokenCount": 100, "promptTokensDetails": details(AUDIO=20, IMAGE=10),
          "cachedContentTokenCount": 25, "cacheTokensDetails": details(AUDIO=20, IMAGE=10)},
         {"in_text": 70, "in_audio_cached": 20, "in_image": 5, "in_image_cached": 5,
          "out_text": 0}),
        ({"promptTokenCount": 1, "promptTokensDetails": [3, {"modality": "AUDIO"}],
          "cacheTokensDetails": 3}, {"in_text": 1, "out_text": 0}),
    ],
)  # fmt: skip
def test_meters(usage: dict[str, Any], meters: dict[str, int]) -> None:
    assert read(**usage) == (meters, ())


@pytest.mark.parametrize("missing", ["promptTokenCount", "candidatesTokenCount"])
@pytest.mark.parametrize("part", ["toolUsePromptTokenCount", "thoughtsTokenCount"])
def test_token_is_counted_once_where_a_count_is_missing(missing: str, part: str) -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 8, part: 90, "totalTokenCount": 103}
    complete = read(**usage)
    assert sum(complete[0].values()) == 103
    del usage[missing]
    assert read(**usage) == complete


def test_inconsistent_total_is_reported() -> None:
    got = read(promptTokenCount=1, candidatesTokenCount=2, totalTokenCount=9)
    assert got == ({"in_text": 1, "out_text": 2}, ("usage_mismatch",))


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        ({"candidatesTokenCount": 1}, "usage_unreadable"),
        ({"promptTokenCount": -1, "totalTokenCount": 1}, "usage_negative"),
        ({"promptTokenCount": 1.0}, "usage_not_integer"),
        ({"promptTokenCount": True}, "usage_not_integer"),
        ({"promptTokenCount": "1"}, "usage_not_integer"),
        ({"promptTokenCount": 10**18}, "usage_huge"),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 400}, "usage_cached_above_input"),
        ({"promptTokenCount": 1, "promptTokensDetails": details(AUDIO=2)},
         "usage_parts_above_total"),
        ({"promptTokenCount": 1, "toolUsePromptTokensDetails": details(AUDIO=2)},
         "usage_parts_above_total"),
        ({"promptTokenCount": 1, "toolUsePromptTokenCount": 2,
          "toolUsePromptTokensDetails": details(AUDIO=1, IMAGE=2)}, "usage_parts_above_total"),
        ({"promptTokenCount": 1, "candidatesTokensDetails": details(IMAGE=2)},
         "usage_parts_above_total"),
        ({"promptTokenCount": 9, "totalTokenCount": 4}, "usage_parts_above_total"),
        ({"totalTokenCount": 1, "candidatesTokenCount": 4}, "usage_parts_above_total"),
    ],
)  # fmt: skip
def test_implausible_usage_is_not_priced(usage: dict[str, Any], flag: str) -> None:
    meters, flags = read(**usage)
    assert meters == {}
    assert flag in flags


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (None, "usage_missing"),
        (b"null", "usage_missing"),
        (b"{}", "usage_missing"),
        (b"[]", "usage_unreadable"),
        (b"{", "usage_unreadable"),
        (b'{"a":"\xff"}', "usage_unreadable"),
        (b"[" * 100_000, "usage_unreadable"),
    ],
)
def test_no_object(raw: bytes | None, flag: str) -> None:
    assert quantities(raw).flags == (flag,)


@pytest.mark.parametrize(
    ("raw", "searches", "expected"),
    [
        (b'{"a":1}', 0, b'{"a":1}'),
        (b'{"a":1}', 2, b'{"a":1,"webSearchCount":2}'),
        (b"{ } \n", 2, b'{ "webSearchCount":2}'),
        (b"3", 2, b"3"),
    ],
)
def test_searches_are_put_in(raw: bytes, searches: int, expected: bytes) -> None:
    assert with_searches(raw, searches) == expected


@given(neutral.counts())
def test_written_usage_reads_the_same(counts: Counts) -> None:
    got = Counts.of(quantities(json.dumps(encode(counts)).encode()).meters)
    for name in ("input", "output", "cache_read", "reasoning", "output_audio", "output_image"):
        assert getattr(got, name) == getattr(counts, name)
    assert (got.input_audio, got.input_image) == (counts.input_audio, counts.input_image)


@given(st.binary(max_size=60))
def test_no_bytes_crash(raw: bytes) -> None:
    quantities(raw)
