import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import ChatAnswer, ChatRequest, Part, Reasoning
from dialects.chat.events import (
    AudioDelta,
    Broken,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    LogprobsDelta,
    OpaqueDelta,
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
    UpstreamError,
    Usage,
)
from dialects.chat.fold import AnswerFault, fold, unfold
from dialects.openai.stream.decode import Decoder
from dialects.openai.stream.encode import Encoder
from dialects.usage.usage import Counts
from tests.dialects.exchanges import summary_of
from tests.dialects.neutral import RECEIVED_AT, merge_reasoning, openai_answers, request
from tests.dialects.openai.golden import EXPECTED, GOLDEN, STREAMS, check_summary
from tests.dialects.openai.test_translation import stream


def write(*events: Event, chat_request: ChatRequest | None = None) -> bytes:
    encoder = Encoder(chat_request or request(stream=True, include_usage=True))
    return b"".join([*(encoder.feed(event) for event in events), encoder.end()])


def chunks(raw: bytes) -> list[Any]:
    frames = raw.removesuffix(b"data: [DONE]\n\n").split(b"\n\n")
    assert frames.pop() == b""
    assert all(frame.startswith(b"data: ") and b"\n" not in frame for frame in frames)
    return [json.loads(frame[6:]) for frame in frames]


def deltas(raw: bytes) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(raw) if chunk["choices"]]


ROLE = {"role": "assistant", "content": ""}

_TEXTS = st.sampled_from(["", "word", '"content":""', "é\n", "🦊", "\u2028"])
_CHOICES = st.integers(0, 1)
_EVENTS = st.one_of(
    st.builds(TextDelta, _CHOICES, _TEXTS),
    st.builds(TextDelta, _CHOICES, _TEXTS),
    st.builds(ReasoningDelta, _CHOICES, _TEXTS),
    st.builds(RefusalDelta, _CHOICES, _TEXTS),
    st.builds(ReasoningSeal, _CHOICES, st.just(Seal("anthropic", "s"))),
    st.builds(ToolCallStart, _CHOICES, st.integers(0, 3), st.just("c"), st.just("find")),
    st.builds(Start, st.just("a"), st.sampled_from(["", '"content":""']), st.just(0), _TEXTS),
    st.just(Usage(b"{}")),
)


@given(st.lists(_EVENTS, max_size=12), st.booleans())
def test_a_text_is_written_the_same_whatever_came_before(
    events: list[Event], include_usage: bool
) -> None:
    """What chunks with text have in common is as it would be without a memory of it."""
    chat_request = request(stream=True, include_usage=include_usage)
    quick, plain = Encoder(chat_request), Encoder(chat_request)
    for event in events:
        plain._around_text.clear()
        assert quick.feed(event) == plain.feed(event)
    assert quick.end() == plain.end()


def test_a_stream_in_full() -> None:
    raw = write(
        Start("up", "m-1", 1, "flex", "fp"),
        TextDelta(0, "a"),
        Finish(0, "stop"),
        Usage(b"{}", Counts(input=2, output=3)),
        Usage(b"{}"),
        End(marked=True),
    )
    assert raw.endswith(b"data: [DONE]\n\n")
    role, text, finish, usage = chunks(raw)
    heads = [{k: v for k, v in chunk.items() if k not in ("choices", "usage")} for chunk in
             (role, text, finish, usage)]  # fmt: skip
    assert all(head == heads[0] for head in heads)
    assert heads[0]["id"].startswith("chatcmpl-")
    del heads[0]["id"]
    assert heads[0] == {
        "object": "chat.completion.chunk",
        "created": RECEIVED_AT,
        "model": "m-1",
        "service_tier": "flex",
        "system_fingerprint": "fp",
    }
    assert role["choices"] == [{"index": 0, "delta": ROLE, "logprobs": None, "finish_reason": None}]
    assert text["choices"][0]["delta"] == {"content": "a"}
    assert finish["choices"][0] == {
        "index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"
    }  # fmt: skip
    assert [chunk["usage"] for chunk in (role, text, finish)] == [None] * 3
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 5)


def test_usage_is_absent_without_include_usage() -> None:
    raw = write(TextDelta(0, "a"), Usage(b"{}", Counts(input=1)), chat_request=request(stream=True))
    assert all("usage" not in chunk for chunk in chunks(raw))
    assert chunks(raw)[0]["model"] == "m"


