import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import (
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
from dialects.responses.stream.decode import Decoder
from dialects.responses.usage import quantities
from dialects.usage.usage import Counts
from tests.dialects.exchanges import by_bytes, events_of, raw_of
from tests.dialects.responses.golden import (
    EXPECTED,
    GOLDEN,
    STREAMS,
    check_summary,
    check_usage,
)


def run(*chunks: bytes, translate: bool = False) -> list[Step]:
    decoder = Decoder(translate=translate)
    steps = [step for chunk in chunks for step in decoder.feed(chunk)]
    return steps + decoder.end()


def frame(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


def created(**members: Any) -> bytes:
    return frame("response.created", sequence_number=0, response={"id": "r"} | members)


def completed(*output: Any, status: str = "completed", **members: Any) -> bytes:
    response = {"id": "r", "status": status, "output": list(output)} | members
    return frame(f"response.{status}", response=response)


def decoded_events(*frames: bytes) -> list[Event]:
    """The events of a translated stream between its beginning and its end."""
    got = events_of(run(created(), *frames, completed(), translate=True))
    assert got[0] == Start("r", "")
    assert isinstance(got[-2], Finish)
    return got[1:-2]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("translate", [False, True])
def test_golden_stream(name: str, translate: bool) -> None:
    raw, want = (GOLDEN / name).read_bytes(), EXPECTED["codec"][name]
    steps = run(raw, translate=translate)
    got = events_of(steps)
    assert raw_of(steps) == raw
    check_summary(got, want)
    usages = [event for event in got if isinstance(event, Usage)]
    if want["usage"] is None:
        assert usages == []
    else:
        meters = quantities(usages[-1].raw)
        assert meters.flags == ()
        check_usage(Counts.of(meters.meters), want["usage"])
        assert usages[-1].counts == (Counts.of(meters.meters) if translate else None)
    if "error" in want:
        assert isinstance(got[-1], UpstreamError)
        assert got[-1].kind == want["error_kind"]
        assert want["error"]["message"] in got[-1].message
    else:
        assert got[-1] == End(marked=True)
    assert (isinstance(got[0], Start)) == translate


# Byte by byte, it is cut everywhere; in two pieces, at every seventh place.
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("translate", [False, True])
def test_golden_stream_cut_anywhere_tells_the_same(name: str, translate: bool, step: int) -> None:
    raw = (GOLDEN / name).read_bytes()
    whole = run(raw, translate=translate)
    assert run(*by_bytes(raw), translate=translate) == whole
    for at in range(0, len(raw), step):
        cut = run(raw[:at], raw[at:], translate=translate)
        assert events_of(cut) == events_of(whole)
        assert raw_of(cut) == raw
    for tail in (b"data: [DONE]\n\n", b"data: {\n\n: more", b"\xff"):
        assert run(raw + tail, translate=translate) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_truncated_stream_is_never_complete(name: str) -> None:
    raw = (GOLDEN / name).read_bytes()
    # The last event is whole, if only without its empty line.
    for at in range(len(raw) - 2):
        decoder = Decoder()
        got = events_of([*decoder.feed(raw[:at]), *decoder.end()])
        assert isinstance(got[-1], Broken)
        assert not any(isinstance(event, Finish) for event in got)
        assert not decoder.complete


def test_a_last_event_without_its_empty_line_counts() -> None:
    raw = created() + completed()
    for tail in (1, 2):
        steps = run(raw[:-tail])
        assert events_of(steps)[-1] == End(marked=True)
        assert raw_of(steps) in (raw, raw + b"\n")
    assert raw_of(run(created() + b": ping")) == created()
    assert raw_of(run(created() + b"data:")) == created()


def test_only_items_that_the_model_made_are_content() -> None:
    quiet = [
        created(),
        frame("response.in_progress", response={}),
        frame("response.queued", response={}),
        frame("response.output_item.added", output_index=0, item={"type": "reasoning"}),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=0),
        frame("response.output_item.added", output_index=1, item={"type": "web_search_call"}),
        frame("response.web_search_call.searching", output_index=1),
        frame("response.output_item.added", output_index=2, item={"type": "message"}),
        frame("response.content_part.added", output_index=2, content_index=0, part={}),
        frame("response.output_text.delta", output_index=2, content_index=0, delta=""),
        frame("response.reasoning_text.delta", output_index=2, content_index=0, delta=None),
        frame("response.refusal.delta", output_index=2, content_index=0, delta=None),
        frame("response.who_knows", response={"status": "in_progress"}),
        b": ping\n\n",
        b"data:\n\n",
        b'data: {"a":1}\n\n',
    ]
    decoder = Decoder()
    assert [step.events for step in decoder.feed(b"".join(quiet))] == [[] for _ in quiet]


def test_facts_read_from_a_forwarded_stream() -> None:
    decoder = Decoder()
    steps = decoder.feed(
        frame("response.output_text.delta", output_index=0, delta="é", logprobs=[{"token": "é"}])
        + frame("response.output_text.annotation.added", output_index=0, annotation={"url": "u"})
        + frame("response.refusal.delta", output_index=0, delta="no")
        + frame("response.reasoning.delta", output_index=1, delta="hm")
        + frame("response.audio.delta", delta="AAAA")
        + frame("response.image_generation_call.partial_image", output_index=2)
        + frame("response.output_item.done", output_index=2, item={"type": "image_generation_call"})
        + frame("response.output_item.done", output_index=3, item={"type": "mcp_call"})
    )
    kinds = [type(event) for step in steps for event in step.events]
    assert kinds == [TextDelta, RefusalDelta, ReasoningDelta, *[OpaqueDelta] * 3]
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (2 + 2 + 4, 2)


def test_call_is_reported_once_however_often_it_is_sent() -> None:
    item = {"id": "fc", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    full = item | {"arguments": "{}"}
    want = [ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, "{}"), ToolCallEnd(0, 0)]
    added = frame("response.output_item.added", output_index=0, item=item)
    delta = frame("response.function_call_arguments.delta", item_id="fc", delta="{}")
    args = frame("response.function_call_arguments.done", output_index=0, arguments="{}")
    done = frame("response.output_item.done", output_index=0, item=full)
    for frames in (
        [added, delta, args, done],
        [added, args, done],
        [added, done],
        [added, added, delta, args, done, done],
        [done],
        [added, delta],
    ):
        assert decoded_events(*frames) == want
    assert decoded_events(added, args.replace(b'"{}"', b"3")) == [want[0], want[2]]
    assert events_of(run(added, delta, completed()))[-2] == Finish(0, "tool_calls")


def test_a_call_without_an_id_gets_one_on_translation() -> None:
    done = frame("response.output_item.done", item={"type": "function_call", "name": "f"})
    (start, _end) = decoded_events(done)
    assert isinstance(start, ToolCallStart)
    assert start.id.startswith("call_")
    assert decoded_events(done)[0] == start
    assert events_of(run(done))[0] == ToolCallStart(0, 0, "", "f")


def test_arguments_without_a_call_are_not_reported() -> None:
    assert (
        decoded_events(frame("response.function_call_arguments.delta", output_index=4, delta="{}"))
        == []
    )


def test_items_are_known_by_index_or_id() -> None:
    frames = [
        frame("response.output_item.added", item={"id": "a", "type": "message"}),
        frame("response.output_item.added", item={"id": "b", "type": "message"}),
        frame("response.output_text.delta", item_id="a", delta="1"),
        frame("response.output_text.delta", item_id="b", delta="2"),
        frame("response.output_text.delta", delta="3"),
        frame(
            "response.output_item.done",
            item={"id": "a", "type": "message", "content": [{"type": "output_text", "text": "1"}]},
        ),
    ]
    assert decoded_events(*frames) == [TextDelta(0, "1"), TextDelta(0, "2"), TextDelta(0, "3")]


def test_reasoning_is_summary_or_text_never_both() -> None:
    summary = frame("response.reasoning_summary_text.delta", output_index=0, delta="s")
    raw = frame("response.reasoning_text.delta", output_index=0, delta="r")
    more = frame(
        "response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="t"
    )
    assert decoded_events(summary, raw, more) == [
        ReasoningDelta(0, "s"),
        ReasoningDelta(0, "\n\nt"),
    ]
    assert decoded_events(raw, summary) == [ReasoningDelta(0, "r")]
    assert events_of(run(summary, more))[1] == ReasoningDelta(0, "t")


@pytest.mark.parametrize(
    ("item", "events"),
    [
        (
            {"summary": [{"text": "a"}, {"text": ""}, {"text": "b"}], "content": [{"text": "c"}]},
            [ReasoningDelta(0, "a\n\nb")],
        ),
        ({"summary": [], "content": [{"text": "c"}, {"text": "d"}]}, [ReasoningDelta(0, "cd")]),
        ({"summary": 3}, []),
        (
            {"id": "rs", "encrypted_content": "gAA"},
            [ReasoningSeal(0, Seal("openai", "gAA", id="rs"))],
        ),
        (
            {"id": "rs", "encrypted_content": "anthropic:sig"},
            [ReasoningSeal(0, Seal("anthropic", "sig"))],
        ),
        (
            {"encrypted_content": "anthropic:redacted:x"},
            [ReasoningSeal(0, Seal("anthropic", "x", redacted=True))],
        ),
    ],
)
def test_reasoning_item(item: dict[str, Any], events: list[Event]) -> None:
    whole = {"type": "reasoning"} | item
    assert decoded_events(frame("response.output_item.done", output_index=0, item=whole)) == events


def test_citations_count_from_the_start_of_all_text_and_once() -> None:
    first = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
    other = {"type": "url_citation", "url": "v"}
    file = {"type": "file_citation", "file_id": "f"}
    part = {"type": "output_text", "text": "cd", "annotations": [first, other, file]}
    message = {"type": "message", "content": [part]}
    frames = [
        frame("response.output_text.delta", output_index=0, delta="ab"),
        frame("response.output_text.delta", output_index=1, delta="c"),
        frame("response.output_text.delta", output_index=1, delta="d"),
        frame("response.output_text.annotation.added", output_index=1, annotation=first),
        frame("response.output_text.annotation.added", output_index=1, annotation=file),
        frame("response.output_item.done", output_index=1, item=message),
    ]
    assert decoded_events(*frames)[3:] == [
        Citation(0, Source("u", "t", 2, 4)),
        Citation(0, Source("v")),
    ]


def test_likelihoods_come_after_their_text() -> None:
    token = {"token": "a", "logprob": -1, "bytes": [97, 999], "top_logprobs": [{"token": "b"}]}
    want = TokenLogprob("a", -1, (97,), (TopLogprob("b", 0.0),))
    delta = frame("response.output_text.delta", output_index=0, delta="a", logprobs=[token])
    assert decoded_events(delta) == [TextDelta(0, "a"), LogprobsDelta(0, (want,))]
    part = {"type": "output_text", "text": "a", "logprobs": [token]}
    whole = frame("response.output_item.done", item={"type": "message", "content": [part]})
    assert decoded_events(whole) == [TextDelta(0, "a"), LogprobsDelta(0, (want,))]
    assert decoded_events(frame("response.output_text.delta", delta="a", logprobs=3)) == [
        TextDelta(0, "a")
    ]
    odd = b'data: {"type":"response.output_text.delta","delta":"a","logprobs":[1e999]}\n\n'
    assert decoded_events(odd) == [TextDelta(0, "a")]


def test_pictures_and_refusals() -> None:
    image = {"type": "image_generation_call", "result": "AA==", "output_format": "webp"}
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    frames = [
        frame("response.output_item.done", output_index=0, item=image),
        frame("response.output_item.done", output_index=1, item={"type": "image_generation_call"}),
        frame("response.output_item.done", output_index=2, item=refused),
        frame("response.output_item.done", output_index=3, item={"type": "compaction"}),
        frame("response.audio.delta", delta="AA=="),
    ]
    assert decoded_events(*frames) == [ImageOutput(0, "image/webp", "AA=="), RefusalDelta(0, "no")]


def test_searches_are_counted_unless_they_failed() -> None:
    frames = [
        frame("response.output_item.done", item={"type": "web_search_call", "status": status})
        for status in ("completed", "failed", "completed")
    ]
    usage = {"input_tokens": 1, "output_tokens": 1}
    decoder = Decoder(translate=True)
    steps = decoder.feed(b"".join([*frames, completed(usage=usage)]))
    assert decoder.searches == 2
    (counted,) = [event for event in events_of(steps) if isinstance(event, Usage)]
    assert counted.counts == Counts(input=1, output=1, searches=2)


def test_answer_contained_only_in_its_end() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    got = events_of(run(completed(item, 3, model="m", created_at=7), translate=True))
    assert got == [Start("r", "m", 7), TextDelta(0, "hi"), Finish(0, "stop"), End(marked=True)]
    late = run(frame("response.output_text.delta", delta="a"), completed(), translate=True)
    assert events_of(late)[0] == Start("", "")


@pytest.mark.parametrize(
    ("reason", "neutral"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("other", "length")],
)
def test_incomplete(reason: str, neutral: str) -> None:
    raw = completed(status="incomplete", incomplete_details={"reason": reason})
    assert events_of(run(created(), raw)) == [Finish(0, neutral), End(marked=True)]  # type: ignore[arg-type]


def test_incomplete_without_a_readable_reason() -> None:
    for details in (b"", b',"incomplete_details":1e999', b',"incomplete_details":3'):
        raw = b'data: {"type":"response.incomplete","response":{"output":[]' + details + b"}}\n\n"
        assert events_of(run(raw)) == [Finish(0, "length"), End(marked=True)]


def test_missing_or_malformed_usage() -> None:
    assert events_of(run(completed(usage=None))) == [Finish(0, "stop"), End(marked=True)]
    (_start, _finish, usage, _end) = events_of(run(completed(usage={"a": 1}), translate=True))
    assert usage == Usage(b'{"a": 1}', None)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"data: {\n\n", "F15"),
        (b"data: 3\n\n", "F15"),
        (b'data: {"type":3,"a":\n\n', "F15"),
        (b"data: {\"type\":\"\xff\"}\n\n", "F16"),
        (b": \xff\n\n", "F16"),
        (b"data: [DONE]\n\n", "F24"),
        (b"", "F24"),
        (b'data: {"type":"response.completed","response":3}\n\n', "F15"),
        (b"data: {\"item\":" + b"[" * 200_000 + b"\n\n", "F15"),
        (created(), "F24"),
        (frame("response.output_text.delta", delta="a"), "F14"),
        (frame("response.output_text.delta", delta="a") + b"data: [DONE]\n\n", "F14"),
        (frame("response.output_text.delta", delta="a") + b'data: {"ty', "F14"),
    ],
)  # fmt: skip
def test_broken(raw: bytes, fault: str) -> None:
    assert run(raw)[-1] == Step(b"", [Broken(fault)])  # type: ignore[arg-type]


