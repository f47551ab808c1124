import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import ChatAnswer, Choice, Reasoning, Refusal, Text, ToolCall
from dialects.chat.events import Finish, FinishReason, TextDelta
from dialects.endpoints.completions.answer_encode import encode
from dialects.endpoints.completions.codec import read_answer
from dialects.endpoints.completions.request_decode import decode
from dialects.openai.usage import quantities
from dialects.usage.usage import Counts
from tests.dialects.exchanges import EXPECTED, exchange, wire
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID, answer

KEY = "openai_chat_nonstream.json#text_completion"


def test_golden_answer() -> None:
    want = EXPECTED["codec"][KEY]
    got = read_answer(exchange(KEY)[1])
    (choice,) = want["choices"]
    assert got.events == [TextDelta(0, choice["text"]), Finish(0, choice["stop"])]
    assert (got.error, got.broken, got.reasoning_bytes) == (None, None, 0)
    meters = quantities(got.usage).meters
    assert meters == {"in_text": want["usage"]["input"], "out_text": want["usage"]["output"]}
    assert got.text_bytes == len(choice["text"])


@pytest.mark.parametrize(
    ("raw", "broken"),
    [
        (b"", "F24"),
        (b"{", "F15"),
        (b"\xff", "F16"),
        (wire(choices=[]), "F24"),
        (wire(choices=3), "F24"),
        (wire(choices=["x"]), "F24"),
        (b'{"choices":[1e999]}', "F24"),
    ],
)
def test_malformed_answer(raw: bytes, broken: str) -> None:
    assert read_answer(raw).broken == broken


def test_an_error_in_a_success() -> None:
    got = read_answer(wire(error={"message": "no", "code": "context_length_exceeded"}))
    assert got.error is not None
    assert got.error.kind == "context_length_exceeded"


def test_odd_choices_are_read_as_far_as_they_go() -> None:
    got = read_answer(
        wire(
            choices=[
                {"index": "x", "text": 5, "finish_reason": 7, "usage": {"total_tokens": 3}},
                {"index": 1, "text": "é", "finish_reason": "eos"},
                {"index": True, "text": None, "finish_reason": "content_filter"},
                {"index": -1, "finish_reason": "length", "usage": {"total_tokens": 4}},
            ]
        )
    )
    assert got.events == [TextDelta(1, "é"), Finish(1, "stop"), Finish(0, "content_filter")]
    assert (got.usage, got.text_bytes) == (b'{"total_tokens":3}', 2)


def test_answers_of_several_calls_are_one() -> None:
    plan = decode(
        wire(model="m", prompt=["a", "b"], n=2), request_id=REQUEST_ID, received_at=RECEIVED_AT
    )
    counts = Counts(input=3, output=5, reasoning=2)
    thought = Reasoning("hm")
    first = ChatAnswer(
        id="x",
        model="",
        created=1,
        choices=(
            Choice(index=0, parts=(thought, Text("A")), finish="length"),
            Choice(index=1, parts=(Text("B"), ToolCall("c", "f", "{}")), finish="tool_calls"),
        ),
        counts=counts,
    )
    second = answer(Refusal("no"), finish="content_filter", counts=counts)
    got = json.loads(encode([first, second], plan))
    assert got["object"] == "text_completion"
    assert got["id"].startswith("cmpl-")
    assert (got["created"], got["model"]) == (RECEIVED_AT, "m-1")
    assert got["choices"] == [
        {"text": "A", "index": 0, "logprobs": None, "finish_reason": "length"},
        {"text": "B", "index": 1, "logprobs": None, "finish_reason": "stop"},
        {"text": "no", "index": 2, "logprobs": None, "finish_reason": "content_filter"},
    ]
    usage = got["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        6,
        10,
        16,
    )
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("tool_calls", "stop"),
        ("content_filter", "content_filter"),
        ("pause", "stop"),
        (None, None),
    ],
)
def test_reasons(reason: FinishReason | None, expected: str | None) -> None:
    plan = decode(wire(model="m", prompt="a"), request_id=REQUEST_ID, received_at=RECEIVED_AT)
    got = json.loads(encode([answer(Text("x"), finish=reason)], plan))
    assert got["choices"][0]["finish_reason"] == expected
    assert got["usage"]["total_tokens"] == 0


@given(st.binary(max_size=60))
def test_malformed_bytes_are_handled(raw: bytes) -> None:
    read_answer(raw)