def test_unknown_usage_is_absent() -> None:
    assert chunks(write())[-1]["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(
    ("event", "delta"),
    [
        (ReasoningDelta(0, "a"), {"reasoning_content": "a"}),
        (RefusalDelta(0, "a"), {"refusal": "a"}),
        (AudioDelta(0, "audio/L16", "AA==", "t", "i", 5),
         {"audio": {"id": "i", "data": "AA==", "transcript": "t", "expires_at": 5}}),
        (AudioDelta(0, "", "", "t"), {"audio": {"transcript": "t"}}),
        (ImageOutput(0, "a/b", "AA=="),
         {"images": [{"type": "image_url", "image_url": {"url": "data:a/b;base64,AA=="}}]}),
        (ImageOutput(0, "", "", "u"),
         {"images": [{"type": "image_url", "image_url": {"url": "u"}}]}),
        (Citation(0, Source("u", "t", 1, 2)), {"annotations": [{"type": "url_citation",
         "url_citation": {"start_index": 1, "end_index": 2, "url": "u", "title": "t"}}]}),
    ],
)  # fmt: skip
def test_delta(event: Event, delta: object) -> None:
    assert deltas(write(event)) == [ROLE, delta]


@pytest.mark.parametrize(
    "event",
    [
        OpaqueDelta(0, b"1"),
        Broken("F14"),
        UpstreamError("overloaded", "x", None),
        End(marked=True),
        ReasoningSeal(0, Seal("anthropic", "s")),
        ToolCallEnd(0, 0),
    ],
)
def test_parts_without_their_own_chunk(event: Event) -> None:
    assert Encoder(request()).feed(event) == b""


def test_logprobs() -> None:
    tokens = (TokenLogprob("a", -0.5),)
    raw = write(LogprobsDelta(0, tokens), LogprobsDelta(0, tokens, refusal=True))
    written = [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}]
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks(raw)[1:-1]] == [
        {"content": written, "refusal": None},
        {"content": None, "refusal": written},
    ]


CALLS = [
    ReasoningDelta(0, "why"),
    ReasoningSeal(0, Seal("anthropic", "s")),
    ReasoningDelta(0, "hm"),
    TextDelta(0, "t"),
    ToolCallStart(0, 0, "a", "f"),
    ToolCallStart(0, 1, "b", "g"),
    ToolArgumentsDelta(0, 0, "{}"),
    ToolCallEnd(0, 0),
    ToolCallEnd(0, 1),
    Finish(0, "tool_calls"),
]


def test_calls() -> None:
    sealed = {"anthropic": {"reasoning": [{"characters": 3, "value": "s"}, {"characters": 2}]}}
    assert deltas(write(*CALLS))[4:-1] == [
        {"tool_calls": [{"index": 0, "id": "a", "type": "function",
                         "function": {"name": "f", "arguments": ""}, "extra_content": sealed}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function",
                         "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]  # fmt: skip


def test_old_form_has_only_the_first_call() -> None:
    raw = write(*CALLS, chat_request=request(legacy_functions=True))
    assert deltas(raw)[4:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert chunks(raw)[-1]["choices"][0]["finish_reason"] == "function_call"


def test_a_failed_stream_has_no_end_marker() -> None:
    raw = Encoder(request()).fail("overloaded", "Server Overloaded")
    body = json.loads(raw.removeprefix(b"data: "))
    assert body["error"]["code"] == "server_overloaded"
    assert body["request_id"] == request().request_id
    assert b"[DONE]" not in raw


def read_again(raw: bytes, choices: int) -> ChatAnswer:
    decoder = Decoder(include_usage=True, choices=choices, translate=True, audio_type="audio/wav")
    steps = decoder.feed(raw) + decoder.end()
    return fold(event for step in steps for event in step.events)


@given(openai_answers())
def test_written_stream_reads_the_same(answer: ChatAnswer) -> None:
    """But for seals that are not Google's: a stream has told its reasoning before they come."""
    read = read_again(write(*unfold(answer)), len(answer.choices))
    assert (read.model, read.fingerprint, read.counts) == (
        answer.model, answer.fingerprint, answer.counts
    )  # fmt: skip
    for got, choice in zip(read.choices, answer.choices, strict=True):
        assert got == msgspec.structs.replace(choice, parts=_streamed(choice.parts))


def _streamed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning) and part.seal and part.seal.owner != "gemini":
            part = Reasoning(part.text)
        if part != Reasoning(""):
            kept.append(part)
    return tuple(merge_reasoning(kept))


@pytest.mark.parametrize("name", STREAMS)
def test_golden_streams_survive(name: str) -> None:
    raw, want = (GOLDEN / name).read_bytes(), EXPECTED["codec"][name]
    events = stream(raw)
    if "error" in want:
        with pytest.raises(AnswerFault):
            fold(events)
        return
    check_summary(summary_of(stream(write(*events))), want)
    assert read_again(write(*events), 1).choices == fold(events).choices
