"""What an answer has beside its text."""

import base64

from dialects.chat.events import (
    AudioDelta,
    Citation,
    ImageOutput,
    LogprobsDelta,
    Source,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStart,
    TopLogprob,
)
from playground.answers.answer_parts import AnswerCollector


def test_calls_sources_and_media_are_gathered() -> None:
    collected = AnswerCollector()
    collected.take(
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
    assert collected.parts() == {
        "calls": [
            {"id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"id": "call_1", "name": "g", "arguments": ""},
        ],
        "sources": [{"url": "https://example.org", "title": "Example"}],
    }
    image, sound = collected.media()
    assert (image.kind, image.media_type, image.data) == ("image", "image/png", b"P")
    assert sound.media_type == "audio/wav"
    assert sound.data[:4] == b"RIFF"
    assert collected.transcript == "Hi there"
    assert AnswerCollector().parts() == {}


def test_further_choices_are_texts_and_tokens_have_their_likelihood() -> None:
    collected = AnswerCollector()
    top = (TopLogprob("Hi", -0.1), TopLogprob("Ho", -float("inf")))
    collected.take(
        [
            TextDelta(2, "third"),
            TextDelta(1, "sec"),
            TextDelta(0, "Hi"),
            LogprobsDelta(0, (TokenLogprob("Hi", -0.1, None, top),)),
            LogprobsDelta(1, (TokenLogprob("sec", -0.1),)),
            TextDelta(1, "ond"),
        ]
    )
    assert collected.further_choices() == ["second", "third"]
    assert collected.parts() == {
        "tokens": [{"text": "Hi", "logprob": -0.1, "top": [["Hi", -0.1], ["Ho", -9_999.0]]}]
    }


def test_unstorable_text_is_replaced() -> None:
    collected = AnswerCollector()
    collected.take([ToolCallStart(0, 0, "c", "f\x00"), ToolArgumentsDelta(0, 0, "\ud800\x00")])
    assert collected.parts()["calls"] == [{"id": "c", "name": "f\ufffd", "arguments": "?\ufffd"}]
