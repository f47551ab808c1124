import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Step,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UpstreamError,
    Usage,
)
from dialects.errors.errors import KINDS
from dialects.openai.stream.decode import DONE_FRAME, Decoder
from dialects.openai.usage import quantities
from dialects.streams.model_alias import FrameNaming
from dialects.streams.sse import Frame
from tests.dialects.exchanges import by_bytes, check_cuts, events_of, raw_of, summary_of
from tests.dialects.openai.golden import (
    EXPECTED,
    GOLDEN,
    STREAMS,
    check_summary,
    check_usage,
)

# Levels that can be decoded, but not looked through. From Python 3.12 on, more can be.
TOO_DEEP = 700 if sys.version_info < (3, 12) else 2000


def run(*chunks: bytes, include_usage: bool = True, choices: int = 1) -> list[Step]:
    decoder = Decoder(include_usage=include_usage, choices=choices)
    steps = [step for chunk in chunks for step in decoder.feed(chunk)]
    return steps + decoder.end()


def chunk(delta: object = None, finish: object = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream(name: str) -> None:
    raw, want = (GOLDEN / name).read_bytes(), EXPECTED["codec"][name]
    steps = run(raw)
    got = events_of(steps)
    assert raw_of(steps) == raw
    check_summary(summary_of(got), want | {"text": want.get("text_by_chunks", want["text"])})
    usages = [event.raw for event in got if isinstance(event, Usage)]
    if want["usage"] is None:
        assert usages == []
    else:
        meters = quantities(usages[-1])
        assert meters.flags == ()
        check_usage(meters.meters, want["usage"])
    if "error" in want:
        assert isinstance(got[-1], UpstreamError)
        assert got[-1].kind == want["error_kind"]
        assert want["error"]["message"] in got[-1].message
    else:
        assert got[-1] == End(marked=True)


# Byte by byte, it is cut everywhere; in two pieces, at every seventh place.
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", STREAMS)
def test_golden_stream_cut_anywhere_tells_the_same(name: str, step: int) -> None:
    raw = (GOLDEN / name).read_bytes()
    whole = run(raw)
    steps = run(*by_bytes(raw))
    assert (raw_of(steps), events_of(steps)) == (raw_of(whole), events_of(whole))
    for at in range(0, len(raw), step):
        assert events_of(run(raw[:at], raw[at:])) == events_of(whole)
    assert events_of(run(raw + b"data: {\n\n: more")) == events_of(whole)


@pytest.mark.parametrize("name", STREAMS)
def test_truncated_stream_is_never_complete(name: str) -> None:
    check_cuts((GOLDEN / name).read_bytes(), lambda: Decoder(include_usage=True))


@pytest.mark.parametrize("name", STREAMS)
def test_only_the_unrequested_usage_chunk_is_removed(name: str) -> None:
    raw = (GOLDEN / name).read_bytes()
    frames = [step.raw for step in run(raw)]
    alone = [frame for frame in frames if b'"choices":[]' in frame]
    kept = b"".join(frame for frame in frames if frame not in alone)
    assert raw_of(run(raw, include_usage=False)) == kept
    apart = name.split("_")[0] in ("qwen", "xai", "compat")
    assert len(alone) == (apart or "tools" in name)


def test_role_and_keep_alive_are_no_content() -> None:
    steps = run(b": hi\n\n", b"data:\n\n", chunk({"role": "assistant", "content": ""}))
    assert [step.events for step in steps[:3]] == [[], [], []]


@pytest.mark.parametrize(
    ("delta", "events"),
    [
        ({"content": "a"}, [TextDelta(0, "a")]),
        ({"reasoning_content": "a", "reasoning": "a"}, [ReasoningDelta(0, "a")]),
        ({"reasoning": "a"}, [ReasoningDelta(0, "a")]),
        ({"refusal": "no"}, [RefusalDelta(0, "no")]),
        ({"audio": {"data": "AA"}}, [OpaqueDelta(0, b'{"data": "AA"}')]),
        ({"audio": None}, []),
        ({"content": [{"type": "text"}]}, [TextDelta(0, '[{"type":"text"}]')]),
        ({"content": "a", "audio": 1, "tool_calls": 3}, [TextDelta(0, "a"), OpaqueDelta(0, b"1")]),
        ({"content": 0, "tool_calls": [7, {"index": True, "id": "x", "function": 1}]},
         [ToolCallStart(0, 0, "x", "")]),
        ({"function_call": {"name": "f", "arguments": "{}"}},
         [ToolCallStart(0, 0, "", "f"), ToolArgumentsDelta(0, 0, "{}")]),
        ({"content": 5, "function_call": {"name": "f"}},
         [TextDelta(0, "5"), ToolCallStart(0, 0, "", "f")]),
        ({"tool_calls": [{"id": "a", "function": {"name": "f"}}, {"id": "b"}, {"id": "a",
          "function": {"arguments": "1"}}, {"function": {"arguments": "2"}}]},
         [ToolCallStart(0, 0, "a", "f"), ToolCallStart(0, 1, "b", ""),
          ToolArgumentsDelta(0, 0, "1"), ToolArgumentsDelta(0, 1, "2")]),
        ("odd", []),
    ],
)  # fmt: skip
def test_delta(delta: object, events: list[Event]) -> None:
    assert run(chunk(delta))[0].events == events
    assert all(event.is_content for event in events)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [3, {"index": -1, "delta": {"content": "a"}}], "usage": 1},
        {"choices": [{"index": 10**30, "delta": {"content": "a"}, "usage": {"a": 1}}, 4]},
        {"choices": [{"index": None, "message": {"content": "a"}, "finish_reason": 1}], "n": 1},
    ],
)
def test_odd_types_are_read_as_far_as_they_go(odd: object) -> None:
    assert TextDelta(0, "a") in run(b"data: " + json.dumps(odd).encode() + b"\n\n")[0].events


