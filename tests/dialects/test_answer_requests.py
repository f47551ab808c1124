"""`answer_request` has all of a request that its answer is written by: a stream and a whole answer
are the same bytes as for the request that is decoded."""

import json
from typing import Any, Final

import pytest

from dialects.chat.events import (
    Citation,
    End,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Source,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    Usage,
)
from dialects.chat.fold import fold
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from tests.relay.speakers import SPEAKERS, Wish

TARGET: Final = Target("m", stream=True)
EVENTS: Final[list[Event]] = [
    Start("a", "", 3, "flex", "fp"), ReasoningDelta(0, "hm"), TextDelta(0, "Hello"),
    TextDelta(0, " you"), RefusalDelta(0, "no"), ToolCallStart(0, 0, "c1", "get_weather"),
    ToolArgumentsDelta(0, 0, '{"input": "x"}'), ToolCallEnd(0, 0),
    Citation(0, Source("https://x.example", "x")), Finish(0, "tool_calls"), Usage(b"{}"),
    End(marked=True),
]  # fmt: skip
FREEFORM: Final = {"type": "custom", "custom": {"name": "get_weather"}}
OLD: Final = {"name": "get_weather", "parameters": {"type": "object"}}
# The members that are added to a body, and whether the request then has to be decoded.
MORE: Final[list[tuple[str, dict[str, Any], bool]]] = [
    ("openai", {}, False), ("openai", {"n": 2}, False), ("openai", {"stream_options": None}, False),
    ("openai", {"tools": [FREEFORM]}, True), ("openai", {"functions": [OLD]}, True),
    ("openai", {"function_call": "auto", "tools": None}, True), ("anthropic", {}, False),
    ("openai", {"modalities": ["text"]}, True),
]  # fmt: skip


@pytest.mark.parametrize("wish", [Wish(stream=True), Wish(stream=True, tools=True, image=True)])
@pytest.mark.parametrize(("dialect", "more", "decodes"), MORE)
def test_an_answer_is_written_as_for_the_decoded_request(
    wish: Wish, dialect: str, more: dict[str, Any], decodes: bool
) -> None:
    codec: Any = CODECS[dialect]  # type: ignore[index]
    body = SPEAKERS[dialect].body("m", wish) | more
    facts = codec.read(json.dumps(body).encode(), TARGET)
    decoded = codec.decode(facts, TARGET, "r", 7)
    quick = codec.answer_request(facts, "m", "r", 7)
    if decodes:
        assert quick is None
        return
    assert quick.stream == decoded.stream

    def written(request: Any) -> list[bytes]:
        encoder = codec.encoder(request, TARGET)
        frames = [encoder.end() if isinstance(one, End) else encoder.feed(one) for one in EVENTS]
        failed = codec.encoder(request, TARGET).fail("internal", "x")
        return [*frames, failed, codec.write_answer(fold(EVENTS), request)]

    assert written(quick) == written(decoded)

    def read(request: Any) -> str:
        decoder = codec.translating_decoder(request, "")
        return repr(decoder.feed(b"".join(written(decoded)[: len(EVENTS)])))

    assert read(quick) == read(decoded)


@pytest.mark.parametrize("dialect", sorted(set(CODECS) - {"openai", "anthropic"}))
def test_other_dialects_write_answers_by_the_decoded_request(dialect: str) -> None:
    codec: Any = CODECS[dialect]  # type: ignore[index]
    body = SPEAKERS[dialect].body("m", Wish(stream=True))
    facts = codec.read(json.dumps(body).encode(), TARGET)
    assert codec.answer_request(facts, "m", "r", 7) is None
