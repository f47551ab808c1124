import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices.name_patterns import matches


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("gpt-*", "gpt-5", True),
        ("gpt-*", "gpt-", True),
        ("*", "x", True),
        ("*-mini", "a-mini", True),
        ("a*a", "a", False),
        ("a*b*c", "axbxc", True),
        ("a*b*c", "axc", False),
        ("*b*b*", "b", False),
        ("[a]?", "aa", False),
    ],
)
def test_matches(pattern: str, model: str, fits: bool) -> None:
    assert matches(pattern, model) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_matches_like_a_regular_expression(pattern: str, model: str) -> None:
    regex = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, model) == bool(re.fullmatch(regex, model))