def test_numbers_out_of_range_hide_only_themselves() -> None:
    steps = run(b'data: {"choices":[{"index":1e400}],"usage":{"a":1}}\n\n')
    assert steps[0].events == [Usage(b'{"a":1}')]
    steps = run(b'data: {"choices":3,"usage":{"a":1}}\n\n')
    assert steps[0].events == [Usage(b'{"a":1}')]


@pytest.mark.parametrize(
    ("word", "neutral"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("function_call", "tool_calls"),
        ("sensitive", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("whatever", "stop"),
    ],
)
def test_finish_reason(word: str, neutral: str) -> None:
    steps = run(chunk({}, word))
    assert events_of(steps) == [Finish(0, neutral), End(marked=False)]  # type: ignore[arg-type]


def test_stop_after_a_tool_call_is_tool_calls() -> None:
    steps = run(chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({}, "stop"))
    assert Finish(0, "tool_calls") in events_of(steps)


def test_notice_of_the_length_ends_the_one_choice_that_is_the_least() -> None:
    """F18."""
    assert Decoder(include_usage=True).length_notice().count(b'"finish_reason":"length"') == 1
    two = Decoder(include_usage=True, choices=2)
    two.feed(chunk({"content": "a"}, "stop"))
    (frame,) = two.length_notice().split(b"\n\n")[:-2]
    assert json.loads(frame.removeprefix(b"data: "))["choices"][0]["index"] == 1


def test_second_finish_is_not_reported() -> None:
    steps = run(chunk({}, "length"), chunk({}, "stop"), DONE_FRAME)
    assert events_of(steps) == [Finish(0, "length"), End(marked=True)]


@pytest.mark.parametrize("word", ["insufficient_system_resource", "network_error"])
def test_finish_for_lack_of_capacity_is_an_error(word: str) -> None:
    last = run(chunk({"content": "a"}), chunk({}, word))[-1].events[-1]
    assert isinstance(last, UpstreamError)
    assert last.kind == "overloaded"


def test_a_cut_stream_is_complete_only_if_all_choices_finished() -> None:
    first = chunk({"content": "a"}, "stop")
    second = first.replace(b'"index": 0', b'"index": 1')
    assert events_of(run(first, choices=2))[-1] == Broken("F14")
    assert events_of(run(first, second, choices=2))[-1] == End(marked=False)
    assert events_of(run(first, second, choices=1))[-1] == End(marked=False)


def test_last_usage_wins_in_any_position() -> None:
    decoder = Decoder(include_usage=False)
    decoder.feed(chunk({"content": "a"}, usage={"prompt_tokens": 1}))
    decoder.feed(b'data: {"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":2}}]}\n\n')
    assert decoder.usage == b'{"prompt_tokens":2}'


def test_bytes_of_text_are_counted_as_utf8() -> None:
    decoder = Decoder(include_usage=False)
    decoder.feed(chunk({"content": "é!", "reasoning_content": "上"}))
    assert (decoder.text_bytes, decoder.reasoning_bytes) == (3, 3)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"data: {\n\n", "F15"),
        (b"data: 3\n\n", "F15"),
        (b"data: {\"a\":\"\xff\"}\n\n", "F16"),
        (b": \xff\n\n", "F16"),
        (b"data: [DONE]\n\n", "F24"),
        (b"", "F24"),
        (b"data: {\"choices\":" + b"[" * 200_000 + b"\n\n", "F15"),
        (b'data: {"choices":[1,', "F24"),
        (b'data: {"choices":[1,\n\n', "F15"),
        (chunk({"content": "a"}), "F14"),
        (chunk({"content": "a"}) + b"data: {\"cho", "F14"),
    ],
)  # fmt: skip
def test_broken(raw: bytes, fault: str) -> None:
    steps = run(raw)
    assert steps[-1] == Step(b"", [Broken(fault)])  # type: ignore[arg-type]


