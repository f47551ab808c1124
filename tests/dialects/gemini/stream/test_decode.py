import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import ChatAnswer, Reasoning, Text
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
    Seal,
    Source,
    Start,
    Step,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    TopLogprob,
    UpstreamError,
    Usage,
)
from dialects.chat.fold import fold
from dialects.chat.turns import derive_id
from dialects.errors.errors import KINDS
from dialects.gemini.stream.decode import Decoder
from dialects.gemini.usage import quantities
from dialects.usage.usage import Counts
from tests.dialects.exchanges import by_bytes, check_cuts, events_of, raw_of
from tests.dialects.gemini.golden import (
    ARRAY,
    EXPECTED,
    SSE,
    STREAMS,
    check_answer,
    check_counts,
    frame,
    load,
    run,
)

# Levels that can be decoded, but not looked through. From Python 3.12 on, more can be.
TOO_DEEP = 700 if sys.version_info < (3, 12) else 2000

SAYS_A = {"content": {"parts": [{"text": "a"}]}}
TAILS = {SSE: b"data: {\r\n\r\n\xff: more", ARRAY: b"\r\n{ more \xff"}


def folded(raw: bytes) -> ChatAnswer:
    return fold(events_of(run(raw, translate=True)))


@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream(name: str) -> None:
    raw, want = load(name), EXPECTED["codec"][name]
    steps = run(raw)
    assert raw_of(steps) == raw
    got = events_of(steps)
    assert got[-1] == End(marked=True)
    usages = [event for event in got if isinstance(event, Usage)]
    assert usages[-1].counts is None
    meters = quantities(usages[-1].raw)
    assert meters.flags == ()
    check_counts(Counts.of(meters.meters), want["usage"])
    check_answer(folded(raw), want)


