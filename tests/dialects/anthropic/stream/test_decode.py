import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.answer.decode import decode as read_whole
from dialects.anthropic.answer.wire import StreamEvent, read_event
from dialects.anthropic.stream import decode
from dialects.anthropic.stream.decode import Decoder
from dialects.chat.events import (
    Broken,
    Citation,
    End,
    Event,
    Finish,
    FinishReason,
    ImageOutput,
    OpaqueDelta,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    Source,
    Start,
    Step,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
    Usage,
)
from dialects.streams.model_alias import FrameNaming
from dialects.usage.usage import Counts
from tests.dialects.anthropic.golden import (
    EXPECTED,
    GOLDEN,
    STREAMS,
    check_summary,
    check_usage,
)
from tests.dialects.anthropic.wire_events import check_grammar, read_frames
from tests.dialects.exchanges import by_bytes, check_cuts, events_of, raw_of

# Levels that can be decoded, but not looked through. From Python 3.12 on, more can be.
TOO_DEEP = 700 if sys.version_info < (3, 12) else 2000


def run(*chunks: bytes, translate: bool = True, answer_tool: str = "") -> list[Step]:
    decoder = Decoder(translate=translate, answer_tool=answer_tool)
    steps = [step for chunk in chunks for step in decoder.feed(chunk)]
    return steps + decoder.end()


def frame(kind: str, **members: object) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def opened(index: int, **block: object) -> bytes:
    return frame("content_block_start", index=index, content_block=block)


def added(index: int, **delta: object) -> bytes:
    return frame("content_block_delta", index=index, delta=delta)


def closed(index: int) -> bytes:
    return frame("content_block_stop", index=index)


def stopped(reason: str, **more: object) -> bytes:
    return frame("message_delta", delta={"stop_reason": reason}, **more)


START = frame("message_start", message={"id": "msg_1", "model": "claude"})
STOP = frame("message_stop")
TEXT = opened(0, type="text", text="") + added(0, type="text_delta", text="a")


def decoded_events(*frames: bytes, answer_tool: str = "") -> list[Event]:
    """The events of these frames inside a whole answer, without its Start and End, and without the
    finish of an answer that states no reason."""
    steps = run(START, *frames, STOP, answer_tool=answer_tool)
    first, *rest, last = events_of(steps)
    assert (first, last) == (Start("msg_1", "claude"), End(marked=True))
    told = events_of(run(START, *frames, answer_tool=answer_tool))[1:-1]
    assert rest[: len(told)] == told
    return told


def plain(*frames: bytes) -> list[Event]:
    return events_of(run(START, *frames, STOP, translate=False))[:-1]


@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream(name: str) -> None:
    raw, want = (GOLDEN / name).read_bytes(), EXPECTED["codec"][name]
    steps = run(raw)
    got = events_of(steps)
    assert raw_of(steps) == raw
    assert isinstance(got[0], Start)
    check_summary(got, want)
    counts = [event.counts for event in got if isinstance(event, Usage)][-1]
    assert counts is not None
    check_usage(counts, want["usage"])
    if "error" in want:
        assert isinstance(got[-1], UpstreamError)
        assert got[-1].kind == want["error_kind"]
        assert not any(isinstance(event, Finish) for event in got)
    else:
        assert got[-1] == End(marked=True)


# Byte by byte, it is cut everywhere; in two pieces, at every seventh place.
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("translate", [True, False])
@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream_cut_anywhere_tells_the_same(name: str, translate: bool, step: int) -> None:
    raw = (GOLDEN / name).read_bytes()
    whole = run(raw, translate=translate)
    assert run(*by_bytes(raw), translate=translate) == whole
    for at in range(0, len(raw), step):
        assert run(raw[:at], raw[at:], translate=translate) == whole
    assert run(raw + b"data: {\n\n: more", translate=translate) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_truncated_stream_is_never_complete(name: str) -> None:
    check_cuts((GOLDEN / name).read_bytes(), lambda: Decoder(translate=True))


@pytest.mark.parametrize("name", STREAMS)
def test_forwarded_stream_reveals_less(name: str) -> None:
    raw = (GOLDEN / name).read_bytes()
    got, full = events_of(run(raw, translate=False)), events_of(run(raw))
    left_out = (Start, ReasoningSeal, ToolCallEnd, Citation)
    assert not any(isinstance(event, left_out) for event in got)
    assert all(event.counts is None for event in got if isinstance(event, Usage))
    for kind in (TextDelta, ReasoningDelta, ToolCallStart, Finish):
        assert [e for e in got if type(e) is kind] == [e for e in full if type(e) is kind]