def test_frame_above_the_limit() -> None:
    decoder = Decoder(frame_bytes_max=200)
    steps = decoder.feed(frame("response.output_text.delta", delta="a") + b"data: " + b"x" * 300)
    assert [type(event) for event in events_of(steps)] == [TextDelta, Broken]
    assert decoder.feed(b"\n\n") == []
    assert decoder.end() == []


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (frame("error", code="rate_limit_exceeded", message="x"), "upstream_rate_limited"),
        (frame("error", error={"code": "server_error", "message": "x"}), "upstream_error"),
        (b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n', "overloaded"),
        (b'data: {"error":{"code":503}}\n\n', "overloaded"),
        (frame("response.failed", response={"error": None}), "upstream_error"),
        (completed(status="failed", error={"code": "invalid_prompt"}), "content_filtered"),
        (completed(status="failed", error={"code": "image_too_small"}), "provider_rejected"),
        (frame("response.completed", response={"status": "failed"}), "upstream_error"),
    ],
)
def test_error_inside_a_stream(raw: bytes, kind: str) -> None:
    (step,) = run(raw)
    assert step.raw == raw
    (event,) = step.events
    assert isinstance(event, UpstreamError)
    assert event.kind == kind


def test_secrets_in_an_error_are_masked() -> None:
    raw = frame("response.failed", response={"error": {"message": "sk-abcdef123456 org-9abcdefgh"}})
    (step,) = run(raw)
    assert step.raw == (
        b"event: response.failed\n"
        b'data: {"type":"response.failed","response":{"error":{"message":"*** org-***"}}}\n\n'
    )
    (step,) = run(frame("error", message="sk-abcdef123456"))
    assert step.raw == b'event: error\ndata: {"type":"error","message":"***"}\n\n'
    (step,) = run(b'data: {"type":"error","code":1e400}\n\n')
    assert step.raw == b""