# Byte by byte, it is cut everywhere; in two pieces, at every seventh place.
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("translate", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream_cut_anywhere_tells_the_same(name: str, translate: bool, step: int) -> None:
    raw = load(name)
    whole = events_of(run(raw, translate=translate))
    assert events_of(run(*by_bytes(raw), translate=translate)) == whole
    for at in range(0, len(raw), step):
        steps = run(raw[:at], raw[at:], translate=translate)
        assert events_of(steps) == whole
        assert raw_of(steps) == raw
    trailed = run(raw + TAILS[name], translate=translate)
    assert [e for e in events_of(trailed) if not isinstance(e, End)] == whole[:-1]
    assert isinstance(events_of(trailed)[-1], End)
    assert raw_of(trailed).startswith(raw)


@pytest.mark.parametrize("name", STREAMS)
def test_truncated_stream_is_never_complete(name: str) -> None:
    check_cuts(load(name), Decoder)


def test_array_cut_after_its_last_element_is_closed() -> None:
    raw = load(ARRAY)
    steps = run(raw.removesuffix(b"\n]"))
    assert steps[-1].events == [End(marked=False)]
    assert len(json.loads(raw_of(steps))) == 2


@pytest.mark.parametrize("cut", [1, 7, 100_000])
def test_events_are_array_elements_on_request(cut: int) -> None:
    """Piece by piece as they come, byte for byte but for their frames."""
    raw = b": hi\r\n\r\n" + load(SSE) + rb'data: {"candidates":[],"x":"\ud83d"}' + b"\r\n\r\n"
    decoder = Decoder(array=True)
    pieces = [raw[at : at + cut] for at in range(0, len(raw), cut)]
    steps = [step for piece in pieces for step in decoder.feed(piece)] + decoder.end()
    datas = [line[6:] for line in raw.splitlines() if line.startswith(b"data: ")]
    assert raw_of(steps) == b"[" + b",\r\n".join(datas) + b"\r\n]"
    assert events_of(steps)[-1] == End(marked=True)


def test_failing_array_is_still_an_array() -> None:
    error = b'data: {"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}\r\n\r\n'
    for before in (b"", frame({"text": "a"})):
        decoder = Decoder(array=True)
        raw = raw_of(decoder.feed(before) + decoder.feed(error))
        assert json.loads(raw)[-1]["error"]["code"] == 503
        decoder = Decoder(array=True)
        raw = raw_of(decoder.feed(before))
        assert json.loads(raw + decoder.fail("timeout", "late", "r-1"))[-1]["error"]["code"] == 504
        assert json.loads(raw + decoder.length_notice())
    assert raw_of(Decoder(array=True).feed(load(ARRAY))) == load(ARRAY)


@pytest.mark.parametrize(
    ("part", "plain", "expected"),
    [
        ({"text": "é"}, [TextDelta(0, "é")], None),
        ({"text": ""}, [], None),
        ({"text": "a", "thought": True}, [ReasoningDelta(0, "a")], None),
        ({"text": "a", "thoughtSignature": "S"}, [TextDelta(0, "a")],
         [ReasoningSeal(0, Seal("gemini", "S")), TextDelta(0, "a")]),
        ({"text": "", "thoughtSignature": "S"}, [], [ReasoningSeal(0, Seal("gemini", "S"))]),
        ({"text": "a", "thought": True, "thoughtSignature": "S"}, [ReasoningDelta(0, "a")],
         [ReasoningDelta(0, "a"), ReasoningSeal(0, Seal("gemini", "S"))]),
        ({"functionCall": {"id": "x", "name": "f"}},
         [ToolCallStart(0, 0, "x", "f"), ToolArgumentsDelta(0, 0, "{}")],
         [ToolCallStart(0, 0, "x", "f"), ToolArgumentsDelta(0, 0, "{}"), ToolCallEnd(0, 0)]),
        ({"functionCall": {"name": "f", "args": {"b": 1.0, "a": [1]}}},
         [ToolCallStart(0, 0, "", "f"), ToolArgumentsDelta(0, 0, '{"b":1.0,"a":[1]}')],
         [ToolCallStart(0, 0, derive_id("call_", "r", 0, 0), "f"),
          ToolArgumentsDelta(0, 0, '{"b":1.0,"a":[1]}'), ToolCallEnd(0, 0)]),
        ({"inlineData": {"mimeType": "image/png", "data": "AA=="}},
         [OpaqueDelta(0, b'{"mimeType": "image/png", "data": "AA=="}')],
         [ImageOutput(0, "image/png", "AA==")]),
        ({"inlineData": {"mimeType": "audio/L16", "data": "AA=="}},
         [OpaqueDelta(0, b'{"mimeType": "audio/L16", "data": "AA=="}')],
         [AudioDelta(0, "audio/L16", "AA==")]),
        ({"fileData": {"fileUri": "https://x/y"}},
         [OpaqueDelta(0, b'{"fileUri": "https://x/y"}')],
         [ImageOutput(0, "", "", "https://x/y")]),
        ({"fileData": {}}, [OpaqueDelta(0, b"{}")], []),
        ({"fileData": None}, [], None),
        ({"thought": True, "inlineData": {"mimeType": "image/png", "data": "AA=="}}, [], None),
        ({"executableCode": {"code": "1"}}, [OpaqueDelta(0, b'{"code": "1"}')], None),
        ({"codeExecutionResult": {}}, [OpaqueDelta(0, b"{}")], None),
        ({"codeExecutionResult": None}, [], None),
    ],
)  # fmt: skip
def test_part(part: object, plain: list[Event], expected: list[Event] | None) -> None:
    assert run(frame(part))[0].events == plain
    assert run(frame(part), translate=True)[0].events == [
        Start("", ""),
        *(plain if expected is None else expected),
    ]


def test_bytes_of_text_are_counted_as_utf8() -> None:
    decoder = Decoder()
    decoder.feed(frame({"text": "é!"}, {"text": "上", "thought": True}))
    decoder.feed(frame({"functionCall": {"name": "f", "args": {}}}))
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (6, 3)


@pytest.mark.parametrize(
    ("word", "neutral"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
        ("IMAGE_RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", None),
        ("UNEXPECTED_TOOL_CALL", None),
        ("TOO_MANY_TOOL_CALLS", None),
        ("OTHER", None),
        ("NO_IMAGE", None),
        ("IMAGE_OTHER", None),
        ("FINISH_REASON_UNSPECIFIED", None),
        ("SOMETHING_NEW", None),
    ],
)
def test_finish_reason(word: str, neutral: str | None) -> None:
    with_text = events_of(run(frame({"text": "a"}, finish=word)))
    assert with_text[1:] == [Finish(0, neutral or "stop"), End(marked=True)]  # type: ignore[arg-type]
    bare = events_of(run(frame({"text": "a", "thought": True}, finish=word)))[-1]
    if neutral is None:
        assert bare == UpstreamError("upstream_error", f"API request failed: {word}", None)
    else:
        assert bare == End(marked=True)


def test_failed_finish_carries_the_providers_words() -> None:
    raw = frame(finish="OTHER", candidate={"finishMessage": "no\nluck"})
    assert events_of(run(raw))[-1] == UpstreamError(
        "upstream_error", "API request failed: no luck", None
    )


@pytest.mark.parametrize("word", ["", None])
def test_an_empty_finish_is_none(word: str | None) -> None:
    raw = frame({"text": "a"}, candidate={"finishReason": word})
    assert events_of(run(raw)) == [TextDelta(0, "a"), Broken("F14")]


def test_stop_after_a_call_is_tool_calls_and_only_once() -> None:
    call = {"functionCall": {"name": "f"}}
    raw = frame(call, finish="STOP") + frame({"text": "late"}, finish="SAFETY")
    assert events_of(run(raw))[2:] == [Finish(0, "tool_calls"), End(marked=True)]


def test_every_requested_candidate_must_finish() -> None:
    first = frame({"text": "a"}, finish="STOP")
    second = frame({"text": "b"}, finish="MAX_TOKENS", candidate={"index": 1})
    assert events_of(run(first, choices=2))[-1] == Broken("F14")
    got = events_of(run(first, second, choices=2))
    assert got[-3:] == [TextDelta(1, "b"), Finish(1, "length"), End(marked=True)]
    assert events_of(run(first, frame({"text": "b"}, candidate={"index": 1})))[-1] == Broken("F14")


def test_a_blocked_prompt_is_a_filtered_answer() -> None:
    raw = b'data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"a":1}}\r\n\r\n'
    assert events_of(run(raw, choices=3)) == [
        Finish(0, "content_filter"),
        Usage(b'{"a":1}'),
        End(marked=True),
    ]
    assert events_of(run(b'data: {"promptFeedback":{}}\n\n'))[-1] == Broken("F24")


def test_last_usage_wins_and_includes_searches() -> None:
    queries = {"groundingMetadata": {"webSearchQueries": ["a", "b", ""]}}
    raw = (
        frame({"text": "a"}, usageMetadata={"promptTokenCount": 1}, modelVersion="gemini-3-pro")
        + frame({"text": "b"}, candidate=queries, modelVersion="gemini-3-pro")
        + frame(finish="STOP", candidate=queries, modelVersion="gemini-3-pro")
        + frame(usageMetadata={"promptTokenCount": 2})
    )
    decoder = Decoder(translate=True)
    got = [event for event in events_of(decoder.feed(raw)) if isinstance(event, Usage)]
    assert [event.raw for event in got] == [
        b'{"promptTokenCount": 1}',
        b'{"promptTokenCount": 1,"webSearchCount":2}',
        b'{"promptTokenCount": 2,"webSearchCount":2}',
    ]
    assert decoder.usage == got[-1].raw
    assert got[-1].counts == Counts(input=2, searches=2)


def test_usage_that_cannot_be_read_has_no_counts() -> None:
    raw = frame({"text": "a"}, usageMetadata={"promptTokenCount": -1})
    assert run(raw, translate=True)[0].events[-1] == Usage(b'{"promptTokenCount": -1}', None)


def test_sources_are_told_once_and_in_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "b"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 6}, "groundingChunkIndices": [0, 9, "x"]}
        ],
    }
    raw = frame({"text": "é "}) + frame(
        {"text": "上!"}, finish="STOP", candidate={"groundingMetadata": grounding}
    )
    again = frame(candidate={"groundingMetadata": grounding})
    got = events_of(run(raw + again, translate=True))
    assert [event for event in got if isinstance(event, Citation)] == [
        Citation(0, Source("https://a", "A", 2, 3)),
        Citation(0, Source("b")),
    ]


