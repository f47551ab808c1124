"""F27: what is counted in no numbers takes nothing from the answer beside it."""

import json
from typing import Any

import pytest

from dialects.json.nonfinite_numbers import Repaired, repair


def test_counts_are_read_as_texts_and_shown_as_null() -> None:
    raw = b'{"text": "NaN \\" Infinity", "usage": {"a": NaN, "b": [1, -Infinity], "c": Infinity}}'
    assert repair(raw) == Repaired(
        b'{"text": "NaN \\" Infinity", "usage": {"a": "NaN", "b": [1, "-Infinity"], '
        b'"c": "Infinity"}}',
        b'{"text": "NaN \\" Infinity", "usage": {"a": null, "b": [1, null], "c": null}}',
    )


@pytest.mark.parametrize(
    "value",
    [
        {"usage": float("nan")},
        {"usageMetadata": {"promptTokenCount": float("inf"), "inner": {"x": float("-inf")}}},
        {"choices": [{"logprobs": {"content": [{"logprob": float("-inf")}]}}]},
        [{"usage": {"a": 1}}, {"usage": {"a": float("nan")}}],
    ],
)
def test_counts_and_measures_are_repaired(value: Any) -> None:
    repaired = repair(json.dumps(value).encode())
    assert repaired is not None
    for text in repaired:
        json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "value",
    [
        {"x": 1},
        {"text": "NaN"},
        {"usage": {"a": 1}, "content": [{"type": "tool_use", "input": {"x": float("nan")}}]},
        {"data": [{"usage": 1}, {"embedding": [0.5, float("nan")]}]},
        {"usage": {"a": float("nan")}, "args": {"x": float("inf")}},
        [{"usage": {"a": [1]}}, float("nan")],
    ],
)
def test_text_content_is_unchanged(value: Any) -> None:
    assert repair(json.dumps(value).encode()) is None


def test_large_bodies_are_not_scanned() -> None:
    assert repair(b'{"usage": NaN, "x": "' + b"a" * (1 << 20) + b'"}') is None
