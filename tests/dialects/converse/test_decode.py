"""Answers in the converse dialect: botocore's parser judges what the fake writes, and we read the
same."""

import json
from typing import Any

import pytest
from botocore.eventstream import EventStream
from botocore.parsers import create_parser

from dialects.chat.events import (
    Broken,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    ReasoningDelta,
    Source,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
    Usage,
)
from dialects.converse.answer.decode import decode
from dialects.converse.stream.decode import Decoder
from dialects.converse.usage import quantities
from dialects.endpoints.codecs import CODECS
from dialects.streams.surrogate_pairs import Pairs
from tests.fakes.aws_stream import event_message, exception
from tests.fakes.converse import operation

USAGE = {
    "inputTokens": 8, "outputTokens": 5, "totalTokens": 30, "cacheReadInputTokens": 7,
    "cacheWriteInputTokens": 10,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 6}],
}  # fmt: skip
METERS = {
    "in_text": 8, "out_text": 5, "in_cache_read": 7, "in_cache_write_5m": 6, "in_cache_write_1h": 4,
}  # fmt: skip
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0}),
    ("contentBlockDelta",
     {"delta": {"reasoningContent": {"signature": "x"}}, "contentBlockIndex": 0}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"delta": {"text": "Héllo"}, "contentBlockIndex": 1}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockStart",
     {"start": {"toolUse": {"toolUseId": "t1", "name": "f"}}, "contentBlockIndex": 2}),
    ("contentBlockDelta", {"delta": {"toolUse": {"input": '{"a":'}}, "contentBlockIndex": 2}),
    ("contentBlockDelta", {"delta": {"toolUse": {"input": "1}"}}, "contentBlockIndex": 2}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("contentBlockStart",
     {"start": {"toolUse": {"toolUseId": "t2", "name": "g"}}, "contentBlockIndex": 3}),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 4}, "serviceTier": {"type": "flex"}}),
]  # fmt: skip
STREAM = [event_message(kind, json.dumps(body).encode()) for kind, body in EVENTS]
READ: list[Event] = [
    Start("", ""),
    ReasoningDelta(0, "hm"),
    TextDelta(0, "Héllo"),
    ToolCallStart(0, 0, "t1", "f"),
    ToolArgumentsDelta(0, 0, '{"a":'),
    ToolArgumentsDelta(0, 0, "1}"),
    ToolCallEnd(0, 0),
    ToolCallStart(0, 1, "t2", "g"),
    ToolArgumentsDelta(0, 1, "{}"),
    ToolCallEnd(0, 1),
    Finish(0, "tool_calls"),
]


def run(*pieces: bytes) -> tuple[Decoder, list[Event]]:
    decoder = Decoder()
    steps = [step for piece in pieces for step in decoder.feed(piece)] + decoder.end()
    assert all(step.raw == b"" for step in steps)
    return decoder, [event for step in steps for event in step.events]


class _Raw:
    """What botocore reads a body from."""

    def stream(self) -> list[bytes]:
        return [b"".join(STREAM)]


def test_fakes_stream_is_readable_by_boto3() -> None:
    named = operation("ConverseStream")
    parser = create_parser("rest-json")
    shape = named.output_shape.members["stream"]
    stream = EventStream(_Raw(), shape, parser._event_stream_parser, "ConverseStream")
    assert [(kind, body) for event in stream for kind, body in event.items()] == EVENTS


def test_a_stream() -> None:
    decoder, events = run(*STREAM)
    *before, usage, end = events
    assert before == READ
    assert isinstance(usage, Usage)
    assert end == End(True)
    assert json.loads(usage.raw) == USAGE | {"serviceTier": "flex"}
    counted = quantities(decoder.usage)
    assert (counted.meters, counted.unknown) == (METERS, ())
    assert counted.conditions["service_tier"] == "flex"
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (6 + 1 + 7 + 1, 2)
    whole = b"".join(STREAM)
    assert run(*(whole[at : at + 5] for at in range(0, len(whole), 5)))[1] == events


