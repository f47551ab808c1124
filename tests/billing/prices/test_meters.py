import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.money import INT64_MAX, MoneyInvalid
from billing.prices.meters import (
    INPUT_TOKEN_METERS,
    METERS,
    MeterUnknown,
    find_meter,
    format_rate,
    parse_rate,
)

# The meters that the billing cases list, in their words.
LISTED = """in_text in_cache_read in_cache_write_5m in_cache_write_30m in_cache_write_1h
in_cache_write_12h in_audio in_audio_cached
in_image in_image_cached in_video_ms out_text out_reasoning out_audio out_image images video_ms
audio_ms session_minutes characters pages searches file_searches code_sessions answer_micros
requests""".split()  # noqa: SIM905 - a list of words


def test_the_table_has_every_listed_meter_and_no_other() -> None:
    assert sorted(METERS) == sorted(LISTED)
    assert all(name == meter.name for name, meter in METERS.items())


def test_only_reasoning_and_caches_fall_back() -> None:
    assert {name: meter.fallback for name, meter in METERS.items() if meter.fallback} == {
        "out_reasoning": "out_text",
        "in_cache_read": "in_text",
        "in_cache_write_5m": "in_text",
        "in_cache_write_1h": "in_text",
        "in_cache_write_30m": "in_cache_write_5m",
    }


def test_input_tokens_stand_in_the_order_of_a_prompt() -> None:
    assert INPUT_TOKEN_METERS == (
        "in_cache_read",
        "in_audio_cached",
        "in_image_cached",
        "in_cache_write_12h",
        "in_cache_write_1h",
        "in_cache_write_5m",
        "in_cache_write_30m",
        "in_text",
        "in_audio",
        "in_image",
    )


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("images[1024,standard]", "images"),
        ("video_ms[720p]", "video_ms"),
        ("searches[low]", "searches"),
        ("searches", "searches"),
    ],
)
def test_variants_share_the_row_of_their_meter(name: str, row: str) -> None:
    assert find_meter(name) is METERS[row]


@pytest.mark.parametrize(
    "name", ["", "in_txt", "in_text[big]", "images[]", "images[a b]", "images[1", "[1]", "x[1]"]
)
def test_unknown_meters_are_refused(name: str) -> None:
    with pytest.raises(
        MeterUnknown, match="is not a meter: expected one of answer_micros, "
    ) as refusal:
        find_meter(name)

    assert refusal.value.name == name


@pytest.mark.parametrize(
    ("name", "text", "rate"),
    [
        ("in_text", "0.15", 150_000_000),
        ("characters", "15", 15_000_000_000),
        ("audio_ms", "0.1", 100_000_000),
        ("session_minutes", "0.05", 50_000),
        ("session_minutes[standby]", "0.02", 20_000),
        ("requests", "0.04", 40_000_000_000_000),
        ("images[1024,standard]", "0.04", 40_000_000_000_000),
        ("searches", "0.000000000000001", 1),
        ("in_text", "0", 0),
    ],
)
def test_rates_are_nano_per_million_units(name: str, text: str, rate: int) -> None:
    assert parse_rate(name, text) == rate
    assert format_rate(name, rate) == text


@given(st.sampled_from(sorted(METERS)), st.integers(0, INT64_MAX))
def test_rates_read_back_as_written(name: str, rate: int) -> None:
    assert parse_rate(name, format_rate(name, rate)) == rate


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("in_text", "-1"),
        ("in_text", "0.0000000001"),
        ("session_minutes", "0.0000001"),
        ("requests", "9224"),
        ("in_text", "free"),
    ],
)
def test_invalid_rates_are_rejected(name: str, text: str) -> None:
    with pytest.raises(MoneyInvalid):
        parse_rate(name, text)
