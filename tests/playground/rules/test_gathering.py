"""What an answer has beside its text."""

import base64

from gateway.codecs.events import (
    AudioDelta,
    Citation,
    ImageOutput,
    Source,
    ToolArgumentsDelta,
    ToolCallStart,
)
from playground.rules.gathering import Gathered


def test_calls_sources_and_media_are_gathered() -> None:
    gathered = Gathered()
    gathered.take(
        [
            ToolCallStart(0, 0, "c1", "f"),
            ToolArgumentsDelta(0, 0, '{"a":'),
            ToolCallStart(0, 1, "", "g"),
            ToolArgumentsDelta(0, 0, "1}"),
            ToolCallStart(1, 0, "x", "of another choice"),
            Citation(0, Source("https://example.org", "Example")),
            Citation(0, Source("https://example.org", "Example")),
            ImageOutput(0, "image/png", base64.b64encode(b"P").decode()),
            AudioDelta(0, "", base64.b64encode(b"\x00\x01").decode(), "Hi"),
            AudioDelta(0, "", "not base64!", " there"),
        ]
    )
    assert gathered.parts() == {
        "calls": [
            {"id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"id": "call_1", "name": "g", "arguments": ""},
        ],
        "sources": [{"url": "https://example.org", "title": "Example"}],
    }
    image, sound = gathered.media()
    assert (image.kind, image.media_type, image.data) == ("image", "image/png", b"P")
    assert sound.media_type == "audio/wav"
    assert sound.data[:4] == b"RIFF"
    assert gathered.transcript == "Hi there"
    assert Gathered().parts() == {}


def test_what_no_database_keeps_is_replaced() -> None:
    gathered = Gathered()
    gathered.take([ToolCallStart(0, 0, "c", "f\x00"), ToolArgumentsDelta(0, 0, "\ud800\x00")])
    assert gathered.parts()["calls"] == [{"id": "c", "name": "f\ufffd", "arguments": "?\ufffd"}]
