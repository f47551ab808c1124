import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import ChatRequest, ToolCall
from dialects.chat.events import (
    AudioDelta,
    Broken,
    Citation,
    End,
    Event,
    Finish,
    FinishReason,
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
    TopLogprob,
    Usage,
)
from dialects.chat.fold import fold
from dialects.responses.request.decode import decode
from dialects.responses.stream.decode import Decoder
from dialects.responses.stream.encode import Encoder
from dialects.usage.usage import Counts
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID, names, request, words
from tests.dialects.responses.golden import (
    EXPECTED,
    GOLDEN,
    check_events,
    check_summary,
    frames_of,
)
from tests.support.openapi import check

START = Start("up", "m-1", 3, "priority")
CALL = [
    ToolCallStart(0, 0, "call_a", "f"),
    ToolArgumentsDelta(0, 0, '{"a":'),
    ToolArgumentsDelta(0, 0, "1}"),
    ToolCallEnd(0, 0),
]


def client(**members: Any) -> ChatRequest:
    raw = json.dumps({"model": "m", "input": "hi"} | members).encode()
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def write(*events: Event, chat_request: ChatRequest | None = None) -> bytes:
    encoder = Encoder(chat_request or client())
    return b"".join([*(encoder.feed(event) for event in events), encoder.end()])


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"].removeprefix("response.") for frame in frames]


def read(raw: bytes) -> list[Event]:
    decoder = Decoder(translate=True)
    return [event for step in [*decoder.feed(raw), *decoder.end()] for event in step.events]


def test_text() -> None:
    raw = write(START, TextDelta(0, "你"), TextDelta(0, '"\n'), Finish(0, "stop"))
    frames = frames_of(raw)
    check_events(frames)
    assert kinds(frames) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert frames[0]["response"]["output"] == []
    assert frames[0]["response"]["status"] == "in_progress"
    response = frames[-1]["response"]
    assert (response["model"], response["service_tier"]) == ("m-1", "priority")
    assert (response["created_at"], response["status"]) == (RECEIVED_AT, "completed")
    assert response["id"].startswith("resp_")
    (item,) = response["output"]
    assert item["content"] == [
        {"type": "output_text", "text": '你"\n', "annotations": [], "logprobs": []}
    ]
    assert b"[DONE]" not in raw
    assert "你".encode() in raw


def test_reasoning_text_and_call_are_items_of_their_own() -> None:
    events = [
        START,
        ReasoningDelta(0, "think "),
        ReasoningDelta(0, "hard"),
        ReasoningSeal(0, Seal("anthropic", "sig")),
        TextDelta(0, "Let me."),
        *CALL,
        Finish(0, "tool_calls"),
        Usage(b"{}", Counts(input=3, cache_read=1, output=5, reasoning=2)),
    ]
    frames = frames_of(write(*events))
    check_events(frames)
    assert kinds(frames) == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [frame.get("output_index") for frame in frames[2:-1]] == [0] * 7 + [1] * 6 + [2] * 5
    thought, message, called = frames[-1]["response"]["output"]
    assert thought["encrypted_content"] == "anthropic:sig"
    assert thought["summary"] == [{"type": "summary_text", "text": "think hard"}]
    assert message["status"] == "completed"
    assert (called["call_id"], called["arguments"]) == ("call_a", '{"a":1}')
    assert frames[-1]["response"]["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 8,
    }