def test_likelihoods() -> None:
    members = {
        "chosenCandidates": [
            {"token": "a", "logProbability": -0.5},
            {"token": "b", "logProbability": "x"},
        ],
        "topCandidates": [{"candidates": [{"token": "c", "logProbability": -1}]}],
    }
    raw = frame({"text": "ab"}, finish="STOP", candidate={"logprobsResult": members})
    got = events_of(run(raw, translate=True))
    tokens = (TokenLogprob("a", -0.5, top=(TopLogprob("c", -1.0),)), TokenLogprob("b", 0.0))
    assert LogprobsDelta(0, tokens) in got
    late = events_of(run(frame(finish="STOP") + raw, translate=True))
    assert not any(isinstance(event, LogprobsDelta) for event in late)
    empty = frame({"text": "a"}, candidate={"logprobsResult": {}})
    assert run(empty, translate=True)[0].events[1:] == [TextDelta(0, "a")]


def test_a_stream_in_pieces_and_its_seal() -> None:
    raw = (
        frame({"text": "I ", "thought": True})
        + frame({"text": "think", "thought": True})
        + frame({"text": "Hi"})
        + frame({"text": "", "thoughtSignature": "S"}, finish="STOP")
    )
    (choice,) = folded(raw).choices
    assert choice.parts == (Reasoning("I think"), Text("Hi"), Reasoning("", Seal("gemini", "S")))


