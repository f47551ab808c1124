"""F27: what is counted in no numbers takes nothing from the answer beside it."""

import json
from typing import Any

import pytest

from gateway.codecs.odd_numbers import Mended, mend, mend_frame
from gateway.codecs.sse import Frame


def test_counts_are_read_as_texts_and_shown_as_null() -> None:
    raw = b'{"text": "NaN \\" Infinity", "usage": {"a": NaN, "b": [1, -Infinity], "c": Infinity}}'
    assert mend(raw) == Mended(
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
def test_what_counts_or_measures_is_mended(value: Any) -> None:
    mended = mend(json.dumps(value).encode())
    assert mended is not None
    for text in mended:
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
def test_nothing_that_was_said_is_changed(value: Any) -> None:
    assert mend(json.dumps(value).encode()) is None


def test_what_is_large_is_not_looked_through() -> None:
    assert mend(b'{"usage": NaN, "x": "' + b"a" * (1 << 20) + b'"}') is None


def test_the_bytes_of_a_frame_are_shown_and_its_data_read() -> None:
    data = b'{"usage":{"a":NaN}}'
    frame = Frame(b"event: x\ndata: " + data + b"\n\n", "x", data)
    assert mend_frame(frame) == Frame(
        b'event: x\ndata: {"usage":{"a":null}}\n\n', "x", b'{"usage":{"a":"NaN"}}'
    )
    assert mend_frame(Frame(b"data: [DONE]\n\n", "", b"[DONE]")) is None
    assert mend_frame(Frame(b": NaN\n\n", "", None)) is None
