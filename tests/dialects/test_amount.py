"""The most that a request may cost is read alike in every dialect and carrier (I13: no float)."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import pytest

from dialects.anthropic.request import read as anthropic_request
from dialects.converse.request import read as converse_request
from dialects.endpoints import edits, embeddings, moderations, rerank
from dialects.endpoints.completions import request_read as completions_request
from dialects.errors.errors import RequestFault
from dialects.gemini.request import read as gemini_request
from dialects.interactions.request import read as interactions_request
from dialects.openai.request import read as openai_request
from dialects.responses.request import read as responses_facts
from gateway.providers.capabilities import UNKNOWN
from playground.panel.parameters import InvalidSetting, parameters_of
from playground.panel.settings import read_settings
from relay.requests.headers import read_headers

SAID: Final = [{"role": "user", "content": "hi"}]
CHAT: Final = {"model": "m", "messages": SAID}
BODIES: Final[Mapping[str, tuple[dict[str, Any], Callable[[bytes], Any]]]] = MappingProxyType(
    {
        "openai": (CHAT, openai_request.read),
        "responses": ({"model": "m", "input": "hi"}, responses_facts.read),
        "anthropic": (CHAT | {"max_tokens": 5}, anthropic_request.read),
        "gemini": (
            {"contents": [{"parts": [{"text": "hi"}]}]},
            lambda raw: gemini_request.read(raw, model="m", stream=False),
        ),
        "interactions": ({"model": "m", "input": "hi"}, interactions_request.read),
        "converse": (
            {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
            lambda raw: converse_request.read(raw, model="m", stream=False),
        ),
        "completions": ({"model": "m", "prompt": "hi"}, completions_request.read),
        "edits": (
            {"model": "m", "instruction": "x"},
            lambda raw: edits.read(raw, request_id="r", received_at=0),
        ),
        "embeddings": ({"model": "m", "input": "hi"}, embeddings.read),
        "moderations": ({"model": "m", "input": "hi"}, moderations.read),
        "rerank": (
            {"model": "m", "query": "q", "documents": ["a"]},
            lambda raw: rerank.read(raw, form="jina"),
        ),
    }
)
# As a text, and what it is in nano; None where it is refused.
TEXTS: Final = (
    ("0", 0),
    ("1", 10**9),
    ("0.25", 250_000_000),
    ("1.50", 1_500_000_000),
    ("0.000000001", 1),
    # A float has no such number.
    ("123456789.123456789", 123_456_789_123_456_789),
    ("9223372036.854775807", 2**63 - 1),
    ("0.5000000000000", 500_000_000),
    ("9223372036.854775808", None),
    ("0.1234567899", None),
    ("0.30000000000000004", None),
    ("1e-05", None),
    ("1E2", None),
    ("-1", None),
    ("-0", None),
    ("9" * 50, None),
)
ONLY_WORDS: Final = (
    "",
    "lots",
    "NaN",
    "Infinity",
    "+1",
    "1,5",
    "1_0",
    "0x1",
    "$1",
    ".5",
    "1.",
    "٣",
)


def in_body(dialect: str, literal: str) -> int | str:
    body, read = BODIES[dialect]
    raw = json.dumps(body)[:-1] + f', "max_cost": {literal}}}'
    try:
        nano: int = read(raw.encode()).max_cost_nano
    except RequestFault as fault:
        return fault.kind if fault.param == "max_cost" else f"{fault.kind} of {fault.param}"
    return nano


@pytest.mark.parametrize("dialect", BODIES)
def test_each_dialect_reads_the_same_amount(dialect: str) -> None:
    """The same verdict for a number and for a string of the same digits."""
    for text, nano in TEXTS:
        verdict = "invalid_value" if nano is None else nano
        assert in_body(dialect, text) == verdict, text
        assert in_body(dialect, f'"{text}"') == verdict, text
    for text in ONLY_WORDS:
        assert in_body(dialect, json.dumps(text)) == "invalid_value", text
    for literal in ("true", "false", "[]", "{}", '["1"]'):
        assert in_body(dialect, literal) == "invalid_type", literal


def in_header(text: str) -> int | None:
    try:
        return read_headers([(b"x-weir-max-cost", text.encode())], 100).max_cost_nano
    except RequestFault as fault:
        return None if fault.param == "x-weir-max-cost" else -1


def in_form(text: str) -> int | None:
    try:
        max_cost = read_settings({"max_cost": text}, parameters_of(UNKNOWN))[0].max_cost
    except InvalidSetting:
        return None
    nano = in_body("openai", json.dumps(max_cost))
    assert isinstance(nano, int)
    return nano


@pytest.mark.parametrize("read", [in_header, in_form])
def test_header_and_playground_read_the_same_amount(read: Callable[[str], int | None]) -> None:
    for text, nano in TEXTS:
        assert read(text) == nano, text
    for text in ONLY_WORDS:
        # The form is typed by people: nothing is no limit, and a dollar sign is theirs.
        if read is in_header or text not in ("", "$1"):
            assert read(text) is None, text
