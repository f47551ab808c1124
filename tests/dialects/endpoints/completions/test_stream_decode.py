import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Step,
    TextDelta,
    UpstreamError,
    Usage,
)
from dialects.endpoints.completions.request_decode import CompletionPlan, decode
from dialects.endpoints.completions.stream_decode import DONE_FRAME, Decoder
from dialects.endpoints.completions.stream_encode import Encoder
from dialects.usage.usage import Counts
from tests.dialects.exchanges import events_of, raw_of, wire
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def chunk(*choices: object, **more: object) -> bytes:
    body = {"object": "text_completion", "choices": choices, **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def piece(text: str, reason: str | None = None, index: int = 0) -> dict[str, object]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


STREAM = (
    b": hello\n\n"
    + chunk(piece(""))
    + chunk(piece("你", index=1), piece("4"))
    + chunk(piece(" 5", "length"))
    + chunk(piece("", "stop", 1))
    + chunk(usage=USAGE)
    + DONE_FRAME
)
EVENTS: list[Event] = [
    TextDelta(1, "你"),
    TextDelta(0, "4"),
    TextDelta(0, " 5"),
    Finish(0, "length"),
    Finish(1, "stop"),
    Usage(json.dumps(USAGE).encode()),
    End(marked=True),
]


def run(*chunks: bytes, include_usage: bool = True, choices: int = 2) -> list[Step]:
    decoder = Decoder(include_usage=include_usage, choices=choices)
    steps = [step for chunk in chunks for step in decoder.feed(chunk)]
    return steps + decoder.end() + decoder.end() + decoder.feed(b"data: {}\n\n")


def test_split_stream_reads_and_forwards_the_same() -> None:
    assert events_of(run(STREAM)) == EVENTS
    assert raw_of(run(STREAM)) == STREAM
    assert events_of(run(*(STREAM[i : i + 1] for i in range(len(STREAM))))) == EVENTS
    for at in range(len(STREAM)):
        steps = run(STREAM[:at], STREAM[at:])
        assert (events_of(steps), raw_of(steps)) == (EVENTS, STREAM)


def test_truncated_stream_is_never_complete() -> None:
    finished = chunk(piece("", "stop", 1))
    complete_at = STREAM.index(finished) + len(finished) - len(b"\n\n")
    for at in range(len(STREAM)):
        last = events_of(run(STREAM[:at]))[-1]
        assert isinstance(last, End if at >= complete_at else Broken), at


def test_decoder_counts() -> None:
    decoder = Decoder(include_usage=True, choices=2)
    decoder.feed(
        STREAM[: STREAM.index(b"data: " + b'{"object": "text_completion", "choices": [], ')]
    )
    assert (decoder.complete, decoder.usage) == (True, None)
    decoder.feed(chunk(usage=USAGE))
    assert decoder.usage == json.dumps(USAGE).encode()
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (6, 0)


def test_only_the_unrequested_usage_chunk_is_removed() -> None:
    assert raw_of(run(STREAM, include_usage=False)) == STREAM.replace(chunk(usage=USAGE), b"")
    beside = chunk(piece("a", "stop"), usage=USAGE)
    assert raw_of(run(beside, include_usage=False, choices=1)) == beside + DONE_FRAME


def test_usage_behind_the_end_marker_is_read() -> None:
    """F25: it is measured, not estimated. Nothing else behind the marker is part of the answer."""
    begun, usage = chunk(piece("a", "stop")), chunk(usage=USAGE)
    late = [begun, DONE_FRAME, chunk(piece("b")), usage, chunk(piece("c"))]
    assert raw_of(run(*late, choices=1)) == begun + usage + DONE_FRAME
    assert raw_of(run(*late, choices=1, include_usage=False)) == begun + DONE_FRAME
    assert events_of(run(*late, choices=1))[-2:] == [EVENTS[-2], End(marked=True)]
    for after in ([], [DONE_FRAME], [b"data: {"], [chunk(piece("b"))], [chunk(error={})]):
        assert raw_of(run(begun, DONE_FRAME, *after, choices=1)) == begun + DONE_FRAME


@pytest.mark.parametrize(
    ("raw", "last"),
    [
        (b"", Broken("F24")),
        (DONE_FRAME, Broken("F24")),
        (chunk(piece("a")), Broken("F14")),
        (chunk(piece("a")) + DONE_FRAME, End(marked=True)),
        (chunk(piece("a", "stop")) + chunk(piece("b", "length")), End(marked=False)),
        (chunk(piece("a", "stop"))[:-2], End(marked=False)),
        (chunk(piece("a", "stop"))[:-1], End(marked=False)),
        (chunk(piece("a")) + b"data: {", Broken("F14")),
        (chunk(piece("a")) + b"data: {\n\n", Broken("F15")),
        (chunk(piece("a")) + b"data: []\n\n", Broken("F15")),
        (b": \xff\n\n", Broken("F16")),
        (b'data: {"x":"\xff"}\n\n', Broken("F16")),
    ],
)
def test_ends(raw: bytes, last: Event) -> None:
    assert events_of(run(raw, choices=1))[-1] == last


def test_a_last_frame_gets_its_empty_line() -> None:
    whole = chunk(piece("a", "stop"))
    for cut in (whole[:-1], whole[:-2]):
        assert raw_of(run(cut, choices=1)) == whole + DONE_FRAME
    assert raw_of(run(chunk(usage=USAGE)[:-1], include_usage=False)) == b""


def test_a_frame_has_a_size() -> None:
    decoder = Decoder(include_usage=True, frame_bytes_max=10)
    assert events_of(decoder.feed(b"data: 3456789abcdef\n\n")) == [Broken("F17")]


@pytest.mark.parametrize(
    ("error", "raw"),
    [
        ({"message": "no", "type": "server_error"}, None),
        (
            {"message": "key sk-abcdefgh12345678 bad"},
            b'data: {"error":{"message":"key *** bad"}}\n\n',
        ),
    ],
)
def test_an_error_ends_a_stream(error: dict[str, Any], raw: bytes | None) -> None:
    frame = b"data: " + wire(error=error) + b"\n\n"
    steps = run(chunk(piece("a")), frame, chunk(piece("b")))
    assert isinstance(events_of(steps)[-1], UpstreamError)
    assert steps[-1].raw == (frame if raw is None else raw)


def test_unscannable_error_is_not_shown() -> None:
    steps = run(b'data: {"error":{"message":"x","code":1e999}}\n\n')
    assert steps[-1].raw == b""
    assert isinstance(events_of(steps)[-1], UpstreamError)


@given(st.lists(st.binary(max_size=30), max_size=4), st.booleans())
def test_malformed_bytes_are_handled(chunks: list[bytes], framed: bool) -> None:
    fed = [b"data: " + chunk + b"\n\n" for chunk in chunks] if framed else chunks
    assert isinstance(events_of(run(*fed))[-1], End | Broken | UpstreamError)


def plan(**members: object) -> CompletionPlan:
    raw = wire(**{"model": "m", "prompt": ["a", "b"], "n": 2, "stream": True, **members})
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def chunks_of(raw: bytes) -> list[dict[str, Any]]:
    frames = [frame for frame in raw.split(b"\n\n") if frame and frame != b"data: [DONE]"]
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


TOLD: list[tuple[Event, int]] = [
    (Start("x", ""), 0),
    (Start("y", "m-1"), 1),
    (Start("z", "m-2"), 0),
    (ReasoningDelta(0, "hm"), 0),
    (TextDelta(0, "A"), 0),
    (TextDelta(1, "B"), 1),
    (RefusalDelta(0, "no"), 1),
    (Usage(b"{}"), 0),
    (Usage(b"{}", Counts(input=1, output=1)), 0),
    (Usage(b"{}", Counts(input=1, output=2)), 0),
    (Usage(b"{}", Counts(input=4, output=8)), 1),
    (Finish(1, "tool_calls"), 1),
]


def test_streams_of_several_calls_are_one() -> None:
    encoder = Encoder(plan(stream_options={"include_usage": True}))
    raw = b"".join(encoder.feed(event, at) for event, at in TOLD) + encoder.end()
    assert raw.endswith(DONE_FRAME)
    chunks = chunks_of(raw)
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert {chunk["model"] for chunk in chunks} == {"m-1"}
    assert {chunk["created"] for chunk in chunks} == {RECEIVED_AT}
    assert len({chunk["id"] for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [(choice["index"], choice["text"], choice["finish_reason"]) for choice in choices] == [
        (0, "A", None),
        (3, "B", None),
        (2, "no", None),
        (3, "", "stop"),
    ]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 5
    assert chunks[-1]["usage"]["completion_tokens"] == 10


def test_written_stream_reads_the_same() -> None:
    encoder = Encoder(plan(prompt="a", n=1))
    events: list[Event] = [TextDelta(0, "你\u2028"), TextDelta(0, "b"), Finish(0, "length")]
    raw = b"".join(map(encoder.feed, events)) + encoder.end()
    assert b"usage" not in raw
    assert events_of(run(raw, choices=1)) == [*events, End(marked=True)]


def test_a_stream_that_fails_has_no_end_mark() -> None:
    raw = Encoder(plan()).fail("timeout", "late")
    assert json.loads(raw.removeprefix(b"data: "))["error"]["code"] == "timeout"
    assert b"[DONE]" not in raw