def test_ping_comment_and_beginnings_are_no_content() -> None:
    raw = [START, frame("ping"), b": hi\n\n", b"data:\n\n", opened(0, type="text", text="")]
    for step, frame_raw in zip(run(*raw, translate=False), raw, strict=False):
        assert step == Step(frame_raw, [])


def test_thinking_is_sealed_by_its_signature() -> None:
    assert decoded_events(
        opened(0, type="thinking", thinking="", signature=""),
        added(0, type="thinking_delta", thinking="a"),
        added(0, type="signature_delta", signature="si"),
        added(0, type="signature_delta", signature="gn"),
        closed(0),
        opened(1, type="redacted_thinking", data="xx"),
        closed(1),
        opened(2, type="thinking", thinking="b"),
        closed(2),
    ) == [
        ReasoningDelta(0, "a"),
        ReasoningSeal(0, Seal("anthropic", "sign")),
        ReasoningSeal(0, Seal("anthropic", "xx", redacted=True)),
        ReasoningDelta(0, "b"),
    ]


def test_tool_call_without_arguments_has_an_empty_object() -> None:
    call = opened(1, type="tool_use", id="t", name="f", input={})
    ends = [ToolArgumentsDelta(0, 0, "{}"), ToolCallEnd(0, 0)]
    end = stopped("tool_use")
    assert decoded_events(call, closed(1), end)[:-1] == [ToolCallStart(0, 0, "t", "f"), *ends]
    empty = added(1, type="input_json_delta", partial_json="")
    assert decoded_events(call, empty, closed(1), end)[1:-1] == ends
    following = opened(2, type="tool_use", id="u", name="g", input={})
    assert decoded_events(call, closed(1), following)[1:-1] == ends
    assert plain(call, closed(1)) == [ToolCallStart(0, 0, "t", "f")]


def test_tool_call_with_arguments_in_one_piece() -> None:
    call = opened(0, type="tool_use", id="t", name="f", input={"a": 1})
    assert decoded_events(call, closed(0))[1] == ToolArgumentsDelta(0, 0, '{"a": 1}')
    assert plain(call, closed(0))[1] == ToolArgumentsDelta(0, 0, '{"a": 1}')


def test_open_parts_are_closed_before_the_finish() -> None:
    call = opened(0, type="tool_use", id="t", name="f") + added(0, partial_json='{"a":')
    assert decoded_events(call, stopped("tool_use")) == [
        ToolCallStart(0, 0, "t", "f"),
        ToolArgumentsDelta(0, 0, '{"a":'),
        ToolCallEnd(0, 0),
        Finish(0, "tool_calls"),
    ]
    again = opened(0, type="tool_use", id="u", name="g")
    assert decoded_events(call, again)[2:] == [ToolCallEnd(0, 0), ToolCallStart(0, 1, "u", "g")]


def test_a_call_that_is_cut_is_never_closed() -> None:
    call = opened(0, type="tool_use", id="t", name="f") + added(0, partial_json='{"a":')
    got = events_of(run(START, call))
    assert not any(isinstance(event, ToolCallEnd) for event in got)
    assert got[-1] == Broken("F14")


def test_arguments_that_are_an_object_are_passed_on_as_json() -> None:
    """As some compatible providers send them."""
    call = opened(0, type="tool_use", id="t", name="f", input={})
    delta = added(0, type="input_json_delta", partial_json={"a": 1})
    _, arguments, *_ = decoded_events(call, delta, closed(0))
    assert isinstance(arguments, ToolArgumentsDelta)
    assert json.loads(arguments.text) == {"a": 1}


@pytest.mark.parametrize("pieces", [[], ['{"a":']])
def test_a_call_cut_by_the_length_never_ends(pieces: list[str]) -> None:
    """F38: Anthropic closes its block before it says so."""
    call = opened(0, type="tool_use", id="t", name="f", input={})
    deltas = [added(0, type="input_json_delta", partial_json=piece) for piece in pieces]
    assert decoded_events(call, *deltas, closed(0), stopped("max_tokens")) == [
        ToolCallStart(0, 0, "t", "f"),
        *[ToolArgumentsDelta(0, 0, piece) for piece in pieces],
        Finish(0, "length"),
    ]


