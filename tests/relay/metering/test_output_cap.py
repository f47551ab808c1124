"""F18: when a stream is cut whose provider goes on behind the output cap of its request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.counting.vocabularies import UNKNOWN, family_of
from relay.metering.output_cap import BYTES_MIN, initial_count, next_count, tokens_allowed


@pytest.mark.parametrize(
    ("model", "cap", "allowed"),
    [
        pytest.param("gpt-4o", 100, 118, id="a vocabulary that is known"),
        pytest.param("gpt-4o", 1091, 1129, id="of a longer answer"),
        pytest.param("deepseek-chat", 1000, 1036, id="another one"),
        pytest.param("claude-opus-4-8", 1000, 1166, id="one that is estimated"),
        pytest.param("doubao-seed-1.6", 1000, 2016, id="one that nobody measured"),
        pytest.param("my-own-model", 1000, 2016, id="one that is not known"),
    ],
)
def test_tokens_above_the_cap_before_an_answer_is_cut(model: str, cap: int, allowed: int) -> None:
    assert tokens_allowed(cap, family_of(model)) == allowed


@given(
    st.integers(1, 200_000),
    st.lists(st.integers(1, 40), min_size=1, max_size=500),
    st.floats(BYTES_MIN, 12.0),
)
def test_longer_answers_are_cut_soon_and_counted_rarely(
    cap: int, chunks: list[int], bytes_each: float
) -> None:
    """However many bytes its tokens have, and in whichever chunks it comes."""
    allowed = tokens_allowed(cap, UNKNOWN)
    counted_at, size, counts, chunk = initial_count(allowed), 0, 0, 0
    while True:
        size += max(chunks[chunk % len(chunks)], int(allowed * bytes_each) // 1000)
        chunk += 1
        if size <= counted_at:
            continue
        tokens, counts = int(size / bytes_each), counts + 1
        if tokens > allowed:
            break
        counted_at = next_count(allowed, tokens, size)
    assert counts <= 25
    assert tokens <= allowed + 64 + allowed / 100