@pytest.mark.parametrize("first", range(len(EVENTS)))
def test_answer_starts_once_with_whatever_event_is_first(first: int) -> None:
    _, events = run(*STREAM[first:])
    assert [at for at, event in enumerate(events) if isinstance(event, Start)] == [0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (("contentBlockDelta", {"delta": {"text": ""}}), []),
        (("contentBlockDelta", {"delta": {"toolUse": {"input": "1"}}, "contentBlockIndex": 9}), []),
        (("contentBlockDelta",
          {"delta": {"reasoningContent": {"reasoningText": {"text": "hm"}}}}),
         [ReasoningDelta(0, "hm")]),
        (("contentBlockDelta",
          {"delta": {"image": {"format": "jpeg", "source": {"bytes": "AA=="}}}}),
         [ImageOutput(0, "image/jpeg", "AA==")]),
        (("contentBlockDelta", {"delta": {"image": {"source": {"bytes": "AA=="}}}}),
         [ImageOutput(0, "image/png", "AA==")]),
        (("contentBlockDelta", {"delta": {"image": {"source": {}}}}), []),
        (("contentBlockDelta", {"delta": {"citation": {
            "source": "https://a", "title": "A",
            "sourceContent": [{"text": "b"}, {"text": "c"}]}}}),
         [Citation(0, Source("https://a", "A", quote="bc"))]),
        (("contentBlockDelta", {"delta": {"citation": {"source": "s3://a", "title": "A"}}}), []),
        (("contentBlockStop", {"contentBlockIndex": 9}), []),
        (("contentBlockStart", {"start": {"toolUse": {"name": "f"}}}),
         [ToolCallStart(0, 0, "", "f")]),
        (("contentBlockStart", {}), []),
    ],
)  # fmt: skip
def test_each_event_is_read(body: tuple[str, dict[str, Any]], expected: list[Event]) -> None:
    decoder = Decoder()
    decoder.feed(STREAM[0])
    steps = decoder.feed(event_message(body[0], json.dumps(body[1]).encode()))
    assert [event for step in steps for event in step.events] == expected


def test_second_stop_reason_is_ignored() -> None:
    stops = [event_message("messageStop", b'{"stopReason": "max_tokens"}'), STREAM[-2]]
    _, events = run(STREAM[0], STREAM[4], *stops, STREAM[-1])
    assert [event for event in events if isinstance(event, Finish)] == [Finish(0, "length")]


def test_a_stream_cut_anywhere_tells_the_same() -> None:
    raw, whole = b"".join(STREAM), run(*STREAM)[1]
    assert run(*(raw[at : at + 1] for at in range(len(raw))))[1] == whole
    for at in range(len(raw)):
        assert run(raw[:at], raw[at:])[1] == whole
    for tail in (STREAM[4], exception("internalServerException", "late"), b"\xff" * 20):
        assert run(raw + tail)[1] == whole


def test_split_forwarded_stream_is_the_same() -> None:
    raw = b"".join(STREAM)
    for at in range(len(raw)):
        decoder, framing = Decoder(forwarded=True), CODECS["converse"].framing(lambda: 4)
        assert framing is not None
        steps = [*decoder.feed(raw[:at]), *decoder.feed(raw[at:]), *decoder.end()]
        assert b"".join(framing.feed(step.raw) for step in steps) == raw


def test_truncated_stream_is_never_complete() -> None:
    """F14; behind the reason of its end only the usage is missing (F25)."""
    raw, said = b"".join(STREAM), len(b"".join(STREAM[:-1]))
    for at in range(len(raw)):
        decoder, events = run(raw[:at])
        assert decoder.complete is (at >= said)
        if at < said:
            assert events[-1] == Broken("F14" if at >= len(STREAM[0]) else "F24")
            assert not any(isinstance(event, Finish) for event in events)
        else:
            assert events == [*READ, End(marked=False)]


def test_lone_surrogate_at_a_chunk_end() -> None:
    """F15a: as it came where it is forwarded, joined where it is translated."""
    halves = [b'{"delta":{"text":"a\\ud83d"},"contentBlockIndex":0}',
              b'{"delta":{"text":"\\ude00b"},"contentBlockIndex":0}']  # fmt: skip
    stream = [STREAM[0], *(event_message("contentBlockDelta", one) for one in halves), *STREAM[-2:]]
    joined = Pairs().join(run(*stream)[1])
    assert [event.text for event in joined if isinstance(event, TextDelta)] == ["a", "\U0001f600b"]
    steps = Decoder(forwarded=True).feed(b"".join(stream))
    raw = b"".join(step.raw for step in steps)
    assert all(one in raw for one in halves)