def test_frame_above_the_limit() -> None:
    decoder = Decoder(include_usage=True, frame_bytes_max=200)
    steps = decoder.feed(chunk({"content": "a"}) + b"data: " + b"x" * 300)
    assert [type(event) for event in events_of(steps)] == [TextDelta, Broken]
    assert decoder.feed(b"\n\n") == []
    assert decoder.end() == []


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r"])
def test_unterminated_last_event_is_read_and_closed(tail: bytes) -> None:
    raw = chunk({"content": "a"}, "stop") + b"data: [DONE]" + tail
    steps = run(raw)
    assert events_of(steps)[-1] == End(marked=True)
    assert raw_of(steps).endswith((b"[DONE]\n\n", b"[DONE]\r\n"))
    assert events_of(run(chunk({"content": "a"}, "stop") + b": x"))[-1] == End(marked=False)


def test_unrequested_leftover_usage_chunk_leaves_nothing() -> None:
    raw = chunk({"content": "a"}, "stop")
    leftover = b'data: {"choices":[],"usage":{"prompt_tokens":1}}'
    assert raw_of(run(raw + leftover, include_usage=False)) == raw + DONE_FRAME


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "x", "type": "overloaded_error"}}, "overloaded"),
        ({"error": {"message": "x", "code": 429}}, "upstream_rate_limited"),
        ({"error": {"message": "x", "code": "503"}}, "overloaded"),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, "upstream_auth"),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, "provider_rejected"),
        ({"error": "text"}, "upstream_error"),
        ({"object": "error", "message": "x", "code": 400}, "provider_rejected"),
        ({"error": 3}, "upstream_error"),
    ],
)
def test_error_object(error: object, kind: str) -> None:
    raw = b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"
    (step,) = run(raw)
    (event,) = step.events
    assert step.raw == raw
    assert isinstance(event, UpstreamError)
    assert event.kind == kind
    assert kind in KINDS


def test_secrets_in_an_error_frame_are_masked() -> None:
    raw = b'data: {"error":{"message":"bad\\nsk-abcdef123456 of org-9abcdefgh","n":[1]}}\n\n'
    (step,) = run(raw)
    assert step.raw == b'data: {"error":{"message":"bad\\n*** of org-***","n":[1]}}\n\n'


@pytest.mark.parametrize("odd", [b"1e400", b"[" * TOO_DEEP + b"]" * TOO_DEEP])
def test_unscannable_error_frame_shows_nothing(odd: bytes) -> None:
    (step,) = run(b'data: {"error":{"code":' + odd + b"}}\n\n")
    assert step.raw == b""
    assert isinstance(step.events[0], UpstreamError)


def test_null_error_is_none() -> None:
    assert events_of(run(chunk({"content": "a"}, error=None)))[0] == TextDelta(0, "a")


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_crash_the_decoder(chunks: list[bytes]) -> None:
    got = events_of(run(*chunks))
    assert isinstance(got[-1], End | Broken | UpstreamError)


NAMES = [
    "choices", "delta", "message", "content", "index", "finish_reason", "tool_calls",
    "function", "arguments", "name", "id", "usage", "error", "code", "type", "audio", "object",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(JSON, st.data())
def test_no_json_crashes_the_decoder_and_cuts_change_nothing(
    value: object, data: st.DataObject
) -> None:
    raw = b"data: " + json.dumps({"choices": [value], "usage": value}).encode() + b"\n\n"
    raw += b"data: " + json.dumps(value).encode() + b"\r\n\r\n"
    at = data.draw(st.integers(0, len(raw)))
    whole = run(raw)
    assert run(raw[:at], raw[at:]) == whole


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
        "m",
        "id",
        "}",
        "a\nb",
        "\x7f",
        "\x00",
    ]
) | st.text(max_size=4)


