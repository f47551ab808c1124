"""Reasoning outside of the completion is told inside, and nothing else changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.openai.outside_reasoning import InsideDecoder, rewrite_usage
from dialects.openai.stream.decode import Decoder

USAGE = (
    b'{"prompt_tokens":100, "completion_tokens": 200 ,"total_tokens":%d,'
    b'"completion_tokens_details":{"reasoning_tokens":300},"num_sources_used":2}'
)


@pytest.mark.parametrize(
    ("total", "expected"), [(600, b"500"), (300, b"200"), (700, b"600"), (350, b"200")]
)
def test_a_whole_answer(total: int, expected: bytes) -> None:
    usage = USAGE % total
    raw = b'{"id":"a","usage": %b ,"x":1.0}' % usage
    assert rewrite_usage(raw, usage) == raw.replace(b"200", expected)
    assert rewrite_usage(raw, None) == raw


def test_unreadable_parts_stay() -> None:
    for usage in (b"3", b"{}", b'{"prompt_tokens":1,"prompt_tokens":2}', b'{"prompt_tokens":"x"}'):
        assert rewrite_usage(b'{"usage":' + usage + b"}", usage) == b'{"usage":' + usage + b"}"


@given(st.integers(1, 400))
def test_a_stream_however_it_is_cut(at: int) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"200"},"finish_reason":"stop"}]}\n\n'
    last = b'data: {"choices":[],"usage":' + USAGE % 600 + b"}\n\n"
    raw = chunk + last + b"data: [DONE]\n\n"
    decoder = InsideDecoder(Decoder(include_usage=True))
    steps = [*decoder.feed(raw[:at]), *decoder.feed(raw[at:]), *decoder.end()]
    joined = b"".join(step.raw for step in steps)
    assert joined == chunk + last.replace(b"200", b"500") + b"data: [DONE]\n\n"
    (usage,) = [
        json.loads(event.raw) for step in steps for event in step.events if hasattr(event, "raw")
    ]
    # The books read what the provider said.
    assert usage["completion_tokens"] == 200
