"""The multipliers of a subscription plan: the first pattern that fits the model applies."""

from hypothesis import given
from hypothesis import strategies as st

from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.name_patterns import matches

lists = st.lists(
    st.builds(Multiplier, st.text("ab*", min_size=1, max_size=5), st.integers(0, 10**9)),
    max_size=8,
)


def test_higher_line_wins_over_a_closer_lower_one() -> None:
    listed = [Multiplier("gpt-*", 800_000), Multiplier("gpt-5", 2_000_000), Multiplier("*", 1)]
    assert multiplier_for(listed, "gpt-5", 7) == 800_000
    assert multiplier_for(listed, "o3", 7) == 1
    assert multiplier_for(listed[:2], "o3", 7) == 7


@given(lists, st.text("ab", max_size=6), st.integers(0, 10**9))
def test_first_matching_multiplier_applies(
    listed: list[Multiplier], model: str, otherwise: int
) -> None:
    """Of whatever list: nothing before the one that applies fits, and nothing after it matters."""
    ppm = multiplier_for(listed, model, otherwise)
    fitting = [place for place, one in enumerate(listed) if matches(one.pattern, model)]
    if not fitting:
        assert ppm == otherwise
        return
    first = fitting[0]
    assert ppm == listed[first].ppm
    assert ppm == multiplier_for(listed[: first + 1], model, otherwise + 1)
    assert multiplier_for(listed[:first], model, otherwise) == otherwise