def test_citations_are_about_the_whole_of_their_text() -> None:
    place = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"}
    document = {"type": "char_location", "document_index": 0, "cited_text": "q"}
    members = {"type": "search_result_location", "source": "s", "title": "t"}
    assert decoded_events(
        TEXT,
        closed(0),
        opened(1, type="text", text="", citations=[members, 3]),
        added(1, type="citations_delta", citation=place),
        added(1, type="citations_delta", citation=document),
        added(1, type="text_delta", text="bcd"),
        closed(1),
    )[1:] == [
        TextDelta(0, "bcd"),
        Citation(0, Source("s", "t", 1, 4)),
        Citation(0, Source("u", "t", 1, 4, "q")),
    ]


def test_own_blocks_are_content_for_their_own_clients_only() -> None:
    server = opened(0, type="server_tool_use", id="s", name="web_search", input={"a": 1})
    frames = [server, added(0, type="input_json_delta", partial_json="{}"), closed(0)]
    assert decoded_events(*frames) == []
    (event,) = plain(*frames)
    assert isinstance(event, OpaqueDelta)
    assert json.loads(event.raw)["content_block"]["name"] == "web_search"


@pytest.mark.parametrize(
    ("source", "events"),
    [
        ({"type": "base64", "media_type": "image/png", "data": "AA=="},
         [ImageOutput(0, "image/png", "AA==")]),
        ({"type": "url", "url": "u"}, [ImageOutput(0, "", "", "u")]),
        ({"type": "file"}, []),
        (3, []),
    ],
)  # fmt: skip
def test_picture(source: object, events: list[Event]) -> None:
    raw = opened(0, type="image", source=source)
    assert decoded_events(raw, closed(0)) == events
    assert [type(event) for event in plain(raw)] == [OpaqueDelta]


def test_input_of_the_answer_tool_is_the_text() -> None:
    call = opened(0, type="tool_use", id="t", name="json_answer", input={})
    pieces = [added(0, partial_json='{"a'), added(0, partial_json='":1}'), closed(0)]
    assert decoded_events(call, *pieces, stopped("tool_use"), answer_tool="json_answer") == [
        TextDelta(0, '{"a'),
        TextDelta(0, '":1}'),
        Finish(0, "stop"),
    ]
    empty = decoded_events(call, closed(0), stopped("tool_use"), answer_tool="json_answer")
    assert empty == [TextDelta(0, "{}"), Finish(0, "stop")]
    other = opened(0, type="tool_use", id="t", name="f", input={})
    finish = decoded_events(other, stopped("tool_use"), answer_tool="json_answer")[-1]
    assert finish.reason == "tool_calls"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "neutral"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause"),
        ("whatever", "stop"),
    ],
)
def test_stop_reason(word: str, neutral: str) -> None:
    assert decoded_events(stopped(word)) == [Finish(0, neutral)]  # type: ignore[arg-type]


