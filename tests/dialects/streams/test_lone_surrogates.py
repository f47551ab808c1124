r"""F15a: a half of a surrogate pair is relayed as it came, or joined, or U+FFFD; never an error."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dialects.anthropic.answer import decode as anthropic_response
from dialects.anthropic.stream import decode as anthropic
from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
)
from dialects.codec import WholeAnswer
from dialects.endpoints.completions import stream_decode as completions
from dialects.gemini.answer import decode as gemini_response
from dialects.gemini.stream import decode as gemini
from dialects.json.lone_surrogates import make_readable, mark, object_line, replace
from dialects.openai.answer import decode as openai_response
from dialects.openai.stream import decode as openai
from dialects.responses.answer import decode as responses_response
from dialects.responses.stream import decode as responses
from dialects.streams.json_repair import read_answer_body, repair
from dialects.streams.surrogate_pairs import Pairs

HIGH, LOW = chr(0xD83D), chr(0xDE00)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"a\uDE00b"', rb'"a\ufffdb"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\u0041"', rb'"\ufffd\u0041"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\ud83d\ude00"', None),
        (rb'"\\ud83d"', None),
        (rb'"\u00e9"', None),
    ],
)
def test_each_lone_half_is_replaced_in_its_place(raw: bytes, expected: bytes | None) -> None:
    assert replace(raw) == expected
    json.loads(make_readable(raw)).encode()
    assert len(make_readable(raw)) == len(raw)


def test_member_positions_refer_to_the_original_text() -> None:
    raw = rb'{"text":"\ud83d","model":"m"}'
    body = read_answer_body(raw)
    assert body is not None
    assert body.splice({"model": b'"n"'}) == rb'{"text":"\ud83d","model":"n"}'
    assert read_answer_body(rb'{"text":"\ud83d",') is None
    assert read_answer_body(b"[]") is None


def marked(text: str) -> str:
    text_out: str = json.loads(mark(json.dumps(text).encode()) or b"")
    return text_out


def test_surrogates_are_joined_across_chunks_within_a_text() -> None:
    high, low = marked("a" + HIGH), marked(LOW + "b")
    pairs = Pairs()
    assert pairs.join([TextDelta(0, high)]) == [TextDelta(0, "a")]
    assert pairs.join([TextDelta(1, low)]) == [TextDelta(1, "\ufffdb")]
    assert pairs.join([TextDelta(0, low)]) == [TextDelta(0, "\U0001f600b")]
    assert pairs.join([ReasoningDelta(0, marked(HIGH))]) == []
    assert pairs.join([TextDelta(0, "x")]) == [ReasoningDelta(0, "\ufffd"), TextDelta(0, "x")]
    assert pairs.join([TextDelta(0, high), Finish(0, "stop")]) == [
        TextDelta(0, "a"), TextDelta(0, "\ufffd"), Finish(0, "stop"),
    ]  # fmt: skip
    assert pairs.join([TextDelta(0, high), End(True)])[1:] == [TextDelta(0, "\ufffd"), End(True)]
    assert pairs.join([TextDelta(0, "plain \U0001f600")]) == [TextDelta(0, "plain \U0001f600")]


def test_surrogates_of_calls_are_joined_per_call() -> None:
    high, low = marked(HIGH), marked(LOW)
    pairs = Pairs()
    assert pairs.join([ToolArgumentsDelta(0, 0, high), ToolArgumentsDelta(0, 1, high)]) == []
    assert pairs.join([ToolArgumentsDelta(0, 0, low)]) == [ToolArgumentsDelta(0, 0, "\U0001f600")]
    assert pairs.join([ToolCallEnd(0, 1)]) == [
        ToolArgumentsDelta(0, 1, "\ufffd"), ToolCallEnd(0, 1),
    ]  # fmt: skip
    assert pairs.join([ToolCallStart(0, 2, "c", marked("f" + HIGH))]) == [
        ToolCallStart(0, 2, "c", "f\ufffd")
    ]


def test_private_use_characters_are_no_marks() -> None:
    assert mark("\U0010fbff".encode() + rb'"\ud83d"') == "\U0010fbff".encode() + rb'"\ufffd"'


def sse(*values: Any) -> list[bytes]:
    """Frames whose JSON may hold halves, spelled as escapes."""
    named = [f"event: {value['type']}\n" if "type" in value else "" for value in values]
    return [
        f"{name}data: {json.dumps(value)}\n\n".encode()
        for name, value in zip(named, values, strict=True)
    ]


def chat(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def block(text: str) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def part(text: str, **over: Any) -> dict[str, Any]:
    return {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}, **over}]}


def output_text(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "delta": text}


RESPONSE = {
    "id": "resp_1", "object": "response", "model": "m", "status": "completed",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [
        {"type": "output_text", "text": "ab" + HIGH, "annotations": []}]}],
}  # fmt: skip
MESSAGE_BEGINS = {"type": "message_start", "message": {"id": "m", "model": "m"}}
BLOCK_BEGINS = {
    "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
}  # fmt: skip
MESSAGE_ENDS = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}

STREAMS: dict[str, tuple[Callable[[bool], Any], list[bytes]]] = {
    "openai": (
        lambda translate: openai.Decoder(include_usage=True, translate=translate),
        [*sse(chat("a" + HIGH), chat(LOW + "b"), chat(HIGH), chat("", "stop")), openai.DONE_FRAME],
    ),
    "anthropic": (
        lambda translate: anthropic.Decoder(translate=translate),
        sse(MESSAGE_BEGINS, BLOCK_BEGINS, block("a" + HIGH), block(LOW + "b"), block(HIGH),
            {"type": "content_block_stop", "index": 0}, MESSAGE_ENDS, {"type": "message_stop"}),
    ),
    "gemini": (
        lambda translate: gemini.Decoder(translate=translate),
        sse(part("a" + HIGH), part(LOW + "b"), part(HIGH, finishReason="STOP")),
    ),
    "responses": (
        lambda translate: responses.Decoder(translate=translate),
        sse({"type": "response.created", "response": RESPONSE | {"status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0,
             "item": {"type": "message", "id": "msg_1", "content": []}},
            output_text("a" + HIGH), output_text(LOW + "b"), output_text(HIGH),
            {"type": "response.completed", "response": RESPONSE}),
    ),
}  # fmt: skip


def run(decoder: Any, frames: list[bytes]) -> tuple[bytes, list[Event]]:
    steps = [step for frame in frames for step in decoder.feed(frame)] + decoder.end()
    return b"".join(step.raw for step in steps), [event for step in steps for event in step.events]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("dialect", STREAMS)
def test_stream_is_forwarded_unchanged(dialect: str) -> None:
    make, frames = STREAMS[dialect]
    raw, events = run(make(False), frames)
    assert raw == b"".join(frames)
    assert not any(isinstance(event, Broken) for event in events)
    assert text_of(events) == "a\ufffd\ufffdb\ufffd"


@pytest.mark.parametrize("dialect", STREAMS)
def test_stream_is_joined_when_translated(dialect: str) -> None:
    make, frames = STREAMS[dialect]
    _, events = run(make(True), frames)
    joined = Pairs().join(events)
    assert isinstance(joined[-1], End)
    assert text_of(joined) == "a\U0001f600b\ufffd"


def test_text_completions_too() -> None:
    frames = sse({"choices": [{"index": 0, "text": HIGH, "finish_reason": "stop"}]})
    raw, events = run(completions.Decoder(include_usage=False), [*frames, openai.DONE_FRAME])
    assert raw == frames[0] + openai.DONE_FRAME
    assert events == [TextDelta(0, "\ufffd"), Finish(0, "stop"), End(True)]


WHOLE: dict[str, tuple[Callable[..., WholeAnswer], Any]] = {
    "openai": (openai_response.decode, {
        "id": "c", "choices": [{"index": 0, "message": {"content": "ab" + HIGH},
                                "finish_reason": "stop"}]}),
    "anthropic": (anthropic_response.decode, {
        "type": "message", "content": [{"type": "text", "text": "ab" + HIGH}],
        "stop_reason": "end_turn"}),
    "gemini": (gemini_response.decode, part("ab" + HIGH, finishReason="STOP")),
    "responses": (responses_response.decode, RESPONSE),
}  # fmt: skip


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_whole_answer(dialect: str) -> None:
    decode, value = WHOLE[dialect]
    raw = json.dumps(value).encode()
    repaired = repair(raw)
    assert repaired is not None
    assert repaired.shown == raw
    assert "ab\ufffd" in str(decode(repaired.read, translate=True).fold())


def test_arguments_of_a_call() -> None:
    arguments = object_line(r'{"city":"\ud83d"}')
    assert arguments is not None
    assert json.loads(bytes(arguments)) == {"city": "\ufffd"}
