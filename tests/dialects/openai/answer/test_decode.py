import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import TextDelta
from dialects.openai.answer.decode import decode
from dialects.openai.usage import quantities
from tests.dialects.exchanges import load_exchange, summary_of
from tests.dialects.openai.golden import (
    ANSWERS,
    EXPECTED,
    body_of,
    check_summary,
    check_usage,
)


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_answer(key: str) -> None:
    want = EXPECTED["codec"][key]
    answer = decode(body_of(load_exchange(key)["response"]))
    assert (answer.error, answer.broken) == (None, None)
    for choice, expected in enumerate(want["choices"]):
        check_summary(summary_of(answer.events, choice), expected)
    meters = quantities(answer.usage)
    assert meters.flags == ()
    check_usage(meters.meters, want["usage"])


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b" \n", "F24"),
        (b"{}", "F24"),
        (b'{"choices":[]}', "F24"),
        (b"<html>", "F15"),
        (b"[1]", "F15"),
        (b'{"a":"\xff"}', "F16"),
    ],
)
def test_broken_answer(raw: bytes, fault: str) -> None:
    assert decode(raw).broken == fault


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, "upstream_rate_limited"),
        ({"object": "error", "message": "x"}, "upstream_error"),
        ({"choices": [{"finish_reason": "network_error"}]}, "overloaded"),
    ],
)
def test_error_in_a_success(body: object, kind: str) -> None:
    answer = decode(json.dumps(body).encode())
    assert answer.error is not None
    assert answer.error.kind == kind


def test_white_space_before_the_answer_and_usage_in_the_choice() -> None:
    answer = decode(b'\n\n {"choices":[{"message":{"content":"hi"},"usage":{"a":1}}],"error":null}')
    assert answer.events == [TextDelta(0, "hi")]
    assert (answer.usage, answer.text_bytes, answer.reasoning_bytes) == (b'{"a":1}', 2, 0)


@given(st.binary(max_size=80))
def test_no_bytes_crash(raw: bytes) -> None:
    decode(raw)
