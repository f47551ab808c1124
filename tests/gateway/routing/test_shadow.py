"""How the answers of shadow traffic are compared, and what a rule can be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.shadow_rules import (
    ShadowInvalid,
    ShadowRule,
    build_shadow_rule,
    likeness,
    read_shadow,
    storable_name,
    stored_shadow,
)
from tests.support.hostile import LONG, NUL, STORABLE


@pytest.mark.parametrize(
    ("one", "other", "percent", "same"),
    [
        ("", "", 100, None),
        ("word", "", 0, None),
        ("a", "b", 0, None),
        ("night", "nacht", 25, None),
        ("  night\n", "night", 100, None),
        ("天气很好", "天气不好", 33, None),
        ('{"a": 1, "b": [1, 2]}', '{"b": [3.5], "a": 7}', 62, True),
        ('{"a": 1}', '{"a": "1"}', 62, False),
        ('{"a": null}', '{"a": true}', 50, False),
        ("[]", '["x"]', 0, False),
        ("{}", "no JSON", 0, None),
    ],
)
def test_similarity_of_two_answers(one: str, other: str, percent: int, same: bool | None) -> None:
    assert likeness(one, other) == likeness(other, one) == (percent, same)


@given(st.text(max_size=60), st.text(max_size=60))
def test_only_identical_answers_are_fully_alike(one: str, other: str) -> None:
    assert 0 <= likeness(one, other).percent <= 100
    assert (likeness(one, other).percent == 100) == (one.strip() == other.strip())


@pytest.mark.parametrize(
    ("expected", "field"),
    [
        (("", 5, "1"), "channel"),
        (("c" * 201, 5, "1"), "channel"),
        (("c", 0, "1"), "percent"),
        (("c", 101, "1"), "percent"),
        (("c", 5, "0"), "cap"),
        (("c", 5, "much"), "cap"),
        (("c", 5, "1", "m\0"), "model"),
    ],
)
def test_invalid_rules(expected: tuple[Any, ...], field: str) -> None:
    with pytest.raises(ShadowInvalid) as refused:
        build_shadow_rule(*expected)
    assert refused.value.field == field


def test_a_rule_is_read_as_it_was_stored() -> None:
    for rule in (None, ShadowRule("c", 5, 10**9), ShadowRule("c", 100, 1, "m")):
        assert read_shadow(stored_shadow(rule)) == rule
    assert stored_shadow(ShadowRule("c", 5, 10**9)) == {
        "channel": "c", "percent": 5, "cap": "1.00",
    }  # fmt: skip
    assert read_shadow({"channel": "c", "of": "the future"}) is None


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("gpt", "gpt"),
        ("", ""),
        *((text, text) for text in STORABLE),
        (NUL, "ab"),
        ("\0" * 300, ""),
        # Halves of a pair that stand alone, and in the wrong order.
        ("a\ud83d", "a?"),
        ("\udc00b", "?b"),
        ("\udc00\ud83d", "??"),
        (LONG, LONG[:200]),
        ("\0" + "🦊" * 201, "🦊" * 200),
    ],
)
def test_every_name_can_be_stored(name: str, stored: str) -> None:
    assert storable_name(name) == stored