def test_only_the_first_finish_is_reported() -> None:
    first = frame("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "X"})
    assert decoded_events(first, stopped("end_turn")) == [Finish(0, "stop_sequence", "X")]
    assert (
        decoded_events(frame("message_delta", delta={"stop_reason": None}), frame("message_delta"))
        == []
    )


@pytest.mark.parametrize(
    ("text", "reason"), [('{"a":1}', "tool_calls"), ("", "tool_calls"), ('{"a":', "length")]
)
def test_end_without_a_stop_reason_is_one(text: str, reason: FinishReason) -> None:
    """message_stop alone ends an answer. A call that is cut stays cut (F38)."""
    call = opened(0, type="tool_use", id="t", name="f", input={})
    delta = added(0, type="input_json_delta", partial_json=text)
    *events, finish, _ = events_of(run(START, call, delta, closed(0), STOP))
    assert finish == Finish(0, reason)
    assert (ToolCallEnd(0, 0) in events) is (reason == "tool_calls")
    assert events_of(run(START, TEXT, STOP))[-2] == Finish(0, "stop")
    message = {"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": None}
    raw = json.dumps(message).encode()
    assert read_whole(raw, translate=True).events[-1] == Finish(0, "stop")
    assert read_whole(raw).events[-1] == TextDelta(0, "a")


def test_final_usage_overlays_the_initial_usage() -> None:
    start = {"input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 1}
    split = {"cache_creation": {"ephemeral_1h_input_tokens": 3}, "service_tier": "priority"}
    steps = run(
        frame("message_start", message={"id": "i", "model": "m", "usage": start | split}),
        TEXT,
        stopped("end_turn", usage={"input_tokens": 7, "output_tokens": 9}),
        STOP,
    )
    got = events_of(steps)
    assert got[0] == Start("i", "m", 0, "priority")
    counts = [event.counts for event in got if isinstance(event, Usage)]
    assert counts == [
        Counts(input=8, cache_write_1h=3, output=1),
        Counts(input=10, cache_write_1h=3, output=9),
    ]


def test_implausible_usage_has_no_counts() -> None:
    assert decoded_events(frame("message_delta", usage={"input_tokens": -1})) == [
        Usage(b'{"input_tokens": -1}', None)
    ]
    assert decoded_events(frame("message_delta", usage=None)) == []


def test_start_comes_first_even_if_the_upstream_omits_it() -> None:
    assert events_of(run(TEXT))[0] == Start("", "")
    assert events_of(run(added(0, text="a")))[:2] == [Start("", ""), TextDelta(0, "a")]
    assert events_of(run(stopped("end_turn"))) == [
        Start("", ""),
        Finish(0, "stop"),
        End(marked=False),
    ]
    assert events_of(run(frame("message_start"), START, TEXT))[0] == Start("", "")


def test_event_without_a_type_is_known_by_its_name() -> None:
    raw = b'event: content_block_delta\ndata: {"index":0,"delta":{"text":"a"}}\n\n'
    assert TextDelta(0, "a") in run(raw)[0].events


def test_bytes_of_text_are_counted_as_utf8() -> None:
    decoder = Decoder()
    decoder.feed(
        added(0, text="é!") + added(0, thinking="上") + opened(1, type="tool_use", name="f")
    )
    decoder.feed(added(1, partial_json="{}") + added(7, partial_json="ab"))
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (8, 3)


@pytest.mark.parametrize(
    "odd",
    [
        frame("content_block_delta", index="x", delta={"text": "a", "citation": 3}),
        frame("content_block_delta", index=0, delta={"text": "a", "signature": 3}),
        frame("content_block_start", index=None, content_block={"type": 3, "text": "a"}),
        b'data: {"type":"content_block_delta","index":1e400,"delta":{"text":"a"}}\n\n',
    ],
)
def test_odd_types_are_read_as_far_as_they_go(odd: bytes) -> None:
    assert TextDelta(0, "a") in run(odd)[0].events


@pytest.mark.parametrize(
    "odd",
    [
        frame("content_block_delta", index=0, delta=3),
        frame("content_block_delta"),
        frame("content_block_start", content_block="x"),
        frame("content_block_stop", index=5),
        frame("message_start", message=[]),
        frame("tomorrow", index=0),
        added(0, type="text_delta", text=""),
    ],
)
def test_empty_events_are_passed_on(odd: bytes) -> None:
    assert run(odd, translate=False)[0] == Step(odd, [])


def test_non_text_content_keeps_its_json() -> None:
    assert run(added(0, text=[1]), translate=False)[0].events == [TextDelta(0, "[1]")]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"data: {\n\n", "F15"),
        (b"data: 3\n\n", "F15"),
        (b"data: [DONE]\n\n", "F15"),
        (b"data: {\"a\":\"\xff\"}\n\n", "F16"),
        (b": \xff\n\n", "F16"),
        (STOP, "F24"),
        (frame("ping"), "F24"),
        (b"", "F24"),
        (b"data: {\"delta\":" + b"[" * 200_000 + b"\n\n", "F15"),
        (b'data: {"delta":{', "F24"),
        (START, "F14"),
        (START + TEXT, "F14"),
        (START + TEXT + b"data: {\"ty", "F14"),
    ],
)  # fmt: skip
def test_broken(raw: bytes, fault: str) -> None:
    assert run(raw)[-1] == Step(b"", [Broken(fault)])  # type: ignore[arg-type]


def test_frame_above_the_limit() -> None:
    decoder = Decoder(frame_bytes_max=200)
    steps = decoder.feed(added(0, text="a") + b"data: " + b"x" * 300)
    assert events_of(steps) == [TextDelta(0, "a"), Broken("F17")]
    assert decoder.feed(b"\n\n") == []
    assert decoder.end() == []