@pytest.mark.parametrize(
    "odd",
    [
        {"candidates": [3, {"index": -1, "content": {"parts": [{"text": "a"}, 4]}}]},
        {"candidates": [{"index": True, "content": {"parts": [{"text": "a", "thought": 0}]}}]},
        {"candidates": [SAYS_A | {"finishReason": 3}], "modelVersion": 1},
        {"candidates": [SAYS_A], "promptFeedback": 3},
        {"candidates": [SAYS_A], "promptFeedback": {"blockReason": 3}},
    ],
)  # fmt: skip
def test_odd_types_are_read_as_far_as_they_go(odd: object) -> None:
    raw = b"data: " + json.dumps(odd).encode() + b"\n\n"
    assert run(raw)[0].events == [TextDelta(0, "a")]


def test_odd_parts_are_content() -> None:
    raw = frame({"text": ["x"]}, {"functionCall": 3}, {"functionCall": {"id": 4, "args": [1]}})
    assert run(raw)[0].events == [
        TextDelta(0, '["x"]'),
        ToolCallStart(0, 0, "", ""),
        ToolArgumentsDelta(0, 0, "[1]"),
    ]


def test_numbers_out_of_range_hide_only_themselves() -> None:
    raw = b'data: {"candidates":[{"index":1e400}],"usageMetadata":{"a":1}}\n\n'
    assert run(raw)[0].events == [Usage(b'{"a":1}')]
    raw = b'data: {"candidates":{"a":1},"usageMetadata":{"a":1}}\n\n'
    assert run(raw)[0].events == [Usage(b'{"a":1}')]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"data: {\n\n", "F15"),
        (b"data: 3\n\n", "F15"),
        (b"[1]", "F15"),
        (b"[{},3]", "F15"),
        (b"[{}{,]", "F15"),
        (b"{]}", "F15"),
        (b"data: {\"a\":\"\xff\"}\n\n", "F16"),
        (b"[{\"a\":\"\xff\"}]", "F16"),
        (b": \xff\n\n", "F16"),
        (b"", "F24"),
        (b"  \r\n", "F24"),
        (b"[]", "F24"),
        (b"[ ", "F24"),
        (b"[{}]", "F24"),
        (b"data: {}\n\n", "F24"),
        (b"data:\n\n: x\n\n", "F24"),
        (b'{"candidates":[', "F24"),
        (b"data: {\"candidates\":" + b"[" * 200_000 + b"\n\n", "F15"),
        (b'[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}', "F14"),
        (b'[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}]', "F14"),
        (b'[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},{"cand', "F14"),
        (frame({"text": "a"}), "F14"),
        (frame({"text": "a"}) + b'data: {"cand', "F14"),
    ],
)  # fmt: skip
def test_broken(raw: bytes, fault: str) -> None:
    steps = run(raw)
    assert steps[-1] == Step(b"", [Broken(fault)])  # type: ignore[arg-type]
    assert events_of(run(*by_bytes(raw[:1_000]), raw[1_000:])) == events_of(steps)


def test_data_after_the_end_removes_nothing() -> None:
    done = frame({"text": "a"}, finish="STOP")
    whole = events_of(run(done))
    error = b'data: {"error":{"code":500}}\n\n'
    for late in (b"data: {\n\n", b"data: \xff\n\n", error, b"data: [DONE]\n\n", b"data: {"):
        steps = run(done, late)
        assert events_of(steps) == whole
        assert raw_of(steps) == done


@pytest.mark.parametrize("array", [False, True])
def test_frame_above_the_limit(array: bool) -> None:
    decoder = Decoder(frame_bytes_max=300)
    first = frame({"text": "a"})
    start = b"[" + first[6:] + b"," if array else first + b"data: "
    steps = decoder.feed(start + b'{"a":"' + b"x" * 400)
    assert events_of(steps) == [TextDelta(0, "a"), Broken("F17")]
    assert decoder.feed(b"\n\n") == []
    assert decoder.end() == []
    complete = Decoder(frame_bytes_max=300)
    steps = complete.feed(frame({"text": "a"}, finish="STOP") + b"data: " + b"x" * 400)
    assert events_of(steps)[-1] == End(marked=False)


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n"])
def test_unterminated_last_event_is_read_and_closed(tail: bytes) -> None:
    raw = frame({"text": "a"}) + frame({"text": "b"}, finish="STOP").rstrip() + tail
    steps = run(raw)
    assert events_of(steps)[-2:] == [Finish(0, "stop"), End(marked=True)]
    assert raw_of(steps).replace(b"\r\n", b"\n").endswith(b"}\n\n")
    assert events_of(run(frame(finish="STOP") + b": x"))[-1] == End(marked=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}, "overloaded"),
        ({"error": {"code": 429, "message": "x"}}, "upstream_rate_limited"),
        ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, "upstream_rate_limited"),
        ({"error": {"message": "x", "status": "INVALID_ARGUMENT"}}, "provider_rejected"),
        ({"error": "text"}, "upstream_error"),
        ({"error": {"code": 13}}, "upstream_error"),
        ({"error": 3}, "upstream_error"),
    ],
)
def test_error_object(error: object, kind: str) -> None:
    text = json.dumps(error).encode()
    for raw in (b"data: " + text + b"\r\n\r\n", b"[" + text + b"\r\n]", text):
        (step,) = run(raw)
        (event,) = step.events
        assert step.raw == raw
        assert isinstance(event, UpstreamError)
        assert event.kind == kind
        assert kind in KINDS


