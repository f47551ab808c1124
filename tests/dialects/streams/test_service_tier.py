"""The tier that an upstream names, and nothing that only looks like it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.streams.service_tier import tier_of_answer, tier_of_frames


@pytest.mark.parametrize(
    ("answer", "tier"),
    [
        ({"service_tier": "flex", "usage": {}}, "flex"),
        ({"usage": {"service_tier": "priority"}}, "priority"),
        ({"type": "response.completed", "response": {"service_tier": "default"}}, "default"),
        ({"type": "message_start", "message": {"usage": {"service_tier": "batch"}}}, "batch"),
        ({"interaction": {"service_tier": "flex"}}, "flex"),
        ({"metadata": {"service_tier": "flex"}}, ""),
        ({"choices": [{"message": {"content": '"service_tier":"flex"'}}]}, ""),
        ({"service_tier": None}, ""),
        ({"service_tier": 7}, "7"),
        ({"service_tier": {"is": "flex"}}, '{"is": "flex"}'),
        ([], ""),
    ],
)
def test_the_tier_of_an_answer(answer: object, tier: str) -> None:
    raw = json.dumps(answer).encode()
    assert tier_of_answer(raw) == tier
    assert tier_of_frames(b"event: x\r\ndata: " + raw + b"\r\n\r\n") == tier


def test_the_last_frame_that_names_one_counts() -> None:
    frames = [{"response": {"service_tier": tier}} for tier in ("auto", "priority")] + [{"x": 1}]
    raw = b"".join(b"data: %s\n\n" % json.dumps(frame).encode() for frame in frames)
    assert tier_of_frames(raw) == "priority"


@given(st.binary(max_size=60))
def test_nothing_raises(raw: bytes) -> None:
    assert isinstance(tier_of_answer(raw), str)
    assert isinstance(tier_of_frames(b'data: "service_tier"' + raw), str)
