"""Members of a usage object that no table classifies are named, each by its own path (P28)."""

from typing import Any

import pytest

from dialects.usage.usage_members import counts_anything, may_be_accepted, unknown_members


@pytest.mark.parametrize(
    ("wire", "usage", "unknown"),
    [
        ("chat", {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}, []),
        ("chat", {"prompt_tokens_details": None, "warp": 1}, ["warp"]),
        ("chat", {"warp": None, "woof": 0}, ["warp", "woof"]),
        ("chat", {"prompt_tokens": {"a": 1}}, ["prompt_tokens.a"]),
        ("chat", {"prompt_tokens": [1]}, ["prompt_tokens"]),
        ("chat", {"prompt_tokens_details": {"warp": {"a": 1, "b": {}}}},
         ["prompt_tokens_details.warp.a", "prompt_tokens_details.warp.b"]),
        ("chat", {"prompt_tokens_details": [1], "warp": 1}, ["prompt_tokens_details", "warp"]),
        ("chat", {"prompt_tokens_details": 5}, ["prompt_tokens_details"]),
        ("chat", {"warp": [{"a": 1}, {"a": 2}, {"b": 3}]}, ["warp[].a", "warp[].b"]),
        ("chat", {"warp": [1, 2]}, ["warp"]),
        ("chat", {"w@rp": 1, "": 2}, ["w?rp", "?"]),
        ("converse", {"cacheDetails": [{"ttl": "5m", "inputTokens": 1}]}, []),
        ("converse", {"cacheDetails": [{"ttl": "5m", "warp": 1}, 7]},
         ["cacheDetails.warp", "cacheDetails"]),
        ("converse", {"cacheDetails": {"ttl": "5m"}, "warp": 1}, ["cacheDetails", "warp"]),
        ("converse", {"serverToolUsage": {"search": 0}}, []),
        ("converse", {"serverToolUsage": {"search": 2}}, ["serverToolUsage.search"]),
    ],
)  # fmt: skip
def test_unknown_member_is_named(wire: str, usage: dict[str, Any], unknown: list[str]) -> None:
    assert unknown_members(wire, usage) == unknown


@pytest.mark.parametrize(
    ("wire", "path", "accepted"),
    [
        ("chat", "warp", True),
        ("chat", "warp.a", True),
        ("chat", "prompt_tokens_details.warp", True),
        ("chat", "prompt_tokens", False),
        ("chat", "prompt_tokens.a", False),
        ("chat", "prompt_tokens_details", False),
        ("chat", "speed=warp", False),
        ("chat", "w?rp", False),
        ("nowhere", "warp", False),
        ("converse", "serverToolUsage.search", True),
        ("chat", "w" * 200, False),
    ],
)
def test_operator_accepts_only_members_of_no_table(wire: str, path: str, accepted: bool) -> None:
    assert may_be_accepted(wire, path) is accepted


def test_zeros_and_empty_values_count_nothing() -> None:
    nothing: tuple[Any, ...] = (0, None, "", [], {}, {"a": 0, "b": [0, {"c": None}]})
    assert not any(map(counts_anything, nothing))
    assert all(map(counts_anything, (1, "x", [0, 1], {"a": {"b": 2}})))