def test_odd_types_are_read_as_far_as_they_go() -> None:
    raw = frame(
        "response.output_text.delta", output_index=1.0, content_index=True, delta="a", text=3
    )
    assert events_of(run(raw))[0] == TextDelta(0, "a")
    raw = b'data: {"type":"response.output_text.delta","output_index":1e999,"delta":"a"}\n\n'
    assert events_of(run(raw))[0] == TextDelta(0, "a")
    raw = completed(3, created_at=-1.5, model=7, status="completed", service_tier=1)
    assert events_of(run(raw)) == [Finish(0, "stop"), End(marked=True)]
    raw = frame("response.output_item.done", output_index=0, item="odd")
    assert events_of(run(raw))[0] == Broken("F14")


def test_failing_a_forwarded_stream() -> None:
    raw = (GOLDEN / "responses_stream_reasoning_tools.sse").read_bytes()
    frames = [part + b"\n\n" for part in raw.split(b"\n\n") if part]
    decoder = Decoder()
    assert decoder.fail("timeout", "m", "r-1").startswith(b"event: error\n")
    decoder.feed(b"".join(frames[:12]))
    last = json.loads(decoder.fail("timeout", "m", "r-1").split(b"data: ")[1])
    assert last["sequence_number"] == 12
    assert last["request_id"] == "r-1"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "m"}
    assert [item["type"] for item in last["response"]["output"]] == ["reasoning"]
    decoder = Decoder()
    decoder.feed(created() + frame("response.output_item.done", item=None))
    assert json.loads(decoder.fail("timeout", "m", "r-1").split(b"data: ")[1])["response"][
        "output"
    ] == [None]