@pytest.mark.parametrize("name", ["responses_stream_reasoning_tools.sse"])
def test_golden_stream_written_and_read_again(name: str) -> None:
    first = read((GOLDEN / name).read_bytes())
    raw = write(*first)
    check_events(frames_of(raw))
    check_summary(read(raw), EXPECTED["codec"][name])


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("pause", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        (None, "incomplete", None),
    ],
)
def test_finish(reason: FinishReason | None, status: str, detail: object) -> None:
    events: list[Event] = [START, TextDelta(0, "a")]
    finish = [] if reason is None else [Finish(0, reason), Finish(0, "stop")]
    frames = frames_of(write(*events, *finish))
    check_events(frames)
    assert frames[-1]["type"] == f"response.{status}"
    response = frames[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == (status, detail)
    assert response["output"][0]["status"] == status
    assert frames[-2]["item"]["status"] == status


def test_answer_without_events_is_still_whole() -> None:
    frames = frames_of(write())
    check_events(frames)
    assert kinds(frames) == ["created", "in_progress", "incomplete"]
    assert kinds(frames_of(write(START, START)))[:3] == ["created", "in_progress", "incomplete"]


def test_parts_hidden_from_clients_of_this_dialect() -> None:
    encoder = Encoder(client())
    assert encoder.feed(START).count(b"event: ") == 2
    hidden: list[Event] = [
        START,
        TextDelta(1, "other choice"),
        OpaqueDelta(0, b"{}"),
        LogprobsDelta(0, (), refusal=True),
        LogprobsDelta(0, ()),
        Citation(0, Source("u")),
        ToolArgumentsDelta(0, 0, "{}"),
        Usage(b"{}"),
        Broken("F14"),
        End(marked=True),
    ]
    assert [encoder.feed(event) for event in hidden] == [b""] * len(hidden)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events = [START, ToolCallStart(0, 0, "c", "f"), ToolCallEnd(0, 0), Finish(0, "tool_calls")]
    frames = frames_of(write(*events))
    assert frames[-1]["response"]["output"][0]["arguments"] == "{}"


def test_a_cut_call_stays_cut() -> None:
    events = [START, ToolCallStart(0, 0, "c", "f"), Finish(0, "length")]
    item = frames_of(write(*events))[-1]["response"]["output"][0]
    assert (item["arguments"], item["status"]) == ("", "incomplete")


def test_interleaved_calls_are_written_in_sequence() -> None:
    events: list[Event] = [
        START,
        ToolCallStart(0, 0, "c0", "f"),
        ToolCallStart(0, 1, "c1", "g"),
        ToolArgumentsDelta(0, 1, "[1"),
        ToolArgumentsDelta(0, 0, "[0"),
        TextDelta(0, "between"),
        ToolCallStart(0, 2, "c2", "h"),
        ToolArgumentsDelta(0, 1, "]"),
        ToolArgumentsDelta(0, 0, "]"),
        ToolCallEnd(0, 0),
        ToolCallEnd(0, 1),
        ToolCallEnd(0, 2),
        ToolArgumentsDelta(0, 7, "nobody's"),
        Finish(0, "tool_calls"),
    ]
    frames = frames_of(write(*events))
    check_events(frames)
    open_items = 0
    for frame in frames:
        open_items += frame["type"] == "response.output_item.added"
        open_items -= frame["type"] == "response.output_item.done"
        assert open_items <= 1
    output = frames[-1]["response"]["output"]
    assert [item.get("arguments") for item in output] == ["[0]", "[1]", None, "{}"]
    # The first call does not wait for the others.
    encoder = Encoder(client())
    written = [encoder.feed(event) for event in events]
    assert [bool(piece) for piece in written[:10]] == [1, 1, 0, 0, 1, 0, 0, 0, 1, 1]


def test_many_parallel_calls_cost_no_more_each() -> None:
    n = 3_000
    events: list[Event] = [START]
    events += [ToolCallStart(0, i, f"c{i}", "f") for i in range(n)]
    events += [ToolArgumentsDelta(0, i, "{}") for i in range(n)]
    events += [ToolCallEnd(0, i) for i in range(n)]
    frames = frames_of(write(*events, Finish(0, "tool_calls")))
    assert len(frames[-1]["response"]["output"]) == n


def test_refusal_and_text_are_parts_of_one_message() -> None:
    events = [START, TextDelta(0, "Well."), RefusalDelta(0, "No"), RefusalDelta(0, "."),
            Finish(0, "stop")]  # fmt: skip
    frames = frames_of(write(*events))
    check_events(frames)
    (item,) = frames[-1]["response"]["output"]
    assert item["content"][1] == {"type": "refusal", "refusal": "No."}
    places = [f["content_index"] for f in frames if f["type"] == "response.content_part.added"]
    assert places == [0, 1]


def test_citations_are_at_their_text() -> None:
    events: list[Event] = [
        START,
        TextDelta(0, "abc"),
        Citation(0, Source("u", "t", 0, 2)),
        *CALL,
        TextDelta(0, "def"),
        Citation(0, Source("v", "", 3, 5)),
        Citation(0, Source("w", "", 1, 2)),
        Citation(0, Source("x")),
        Finish(0, "stop"),
        Citation(0, Source("y", "", 4, 6)),
    ]
    frames = frames_of(write(*events))
    check_events(frames)
    added = [f for f in frames if f["type"] == "response.output_text.annotation.added"]
    assert [(f["output_index"], f["annotation_index"], f["annotation"]["url"]) for f in added] == [
        (0, 0, "u"), (2, 0, "v"), (2, 1, "x"), (2, 2, "y"),
    ]  # fmt: skip
    assert added[1]["annotation"] == {
        "type": "url_citation", "start_index": 0, "end_index": 2, "url": "v", "title": "",
    }  # fmt: skip
    first, _, last = frames[-1]["response"]["output"]
    assert [annotation["url"] for annotation in first["content"][0]["annotations"]] == ["u", "w"]
    assert [annotation["url"] for annotation in last["content"][0]["annotations"]] == [
        "v",
        "x",
        "y",
    ]


def test_likelihoods() -> None:
    tokens = (TokenLogprob("é", -0.5, None, (TopLogprob("b", -1, (98,)),)),)
    events = [START, TextDelta(0, "é"), LogprobsDelta(0, tokens), Finish(0, "stop")]
    frames = frames_of(write(*events))
    check_events(frames)
    want = [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "b", "logprob": -1, "bytes": [98]}],
        }
    ]
    assert [frame["logprobs"] for frame in frames if "logprobs" in frame] == [[], want, want]
    assert frames[-1]["response"]["output"][0]["content"][0]["logprobs"] == want


