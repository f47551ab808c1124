"""The same bounds for what goes on as it came as for what is decoded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dialects.anthropic.request import decode as anthropic_request_decode
from dialects.anthropic.request import read as anthropic_request_read
from dialects.converse.request import decode as converse_request_decode
from dialects.converse.request import read as converse_request_read
from dialects.endpoints.completions import request_decode as completions_request_decode
from dialects.endpoints.completions import request_read as completions_request_read
from dialects.errors.errors import RequestFault
from dialects.gemini.request import decode as gemini_request_decode
from dialects.gemini.request import read as gemini_request_read
from dialects.openai.request import decode as openai_request_decode
from dialects.openai.request import read as openai_request_read
from dialects.responses.request import decode as responses_request_decode
from dialects.responses.request import read as responses_request_read

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
Read = Callable[[bytes], Any]
STAMP: dict[str, Any] = {"request_id": "r", "received_at": 0}
GEMINI: dict[str, Any] = {"model": "m", "stream": False}
READERS: dict[str, tuple[dict[str, Any], Read, Read]] = {
    "openai": (
        CHAT,
        openai_request_read.read,
        lambda raw: openai_request_decode.decode(raw, **STAMP),
    ),
    "completions": (
        {"model": "m", "prompt": "hi"},
        completions_request_read.read,
        lambda raw: completions_request_decode.decode(raw, **STAMP),
    ),
    "responses": (
        {"model": "m", "input": "hi"},
        responses_request_read.read,
        lambda raw: responses_request_decode.decode(raw, **STAMP),
    ),
    "anthropic": (
        CHAT | {"max_tokens": 9},
        anthropic_request_read.read,
        lambda raw: anthropic_request_decode.decode(raw, **STAMP),
    ),
    "gemini": (
        CONTENTS,
        lambda raw: gemini_request_read.read(raw, **GEMINI),
        lambda raw: gemini_request_decode.decode(raw, **GEMINI, **STAMP),
    ),
    "converse": (
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        lambda raw: converse_request_read.read(raw, **GEMINI),
        lambda raw: converse_request_decode.decode(raw, **GEMINI, **STAMP),
    ),
}
TEXTS = ["a", "b", "c", "d", "e", "f"]
# Member, dialect: the values of its edges, and those outside.
BOUNDED: list[tuple[str, str, list[Any], list[Any]]] = [
    *[("temperature", dialect, [0, 2.0], [-0.1, 2.1, 10**40])
      for dialect in ("openai", "completions", "responses", "gemini")],
    ("temperature", "anthropic", [0, 1], [-0.1, 1.1]),
    *[("top_p", dialect, [0, 1], [-0.1, 1.1])
      for dialect in ("openai", "completions", "responses", "anthropic")],
    *[("topP", dialect, [0, 1], [-0.1, 1.1]) for dialect in ("gemini", "converse")],
    *[(f"{kind}_penalty", dialect, [-2, 2.0], [-2.1, 2.1])
      for kind in ("presence", "frequency") for dialect in ("openai", "completions")],
    *[(f"{kind}Penalty", "gemini", [-2, 2.0], [-2.1, 2.1]) for kind in ("presence", "frequency")],
    *[("top_logprobs", dialect, [0, 20], [-1, 21]) for dialect in ("openai", "responses")],
    ("logprobs", "gemini", [0, 20], [-1, 21]),
    *[("stop", dialect, ["a", TEXTS[:4]], [TEXTS[:5]]) for dialect in ("openai", "completions")],
    ("stopSequences", "gemini", [TEXTS[:5]], [TEXTS]),
    *[("n", dialect, [1, 2], [0, -1]) for dialect in ("openai", "completions")],
    ("candidateCount", "gemini", [1, 2], [0]),
    *[("logit_bias", dialect, [{}, {"1": -100, "2": 100}], [{"1": -101}, {"1": 1, "2": 100.1}])
      for dialect in ("openai", "completions")],
    ("reasoning_effort", "openai", ["none", "max"], ["", "much"]),
    *[(name, "openai", [0, 1], [-1, 10**9 + 1])
      for name in ("max_tokens", "max_completion_tokens")],
]  # fmt: skip
cases = pytest.mark.parametrize(("member", "dialect", "inside", "outside"), BOUNDED)


def body(dialect: str, member: str, value: Any) -> bytes:
    beside = {"logprobs": True} if member == "top_logprobs" and dialect == "openai" else {}
    beside |= {"responseLogprobs": True} if member == "logprobs" else {}
    members = beside | {member: value}
    holder = {"gemini": "generationConfig", "converse": "inferenceConfig"}.get(dialect)
    config = {holder: members} if holder else members
    return json.dumps(READERS[dialect][0] | config).encode()


@cases
def test_both_readers_check_bounds_alike(
    member: str, dialect: str, inside: list[Any], outside: list[Any]
) -> None:
    _, read, decode = READERS[dialect]
    for value in (*inside, None):
        read(body(dialect, member, value))
        decode(body(dialect, member, value))
    for value in outside:
        for way in (read, decode):
            with pytest.raises(RequestFault) as caught:
                way(body(dialect, member, value))
            assert caught.value.kind == "invalid_value"
            assert member in (caught.value.param or "")


@cases
def test_different_type_is_a_different_fault(
    member: str, dialect: str, inside: list[Any], outside: list[Any]
) -> None:
    values: list[Any] = [True, {"1": "a"}, [1]]
    for value in values:
        with pytest.raises(RequestFault) as caught:
            READERS[dialect][1](body(dialect, member, value))
        assert caught.value.kind == "invalid_type"


def test_types_are_checked_before_values_even_huge_ones() -> None:
    raw = json.dumps(CHAT | {"temperature": 3, "top_p": "1"}).encode()
    with pytest.raises(RequestFault) as caught:
        openai_request_read.read(raw)
    assert (caught.value.kind, caught.value.param) == ("invalid_type", "top_p")
    with pytest.raises(RequestFault) as caught:
        openai_request_read.read(json.dumps(CHAT).encode()[:-1] + b',"temperature":1e999}')
    assert caught.value.kind == "invalid_value"