def test_a_whole_answer() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}},
        {"text": "Héllo"},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
        {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}},
        {
            "citationsContent": {
                "content": [{"text": "Cited."}],
                "citations": [
                    {"source": "https://a.example", "title": "A", "sourceContent": [{"text": "q"}]},
                    {"source": "document 1"},
                ],
            }
        },
    ]
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": USAGE,
        "metrics": {"latencyMs": 3},
    }
    answer = decode(json.dumps(body).encode())
    kinds = [type(event) for event in answer.events]
    assert kinds.count(ToolCallEnd) == 2
    assert ImageOutput(0, "image/jpeg", "AAAA") in answer.events
    assert TextDelta(0, "Cited.") in answer.events
    (cited,) = [event.source for event in answer.events if isinstance(event, Citation)]
    assert (cited.url, cited.title, cited.start, cited.end, cited.quote) == (
        "https://a.example", "A", 5, 11, "q",
    )  # fmt: skip
    (choice,) = answer.fold().choices
    assert choice.finish == "tool_calls"
    assert quantities(answer.usage).meters == METERS
    del body["stopReason"]
    (choice,) = decode(json.dumps(body).encode()).fold().choices
    assert choice.finish == "tool_calls"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "content_filter"), ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "length"), ("novelty", "stop"),
    ],
)  # fmt: skip
def test_stop_reasons(word: str, reason: str) -> None:
    _, events = run(event_message("messageStop", json.dumps({"stopReason": word}).encode()))
    assert Finish(0, reason) in events  # type: ignore[arg-type]
    assert events[-1] == End(False)


def test_all_stop_reasons_of_boto3_are_known() -> None:
    from dialects.converse.answer.finish_reasons import FINISH_REASONS, MALFORMED

    words = operation().output_shape.members["stopReason"].enum
    assert set(words) == FINISH_REASONS.keys() | MALFORMED


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use"])
def test_unreadable_request_is_a_fault(word: str) -> None:
    stop = event_message("messageStop", json.dumps({"stopReason": word}).encode())
    assert run(*STREAM[:5], stop)[1][-1] == Broken("F15")
    body = {"output": {"message": {"content": []}}, "stopReason": word}
    assert decode(json.dumps(body).encode()).broken == "F15"


def test_call_cut_by_length_is_not_closed() -> None:
    """F38."""
    stop = event_message("messageStop", b'{"stopReason":"max_tokens"}')
    _, events = run(*STREAM[:8], stop)
    assert not any(isinstance(event, ToolCallEnd) for event in events)


def test_calls_that_overlap_end_by_themselves() -> None:
    """As our own encoder writes those of other dialects."""
    events = run(*STREAM[:8], STREAM[10], STREAM[8], STREAM[9], *STREAM[11:])[1]
    told = [event for event in events if isinstance(event, ToolArgumentsDelta | ToolCallEnd)]
    assert told == [
        ToolArgumentsDelta(0, 0, '{"a":'),
        ToolArgumentsDelta(0, 0, "1}"),
        ToolCallEnd(0, 0),
        ToolArgumentsDelta(0, 1, "{}"),
        ToolCallEnd(0, 1),
    ]


def test_a_cut_is_never_an_end() -> None:
    whole = b"".join(STREAM[:-2])
    for at in range(0, len(whole), 3):
        last = run(whole[:at])[1][-1]
        assert last == Broken("F14" if at > len(STREAM[0]) else "F24") or at < len(STREAM[0])
        assert isinstance(last, Broken)
    decoder, events = run(*STREAM[:-1])
    assert (events[-1], decoder.usage) == (End(False), None)


def test_an_exception_in_mid_stream() -> None:
    last = run(*STREAM[:5], exception("throttlingException", "Too many"))[1][-1]
    assert isinstance(last, UpstreamError)
    assert last.kind == "upstream_rate_limited"


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (event_message("novelty", b"{}"), "F15"),
        (event_message("contentBlockDelta", b"{"), "F15"),
        (event_message("contentBlockDelta", b'{"delta":{"text":7}}'), "F15"),
        (event_message("contentBlockDelta", b'{"delta":{"text":"\xff"}}'), "F16"),
        (STREAM[4][:-1] + b"\x00", "F15"),
    ],
)
def test_unreadable_messages(raw: bytes, fault: str) -> None:
    assert run(STREAM[0], raw)[1][-1] == Broken(fault)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "broken"),
    [(b"", "F24"), (b"{}", "F24"), (b"[", "F15"), (b'{"output":{"message":{"content":7}}}', "F15")],
)
def test_unreadable_whole_answers(raw: bytes, broken: str) -> None:
    assert decode(raw).broken == broken


@pytest.mark.parametrize(
    ("usage", "unknown"),
    [
        ({"novelty": 1}, ("novelty",)),
        ({"serverToolUsage": {"searches": 2}}, ("serverToolUsage.searches",)),
        ({"serverToolUsage": {}}, ()),
        ({"cacheReadInputTokenCount": 7}, ()),
    ],
)
def test_unknown_members_of_usage(usage: dict[str, Any], unknown: tuple[str, ...]) -> None:
    """P28."""
    assert tuple(quantities(json.dumps(USAGE | usage).encode()).unknown) == unknown