def test_cut_after_the_stop_reason_is_no_fault() -> None:
    assert events_of(run(START, TEXT, stopped("end_turn")))[-1] == End(marked=False)
    assert events_of(run(START, TEXT, stopped("end_turn") + b"data: {"))[-1] == End(marked=False)


def test_forwarded_stream_can_be_ended_at_its_length() -> None:
    decoder = Decoder()
    usage = {"usage": {"input_tokens": 2, "output_tokens": 1}}
    raw = raw_of(decoder.feed(frame("message_start", message=usage) + TEXT))
    ended = raw + decoder.length_notice()
    check_grammar(read_frames(ended))
    assert events_of(run(ended))[-2:] == [
        Usage(b'{"input_tokens":2,"output_tokens":1}', Counts(input=2, output=1)),
        End(marked=True),
    ]
    assert Finish(0, "length") in events_of(run(ended))


def test_line_ends_inside_a_usage_object_do_not_leave() -> None:
    decoder = Decoder()
    decoder.feed(b'data: {"type":"message_delta","usage":{\ndata: "output_tokens":\ndata: 1}}\n\n')
    assert read_frames(decoder.length_notice())[0]["usage"] == {"output_tokens": 1}


def test_a_cut_call_is_not_ended_with_the_stream() -> None:
    decoder = Decoder()
    decoder.feed(START + opened(0, type="tool_use", id="t", name="f", input={}))
    kinds = [decoded_events["type"] for decoded_events in read_frames(decoder.length_notice())]
    assert kinds == ["message_delta", "message_stop"]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r"])
def test_unterminated_last_event_is_read_and_closed(tail: bytes) -> None:
    steps = run(START + TEXT + STOP.strip() + tail)
    assert events_of(steps)[-1] == End(marked=True)
    assert raw_of(steps).endswith((b"}\n\n", b"}\r\n"))
    assert events_of(run(START + b": x"))[-1] == Broken("F14")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "overloaded"),
        ({"type": "error", "error": {"type": "api_error"}}, "upstream_error"),
        ({"type": "error", "message": "x"}, "upstream_error"),
        ({"error": {"type": "rate_limit_error"}}, "upstream_rate_limited"),
        ({"error": "text"}, "upstream_error"),
    ],
)
def test_error_event(error: object, kind: str) -> None:
    raw = b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"
    (step,) = run(raw)
    (event,) = step.events
    assert step.raw == raw
    assert isinstance(event, UpstreamError)
    assert event.kind == kind


def test_secrets_in_an_error_are_masked() -> None:
    raw = b'event: error\ndata: {"error":{"message":"sk-ant-abcdef123456 of org-9abcdefgh"}}\n\n'
    (step,) = run(raw)
    assert step.raw == b'event: error\ndata: {"error":{"message":"*** of org-***"}}\n\n'


@pytest.mark.parametrize("odd", [b"1e400", b"[" * TOO_DEEP + b"]" * TOO_DEEP])
def test_unscannable_error_shows_nothing(odd: bytes) -> None:
    (step,) = run(b'data: {"type":"error","error":{"code":' + odd + b"}}\n\n")
    assert step.raw == b""
    assert isinstance(step.events[0], UpstreamError)


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_bytes_crash_the_decoder(chunks: list[bytes], translate: bool) -> None:
    got = events_of(run(*chunks, translate=translate))
    assert isinstance(got[-1], End | Broken | UpstreamError)


NAMES = [
    "type", "index", "delta", "content_block", "message", "usage", "error", "text", "thinking",
    "signature", "partial_json", "citation", "stop_reason", "content", "input", "source", "data",
    "citations", "name", "id", "service_tier", "input_tokens", "url",
]  # fmt: skip
KINDS = [
    "content_block_start", "content_block_delta", "content_block_stop", "message_start",
    "message_delta", "message_stop", "text", "thinking", "redacted_thinking", "tool_use", "image",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=25,
)
EVENTS = st.builds(
    lambda kind, members: {**members, "type": kind},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
)


@given(st.lists(EVENTS | JSON, max_size=5), st.booleans(), st.data())
def test_no_json_crashes_the_decoder_and_cuts_change_nothing(
    values: list[object], translate: bool, data: st.DataObject
) -> None:
    raw = b"".join(b"data: " + json.dumps(value).encode() + b"\r\n\r\n" for value in values)
    at = data.draw(st.integers(0, len(raw)))
    whole = run(raw, translate=translate, answer_tool="a")
    assert run(raw[:at], raw[at:], translate=translate, answer_tool="a") == whole