def test_pictures() -> None:
    events = [START, TextDelta(0, "Here."), ImageOutput(0, "image/webp", "AA=="),
            ImageOutput(0, "image/png", "AA=="), ImageOutput(0, "", "", "https://e.com/p"),
            ImageOutput(0, "image/png", "", "https://e.com/p"), Finish(0, "stop")]  # fmt: skip
    frames = frames_of(write(*events))
    check_events(frames, open_responses=False)
    _, webp, png, linked, linked_png = frames[-1]["response"]["output"]
    assert (webp["result"], webp["output_format"], webp["status"]) == ("AA==", "webp", "completed")
    assert "output_format" not in png
    assert (linked["result"], linked["url"]) == (None, "https://e.com/p")
    assert linked_png == linked | {"id": linked_png["id"]}


def test_sound() -> None:
    events: list[Event] = [
        START,
        AudioDelta(0, "audio/wav", "AAA=", "Hi "),
        AudioDelta(0, "", "", "there"),
        AudioDelta(0, "", "AAA="),
        Finish(0, "stop"),
    ]
    frames = frames_of(write(*events))
    assert kinds(frames)[3:-2] == [
        "content_part.added", "audio.delta", "audio.transcript.delta", "audio.transcript.delta",
        "audio.delta", "audio.done", "audio.transcript.done", "content_part.done",
    ]  # fmt: skip
    (item,) = frames[-1]["response"]["output"]
    assert item["content"] == [
        {"type": "output_audio", "format": "wav", "data": "AAAAAA==", "transcript": "Hi there"}
    ]
    sounding = [frame for frame in frames if frame["type"].startswith("response.audio")]
    check_events(sounding, open_responses=False)


def test_seals_of_every_owner_travel() -> None:
    events: list[Event] = [
        START,
        ReasoningSeal(0, Seal("anthropic", "hidden", redacted=True)),
        ReasoningSeal(0, Seal("gemini", "sig")),
        *CALL,
        ReasoningDelta(0, "more"),
        ReasoningDelta(0, "!"),
        Finish(0, "tool_calls"),
    ]
    raw = write(*events)
    check_events(frames_of(raw))
    output = frames_of(raw)[-1]["response"]["output"]
    assert [item.get("encrypted_content") for item in output] == [
        "anthropic:redacted:hidden", "gemini:sig", None, None,
    ]  # fmt: skip
    seals = [event.seal for event in read(raw) if isinstance(event, ReasoningSeal)]
    assert seals == [Seal("anthropic", "hidden", redacted=True), Seal("gemini", "sig")]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("upstream_error", "server_error"),
        ("upstream_rate_limited", "rate_limit_exceeded"),
        ("content_filtered", "invalid_prompt"),
        ("timeout", "server_error"),
    ],
)
def test_failing(kind: Any, code: str) -> None:
    encoder = Encoder(client())
    events = [START, ReasoningDelta(0, "a"), TextDelta(0, "Half"), *CALL[:2]]
    raw = b"".join([*(encoder.feed(event) for event in events), encoder.fail(kind, "why")])
    frames = frames_of(raw)
    check_events(frames)
    assert frames[-1]["type"] == "response.failed"
    assert frames[-1]["request_id"] == client().request_id
    response = frames[-1]["response"]
    assert response["error"] == {"code": code, "message": "why"}
    assert (response["status"], response["usage"]) == ("failed", None)
    # What was finished; the open call stays open.
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]


