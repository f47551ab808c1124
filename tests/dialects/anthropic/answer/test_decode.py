import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.answer.decode import decode
from dialects.chat.chat import Reasoning, Text, ToolCall
from dialects.chat.events import Broken, Finish, OpaqueDelta, Seal, TextDelta, UpstreamError, Usage
from dialects.chat.fold import AnswerFault
from tests.dialects.anthropic.golden import (
    ANSWERS,
    EXPECTED,
    body_of,
    check_summary,
    check_usage,
)
from tests.dialects.exchanges import load_exchange


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_answer(key: str) -> None:
    want, raw = EXPECTED["codec"][key], body_of(load_exchange(key))
    got = decode(raw, translate=True)
    check_summary(got.events, want)
    answer = decode(raw, translate=True).fold()
    assert answer.counts is not None
    check_usage(answer.counts, want["usage"])
    assert answer.model == load_exchange(key)["response"]["body"]["model"]


@pytest.mark.parametrize("key", ANSWERS)
def test_forwarded_answer_reveals_less(key: str) -> None:
    got = decode(body_of(load_exchange(key)))
    assert not any(isinstance(event, Usage) for event in got.events)
    assert got.usage is not None
    assert isinstance(got.events[-1], Finish)


def test_parts_of_an_answer() -> None:
    answer = decode(
        body_of(load_exchange("anthropic_nonstream.json#message_thinking_tool")), translate=True
    ).fold()
    assert answer.choices[0].parts == (
        Reasoning("Call the tool.", Seal("anthropic", "EqQBfakeSig==")),
        Reasoning("", Seal("anthropic", "EmwKAhgBredactedBytes==", redacted=True)),
        Text("Checking."),
        ToolCall("toolu_03W", "get_weather", '{"city": "Shanghai"}'),
    )
    assert answer.service_tier == "default"


def test_stop_sequence_is_kept() -> None:
    answer = decode(
        body_of(load_exchange("anthropic_nonstream.json#stop_sequence")), translate=True
    ).fold()
    assert answer.choices[0].stop_sequence == "END"


def test_sizes_are_counted() -> None:
    blocks = [
        {"type": "thinking", "thinking": "上"},
        {"type": "text", "text": "é"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "web_search_tool_result", "content": []},
    ]
    got = decode(json.dumps({"content": blocks}, ensure_ascii=False).encode())
    assert (got.text_bytes, got.reasoning_bytes) == (3, 3)
    assert isinstance(got.events[-1], OpaqueDelta)


def test_input_of_the_answer_tool_is_the_text() -> None:
    block = {"type": "tool_use", "id": "t", "name": "json_answer", "input": {"a": 1}}
    raw = json.dumps({"content": [block], "stop_reason": "tool_use"}).encode()
    (choice,) = decode(raw, answer_tool="json_answer", translate=True).fold().choices
    assert (choice.parts, choice.finish) == ((Text('{"a": 1}'),), "stop")


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b" \n", "F24"),
        (b"{}", "F24"),
        (b'{"type":"message","content":null}', "F24"),
        (b'{"content":3}', "F24"),
        (b"[]", "F15"),
        (b"<html>", "F15"),
        (b'{"content":' + b"[" * 100_000, "F15"),
        (b'{"content":["\xff"]}', "F16"),
    ],
)
def test_broken(raw: bytes, fault: str) -> None:
    assert decode(raw).broken == fault
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert caught.value.event == Broken(fault)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        {"error": {"type": "overloaded_error"}},
    ],
)
def test_error_inside_a_success(body: object) -> None:
    raw = json.dumps(body).encode()
    error = decode(raw).error
    assert error is not None
    assert error.kind == "overloaded"
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert isinstance(caught.value.event, UpstreamError)


def test_odd_types_are_read_as_far_as_they_go() -> None:
    odd = {"id": 3, "content": [{"type": "text", "text": "a", "citations": 3}, {"text": 5}], "n": 1}
    assert decode(json.dumps(odd).encode()).events == [TextDelta(0, "a"), TextDelta(0, "5")]
    odd = {"content": [{"type": "text", "text": "a"}, 3]}
    assert decode(json.dumps(odd).encode()).broken == "F24"


@given(st.binary(max_size=80))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    decode(raw, translate=True)
