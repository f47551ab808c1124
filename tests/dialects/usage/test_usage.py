from hypothesis import given
from hypothesis import strategies as st

from dialects.usage.impossible_counts import COUNT_MAX
from dialects.usage.usage import Counts, Quantities

METERS = [
    "in_text", "in_cache_read", "in_cache_write_5m", "in_cache_write_1h", "in_audio",
    "in_audio_cached", "in_image", "in_image_cached", "out_text", "out_reasoning", "out_audio",
    "out_image", "searches",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(METERS), st.integers(0, COUNT_MAX)))
def test_parts_lie_inside_their_side(meters: dict[str, int]) -> None:
    counts = Counts.of(meters)
    tokens = {name: count for name, count in meters.items() if name != "searches"}
    assert counts.total == sum(tokens.values())
    assert counts.output_text == meters.get("out_text", 0)
    assert counts.cache_read + counts.cache_write_5m + counts.cache_write_1h <= counts.input
    assert counts.input_audio + counts.input_image <= counts.input


def test_cached_sound_and_pictures_are_cached_and_their_own() -> None:
    counts = Counts.of({"in_audio_cached": 2, "in_image_cached": 3, "in_cache_read": 4})
    assert counts == Counts(input=9, cache_read=9, input_audio=2, input_image=3)


def test_text_is_never_below_nothing() -> None:
    assert Counts(output=1, reasoning=2).output_text == 0
    assert Counts(input=3, input_audio=2, input_image=2).input_text == 0
    assert Counts(input=9, input_audio=2, input_image=3).input_text == 4


def test_flags() -> None:
    assert Quantities({}, ("usage_missing",)).missing
    assert Quantities({}, ("usage_negative",)).quarantined
    assert not Quantities({}, ("usage_mismatch",)).quarantined