def test_failing_before_the_start() -> None:
    raw = Encoder(client()).fail("upstream_error", "why")
    assert frames_of(raw) == [
        {
            "type": "error",
            "sequence_number": 0,
            "code": "upstream_error",
            "message": "why",
            "param": None,
            "request_id": client().request_id,
        }
    ]
    check(frames_of(raw)[0], "openai", "ResponseErrorEvent")


def test_settings_are_echoed() -> None:
    members = {
        "instructions": "Be kind.",
        "max_output_tokens": 99,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "s",
        "service_tier": "flex",
        "store": False,
        "temperature": 0.5,
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}},
            "verbosity": "low",
        },
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
        "metadata": {"a": "b"},
    }
    frames = frames_of(write(Start("up", ""), Finish(0, "stop"), chat_request=client(**members)))
    check_events(frames, open_responses=False)
    response = frames[-1]["response"]
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    function = {"type": "function", "name": "f", "parameters": schema, "strict": True}
    tools = [function | {"description": None}, {"type": "web_search"}]
    assert {name: response[name] for name in members} == members | {"tools": tools}
    assert frames_of(write(START))[0]["response"]["service_tier"] == "priority"
    plain = frames_of(write(chat_request=client(text={"format": {"type": "json_object"}})))[0][
        "response"
    ]
    assert plain["text"] == {"format": {"type": "json_object"}}
    assert (plain["instructions"], plain["tool_choice"], plain["tools"]) == (None, "auto", [])
    check(plain, "openresponses", "ResponseResource")


def test_ids_are_the_same_for_the_same_request() -> None:
    events = [START, TextDelta(0, "a"), *CALL, Finish(0, "tool_calls")]
    assert write(*events) == write(*events)
    ids = [item["id"] for item in frames_of(write(*events))[-1]["response"]["output"]]
    assert [id_.partition("_")[0] for id_ in ids] == ["msg", "fc"]
    other = frames_of(write(*events, chat_request=request(dialect="responses")))
    assert other[-1]["response"]["id"] == frames_of(write())[0]["response"]["id"]


words_told = st.one_of(
    st.builds(TextDelta, st.just(0), words),
    st.builds(RefusalDelta, st.just(0), words),
    st.builds(ReasoningDelta, st.just(0), words),
)
seals = st.builds(
    ReasoningSeal,
    st.just(0),
    st.one_of(
        st.builds(Seal, st.sampled_from(["anthropic", "gemini"]), names),
        st.builds(Seal, st.just("anthropic"), names, st.just(True)),
    ),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """What the decoders of any dialect may tell, calls interleaved."""
    events: list[Event] = [Start("up", draw(names), 3)]
    calls = 0
    for _ in range(draw(st.integers(0, 5))):
        events += draw(st.lists(st.one_of(words_told, seals), max_size=3))
        group = range(calls, calls := calls + draw(st.integers(0, 3)))
        events += [ToolCallStart(0, i, f"call_{i}", draw(names)) for i in group]
        if group:
            pieces = st.builds(ToolArgumentsDelta, st.just(0), st.sampled_from(list(group)), words)
            events += draw(st.lists(pieces, max_size=6))
        events += [ToolCallEnd(0, i) for i in draw(st.permutations(list(group)))]
    cited = st.builds(Source, names, words, st.integers(0, 3), st.integers(4, 9))
    several = st.lists(cited, max_size=2, unique_by=lambda source: source.url)
    if any(isinstance(event, TextDelta) for event in events):
        events += [Citation(0, source) for source in draw(several)]
    events.append(Finish(0, "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))))
    return events


# Two schemas for each of many events are slow to check.
@given(streams())
def test_written_stream_is_valid_and_means_the_same(events: list[Event]) -> None:
    raw = write(*events)
    frames = frames_of(raw)
    check_events(frames)
    want, got = fold(events).choices, fold(read(raw)).choices
    assert [choice.finish for choice in got] == [choice.finish for choice in want]
    for expected, actual in zip(want, got, strict=True):
        # A call without arguments has been given an empty object of them.
        parts = [
            ToolCall(part.id, part.name, part.arguments or "{}")
            if isinstance(part, ToolCall)
            else part
            for part in expected.parts
        ]
        assert list(actual.parts) == parts
        assert {source.url for source in actual.citations} == {
            source.url for source in expected.citations
        }