@given(
    st.lists(
        st.tuples(
            _PIECES,
            st.sampled_from(["", "null", "length"]),
            st.integers(0, 1),
            st.sampled_from(["default", "flex"]),
        )
    ),
    st.sampled_from(["as it is", "ascii", "ASCII"]),
    st.sampled_from(["", "word", "other"]),
    st.booleans(),
    st.data(),
)
def test_frames_differing_only_in_text_read_like_any_other(
    frames: list[tuple[str, str, int, str]],
    letters: str,
    alias: str,
    translate: bool,
    data: st.DataObject,
) -> None:
    """What is skipped of a frame that is like the one before changes nothing that is told."""
    raw = b"".join(
        b"data: %b\n\n"
        % json.dumps(
            {
                "model": "m",
                "service_tier": tier,
                "choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}],
            },
            ensure_ascii=letters != "as it is",
        )
        .replace('"null"', "null")
        .replace(', "finish_reason": ""', "")
        .encode(errors="surrogatepass")
        for text, reason, index, tier in frames
    )
    if letters == "ASCII":
        raw = re.sub(rb"(?<=\\u)[0-9a-f]{4}", lambda digits: digits[0].upper(), raw)
    at = data.draw(st.integers(0, len(raw)))
    quick, plain = (Decoder(include_usage=True, translate=translate) for _ in range(2))
    plain._misses = 1_000_000
    tiers, plain_tiers = list[str](), list[str]()
    quick.report_tier(tiers.append)
    plain.report_tier(plain_tiers.append)
    if alias:
        quick.show(FrameNaming(("model",), alias).rename)
        plain.show(FrameNaming(("model",), alias).rename)
    steps = [*quick.feed(raw[:at]), *quick.feed(raw[at:]), *quick.end()]
    expected = [*plain.feed(raw), *plain.end()]
    assert raw_of(steps) == raw_of(expected)
    assert events_of(steps) == events_of(expected)
    assert (quick.text_bytes, quick.complete) == (plain.text_bytes, plain.complete)
    assert tiers == plain_tiers


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("text", ["word", "你好", "🦊", 'a\n"b"', "é\t", "\x00\x7f", "你\\"])
def test_the_first_of_many_frames_is_parsed_alone(
    text: str, ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its text is written like."""
    parsed: list[bytes] = []
    read = Decoder._read_chunk

    def noting(self: Decoder, frame: Frame, answer: Any) -> Step:
        parsed.append(frame.raw)
        return read(self, frame, answer)

    monkeypatch.setattr(Decoder, "_read_chunk", noting)
    delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
    frame = b"data: " + json.dumps(delta, ensure_ascii=ascii_only).encode() + b"\n\n"
    assert events_of(run(*[frame] * 9))[:9] == [TextDelta(0, text)] * 9
    assert parsed == [frame]


@pytest.mark.parametrize(
    ("model", "content"),
    [("你", "\\u4f60"), ("你", "\\u4F60"), ("a/", "a\\/"), ("\\u4f60", "你"), (",", "\\u002c")],
)
def test_same_text_with_other_escapes_is_not_confused(model: str, content: str) -> None:
    """The place that differs in the second frame is the model's name."""
    frame = '{"model":"%s","choices":[{"index":0,"delta":{"content":"%s"}}]}'
    frames = [f"data: {frame % (name, content)}\n\n".encode() for name in (model, "other")]
    body = json.loads(f'"{content}"')
    assert events_of(run(*frames))[:2] == [TextDelta(0, body)] * 2


def test_text_occurring_twice_is_not_confused() -> None:
    """The frames are alike, but the place that differs is the model's name."""
    frame = b'data: {"model":"%b","choices":[{"index":0,"delta":{"content":"m"}}]}\n\n'
    decoder = Decoder(include_usage=True)
    events = events_of([*decoder.feed(frame % b"m"), *decoder.feed(frame % b"other")])
    assert events == [TextDelta(0, "m"), TextDelta(0, "m")]


@pytest.mark.parametrize("text", [b"\xff", b"\xff\\n"])
def test_non_utf8_text_is_found_in_a_frame_like_earlier_ones(text: bytes) -> None:
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    assert events_of(run(frame % b"a", frame % b"b", frame % text))[-1] == Broken("F16")