def test_the_final_response_is_kept() -> None:
    decoder = Decoder()
    decoder.feed((GOLDEN / "responses_stream_reasoning_tools.sse").read_bytes())
    assert json.loads(decoder.response or b"")["id"] == "resp_68afreason01"


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_bytes_crash_the_decoder(chunks: list[bytes], translate: bool) -> None:
    got = events_of(run(*chunks, translate=translate))
    assert isinstance(got[-1], End | Broken | UpstreamError)


NAMES = [
    "type", "response", "item", "output", "content", "text", "refusal", "delta", "summary",
    "output_index", "item_id", "content_index", "summary_index", "annotations", "annotation",
    "logprobs", "arguments", "call_id", "name", "id", "usage", "error", "code", "status",
    "encrypted_content", "result", "url", "start_index", "end_index", "incomplete_details",
]  # fmt: skip
WORDS = [
    "message", "reasoning", "function_call", "web_search_call", "image_generation_call",
    "url_citation", "completed", "incomplete", "failed", "response.output_text.delta",
    "response.output_item.added", "response.output_item.done", "response.completed",
    "response.incomplete", "response.created", "response.function_call_arguments.delta",
    "response.output_text.annotation.added", "response.reasoning_summary_text.delta",
]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(st.lists(st.tuples(st.sampled_from(WORDS), JSON, JSON), max_size=4), st.data())
def test_no_json_crashes_the_decoder_and_cuts_change_nothing(
    drawn: list[tuple[str, object, object]], data: st.DataObject
) -> None:
    raw = b""
    for kind, item, value in drawn:
        members = value if isinstance(value, dict) else {"item": value}
        event = {"item": item, "response": item} | members | {"type": kind}
        raw += b"data: " + json.dumps(event, allow_nan=False).encode() + b"\n\n"
    at = data.draw(st.integers(0, len(raw)))
    for translate in (False, True):
        whole = run(raw, translate=translate)
        assert events_of(run(raw[:at], raw[at:], translate=translate)) == events_of(whole)
        assert isinstance(events_of(whole)[-1], End | Broken | UpstreamError)
        assert all(
            not isinstance(before, Finish) or isinstance(after, Usage | End)
            for before, after in pairwise(events_of(whole))
        )
