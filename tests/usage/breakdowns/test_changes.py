"""What a change is made of adds up to it, to the nano."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.breakdowns.changes import Part, parts_of


@pytest.mark.parametrize(
    ("now", "before", "parts"),
    [
        ({}, {}, []),
        ({"a": 5}, {"a": 5}, []),
        ({"a": 5}, {}, [Part("a", 5, 0)]),
        ({}, {"a": 5}, [Part("a", 0, 5)]),
        ({"a": 9, "b": 1}, {"a": 1, "b": 3}, [Part("a", 9, 1), Part("b", 1, 3)]),
        # What rises and falls by as much is no change, and is still told.
        ({"a": 3, "b": 0}, {"a": 0, "b": 3}, [Part("a", 3, 0), Part("b", 0, 3)]),
        (
            {"a": 10, "b": 20, "c": 1, "d": 2},
            {"c": 4, "e": 1},
            [Part("b", 20, 0), Part("a", 10, 0), Part(None, -2, 0)],
        ),
        # What fell much is named before what rose a little.
        (
            {"a": 9, "b": 2, "c": 1},
            {"a": 1, "d": 7},
            [Part("a", 9, 1), Part("d", 0, 7), Part(None, 3, 0)],
        ),
        (
            {"a": 1, "b": 2, "c": 3},
            {"a": 9, "b": 8},
            [Part("a", 1, 9), Part("b", 2, 8), Part(None, 3, 0)],
        ),
        # The others cancel each other out: there is nothing to tell of them.
        ({"a": 10, "b": 9, "c": 1}, {"d": 1}, [Part("a", 10, 0), Part("b", 9, 0)]),
        # A group without a name is one.
        ({"": 7}, {"x": 1}, [Part("", 7, 0), Part("x", 0, 1)]),
    ],
)
def test_parts(now: dict[str, int], before: dict[str, int], parts: list[Part]) -> None:
    change = sum(now.values()) - sum(before.values())
    assert parts_of(now, before, change, 2) == parts


_SUMS = st.dictionaries(st.text(max_size=2), st.integers(0, 2**62), max_size=8)


@given(_SUMS, _SUMS, st.integers(0, 9))
def test_parts_of_a_change_add_up(now: dict[str, int], before: dict[str, int], most: int) -> None:
    change = sum(now.values()) - sum(before.values())
    parts = parts_of(now, before, change, most)
    assert sum(part.change for part in parts) == change
    assert len([part for part in parts if part.value is not None]) <= most


def test_cut_off_groups_are_in_the_rest() -> None:
    assert parts_of({"a": 5}, {}, 12, 3) == [Part("a", 5, 0), Part(None, 7, 0)]