_PIECES = st.sampled_from(
    [
        "word",
        " word",
        "",
        '"',
        "\\",
        "é",
        "你",
        "🦊",
        "\ud83d",
        "text",
        "text_delta",
        "}",
        "a\nb",
        "\x00",
    ]
) | st.text(max_size=4)
_FRAMES = st.one_of(
    # Mostly texts, of which some follow each other.
    *[st.builds(lambda text: ("text_delta", 0, {"text": text}), _PIECES)] * 3,
    st.builds(lambda text, n: ("text_delta", n, {"text": text}), _PIECES, st.integers(0, 2)),
    st.builds(lambda text: ("input_json_delta", 1, {"partial_json": text}), _PIECES),
    st.builds(lambda text: ("thinking_delta", 2, {"thinking": text}), _PIECES),
    st.builds(
        lambda quote, url: ("citations_delta", 0, {"citation": {"url": url, "cited_text": quote}}),
        _PIECES,
        st.just("https://example.org"),
    ),
    st.builds(lambda n: ("stop", n, {}), st.integers(0, 2)),
    st.builds(lambda n: ("start", n, {"type": "text", "text": ""}), st.integers(0, 2)),
    st.builds(
        lambda name: ("start", 1, {"type": "tool_use", "id": "c", "name": name, "input": {}}),
        st.sampled_from(["answer", "find"]),
    ),
)


@given(
    st.lists(_FRAMES, max_size=12),
    st.sampled_from(["as it is", "ascii"]),
    st.sampled_from(["", "word", "other"]),
    st.booleans(),
    st.sampled_from(["", "answer"]),
    st.data(),
)
def test_frames_differing_only_in_text_read_like_any_other(
    frames: list[tuple[str, int, dict[str, object]]],
    letters: str,
    alias: str,
    translate: bool,
    answer_tool: str,
    data: st.DataObject,
) -> None:
    """What is skipped of a frame that is like the one before changes nothing that is told, nor the
    places of citations that are told later."""

    def write(kind: str, **members: object) -> bytes:
        text = json.dumps({"type": kind, **members}, ensure_ascii=letters == "ascii")
        return f"event: {kind}\ndata: {text}\n\n".encode(errors="surrogatepass")

    raw = START + opened(0, type="text", text="")
    for kind, index, members in frames:
        if kind == "stop":
            raw += closed(index)
        elif kind == "start":
            raw += opened(index, **members)
        else:
            delta = {"type": kind, **members}
            raw += write("content_block_delta", index=index, delta=delta)
    raw += data.draw(st.sampled_from([b"", stopped("end_turn") + STOP]))
    at = data.draw(st.integers(0, len(raw)))
    quick, plain = (Decoder(translate=translate, answer_tool=answer_tool) for _ in range(2))
    plain._misses = 1_000_000
    if alias:
        naming = FrameNaming(("message", "model"), alias)
        quick.show(naming.rename)
        plain.show(FrameNaming(("message", "model"), alias).rename)
    steps = [*quick.feed(raw[:at]), *quick.feed(raw[at:]), *quick.end()]
    expected = [*plain.feed(raw), *plain.end()]
    assert raw_of(steps) == raw_of(expected)
    assert events_of(steps) == events_of(expected)
    assert quick.text_bytes == plain.text_bytes
    assert quick.reasoning_bytes == plain.reasoning_bytes
    assert (quick.complete, quick.usage) == (plain.complete, plain.usage)
    assert quick.length_notice() == plain.length_notice()


def test_frames_differing_only_in_text_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would compare one way with itself. Citations count them."""
    parsed: list[bytes] = []

    def parse(data: bytes) -> StreamEvent:
        parsed.append(data)
        return read_event(data)

    monkeypatch.setattr(decode, "read_event", parse)
    words = [added(0, type="text_delta", text=f"w{n}") for n in range(9)]
    citation = {"url": "https://example.org", "cited_text": "w"}
    cited = added(0, type="citations_delta", citation=citation)
    events = events_of(run(START, opened(0, type="text", text=""), *words, cited, closed(0)))
    assert events[1:10] == [TextDelta(0, f"w{n}") for n in range(9)]
    assert len(parsed) == 5
    source = Source(url="https://example.org", title="", start=0, end=18, quote="w")
    assert events[10] == Citation(0, source)
