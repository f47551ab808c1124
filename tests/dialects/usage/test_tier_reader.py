"""The tier of a stream is the last that its frames name, and a repeated one is read once (P28)."""

import json
from typing import Any

import pytest

from dialects.streams import service_tier
from dialects.streams.service_tier import TierReader, tier_of_frames


def frame(value: Any, **how: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, **how).encode()


COMPACT = {"separators": (",", ":")}


def test_the_last_tier_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def reading(raw: bytes) -> str:
        read.append(raw)
        return tier_of_frames(raw)

    monkeypatch.setattr(service_tier, "tier_of_frames", reading)
    messages: list[str] = []
    reader = TierReader(messages.append)
    plain = frame({"service_tier": "default", "choices": []}, **COMPACT)
    for raw in (plain, plain, frame({"choices": []}), plain):
        reader.read(raw)
    assert (messages, len(read)) == (["default"], 1)
    # Another tier in the place that counts, whatever else is in the frame.
    text = json.dumps({"service_tier": "default"})
    for value in (
        {"service_tier": "hyper", "choices": [{"text": text}]},
        {"service_tier": 7},
        {"x": {"service_tier": "default"}, "service_tier": "flex"},
    ):
        reader.read(frame(value, **COMPACT))
    assert messages == ["default", "hyper", "7", "flex"]