def test_secrets_in_an_error_frame_are_masked() -> None:
    raw = b'{"error":{"message":"bad AIzaSyA1234567890123456789","n":[1]}}'
    masked = b'{"error":{"message":"bad ***","n":[1]}}'
    assert run(b"data:" + raw + b"\n\n")[0].raw == b"data: " + masked + b"\r\n\r\n"
    assert run(b"[ " + raw + b"]")[0].raw == b"[ " + masked + b"\r\n]"
    (_, step) = run(frame({"text": "a"}) + b"data: " + raw)
    assert step.raw == b"data: " + masked + b"\r\n\r\n"


@pytest.mark.parametrize("odd", [b"1e400", b"[" * TOO_DEEP + b"]" * TOO_DEEP])
def test_unscannable_error_frame_shows_nothing(odd: bytes) -> None:
    for raw in (b'data: {"error":{"code":' + odd + b"}}\n\n", b'data: {"error":' + odd + b"}"):
        (step,) = run(raw)
        assert step.raw == b""
        assert isinstance(step.events[0], UpstreamError)


def test_null_error_is_none() -> None:
    assert events_of(run(frame({"text": "a"}, error=None)))[0] == TextDelta(0, "a")


def test_a_relayed_stream_can_be_ended_from_outside() -> None:
    events = Decoder()
    events.feed(frame({"text": "a"}))
    assert events.fail("timeout", "late", "r-1") == (
        b'data: {"error":{"code":504,"message":"late","status":"DEADLINE_EXCEEDED","details":'
        b'[{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"r-1"}]}}\r\n\r\n'
    )
    assert events.length_notice().startswith(b'data: {"candidates":[{"finishReason":"MAX_TOKENS"')
    array = Decoder()
    assert (
        json.loads(raw_of(array.feed(b"[")) + array.fail("timeout", "late", "r-1"))[0]["error"][
            "code"
        ]
        == 504
    )
    raw = raw_of(array.feed(b'{"candidates":[]}\n,'))
    assert len(json.loads(raw + array.fail("timeout", "late", "r-1"))) == 2
    assert (
        json.loads(raw + array.length_notice())[1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    )


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_bytes_crash_the_decoder(chunks: list[bytes], translate: bool) -> None:
    got = events_of(run(*chunks, translate=translate))
    assert isinstance(got[-1], End | Broken | UpstreamError)


NAMES = [
    "candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall",
    "args", "name", "id", "inlineData", "mimeType", "data", "fileData", "fileUri",
    "executableCode", "index", "finishReason", "usageMetadata", "promptFeedback", "blockReason",
    "groundingMetadata", "error", "groundingChunks", "groundingSupports", "segment", "startIndex",
    "endIndex", "web", "uri", "code", "groundingChunkIndices", "webSearchQueries",
    "citationMetadata", "citationSources", "status", "logprobsResult", "chosenCandidates",
    "topCandidates", "token", "modelVersion", "responseId",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)
PARTS = st.lists(st.dictionaries(st.sampled_from(NAMES[3:14]), JSON, max_size=3), max_size=3)
CANDIDATES = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": PARTS})},
    optional=dict.fromkeys(("groundingMetadata", "citationMetadata", "logprobsResult"), JSON),
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.lists(CANDIDATES | JSON, max_size=3))
def test_no_json_crashes_the_decoder(top: dict[str, object], candidates: list[object]) -> None:
    raw = json.dumps(top | {"candidates": candidates}).encode()
    for chunk in (b"data: " + raw + b"\n\n", b"[" + raw + b"]"):
        for translate in (False, True):
            got = events_of(run(chunk, translate=translate))
            assert isinstance(got[-1], End | Broken | UpstreamError)
            if not isinstance(got[-1], Broken | UpstreamError) and translate:
                fold(got)
