"""Answers with all that an answer can have, in neutral form."""

from typing import Final

from dialects.chat.events import (
    AudioDelta,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Seal,
    Source,
    Start,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from dialects.usage.usage import Counts

COUNTS: Final = Counts(
    input=211, cache_read=17, cache_write_5m=13, cache_write_1h=11, input_audio=7, input_image=5,
    output=101, reasoning=19, output_audio=3, output_image=2, searches=1,
)  # fmt: skip
_PNG: Final = "iVBORw0KGgo="
_START: Final = Start("up-1", "up-model", 1_767_000_000, "priority", "fp_1")
_USAGE: Final = Usage(b"{}", COUNTS)
_TOKEN: Final = TokenLogprob("Hi", -0.5, (72, 105), (TopLogprob("Ho", -1.5, (72, 111)),))


def _call(index: int, id_: str, name: str, *pieces: str, choice: int = 0) -> list[Event]:
    return [
        ToolCallStart(choice, index, id_, name),
        *(ToolArgumentsDelta(choice, index, piece) for piece in pieces),
        ToolCallEnd(choice, index),
    ]


def _whole(*events: Event) -> list[Event]:
    return [_START, *events, _USAGE, End(marked=True)]


ANSWERS: Final[dict[str, list[Event]]] = {
    "text": _whole(
        TextDelta(0, "Hello"),
        TextDelta(0, ", world"),
        Citation(0, Source("https://a.example", "A", 0, 5, "Hello there")),
        Citation(0, Source("https://b.example")),
        Finish(0, "stop"),
    ),
    "thoughts of Claude": _whole(
        ReasoningDelta(0, "Think"),
        ReasoningDelta(0, " harder"),
        ReasoningSeal(0, Seal("anthropic", "c2VhbA==")),
        ReasoningSeal(0, Seal("anthropic", "cmVk", redacted=True)),
        TextDelta(0, "Let me see."),
        *_call(0, "toolu_1", "weather", '{"city":', ' "Oslo"}'),
        *_call(1, "toolu_2", "noop", "{}"),
        Finish(0, "tool_calls"),
    ),
    "thoughts of OpenAI": _whole(
        ReasoningDelta(0, "Think"),
        ReasoningSeal(0, Seal("openai", "ZW5j", id="rs_1")),
        *_call(0, "call_1", "weather", '{"city": "Oslo"}'),
        Finish(0, "tool_calls"),
    ),
    "thoughts of Gemini": _whole(
        ReasoningDelta(0, "Think"),
        TextDelta(0, "See"),
        ReasoningSeal(0, Seal("gemini", "c2ln")),
        *_call(0, "call_1", "weather", '{"city": "Oslo"}'),
        Finish(0, "tool_calls"),
    ),
    "refusal": _whole(RefusalDelta(0, "I can"), RefusalDelta(0, "not."), Finish(0, "stop")),
    "stop sequence": _whole(TextDelta(0, "one"), Finish(0, "stop_sequence", "###")),
    "length": _whole(TextDelta(0, "one"), Finish(0, "length")),
    "filter": _whole(TextDelta(0, "one"), Finish(0, "content_filter")),
    "pause": _whole(TextDelta(0, "one"), Finish(0, "pause")),
    "cut call": _whole(
        ToolCallStart(0, 0, "call_1", "weather"),
        ToolArgumentsDelta(0, 0, '{"ci'),
        Finish(0, "length"),
    ),
    "likelihoods": _whole(
        TextDelta(0, "Hi"),
        LogprobsDelta(0, (_TOKEN,)),
        Finish(0, "stop"),
    ),
    "picture": _whole(TextDelta(0, "Look"), ImageOutput(0, "image/png", _PNG), Finish(0, "stop")),
    "picture by link": _whole(
        ImageOutput(0, "image/png", "", "https://a.example/p.png"), Finish(0, "stop")
    ),
    "sound": _whole(
        AudioDelta(0, "audio/wav", "UklGRg==", "Hel", "audio_1", 1_767_000_900),
        AudioDelta(0, "audio/wav", "AAAA", "lo"),
        Finish(0, "stop"),
    ),
    "two choices": _whole(
        TextDelta(0, "one"),
        TextDelta(1, "two"),
        Finish(1, "length"),
        *_call(0, "call_1", "weather", "{}"),
        Finish(0, "tool_calls"),
    ),
    "nothing": [_START, Finish(0, "stop"), End(marked=False)],
}
"""By name."""
