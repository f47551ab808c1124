"""Histories that another provider has a part in, on their way to Anthropic as they came."""

import json
from typing import Any

import pytest
from hypothesis import given

from dialects.anthropic.request.foreign_thoughts import quirks_for
from dialects.anthropic.request.read import read
from dialects.json.body import NO_QUIRKS, read_body
from tests.dialects.neutral import json_objects

OWN = {"type": "thinking", "thinking": "mine", "signature": "EqQB"}
FOREIGN = {"type": "thinking", "thinking": "theirs", "signature": "openai:x"}
BARE = {"type": "thinking", "thinking": "theirs", "signature": ""}
CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1.0}}
HIDDEN = {"type": "redacted_thinking", "data": "x"}
ASKED = {"role": "user", "content": "hi"}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def edited(*messages: Any, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is changed of a body, and what is named as dropped."""
    raw = json.dumps({"model": "m", "max_tokens": 5, "messages": messages, **members}).encode()
    facts = read(raw)
    quirks = quirks_for(facts.body, "claude-sonnet-4-5-20250929")
    assert facts.foreign or quirks == NO_QUIRKS
    return {name: json.loads(raw or b"null") for name, raw in quirks.edits.items()}, quirks.dropped


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ASKED, assistant(FOREIGN, CALL), RESULT], [ASKED, assistant(CALL), RESULT]),
        ([ASKED, assistant(BARE, CALL), RESULT], [ASKED, assistant(CALL), RESULT]),
        ([ASKED, assistant(OWN, CALL, BARE)], [ASKED, assistant(OWN, CALL)]),
        ([ASKED, assistant(BARE), ASKED], [ASKED, ASKED]),
    ],
)
def test_foreign_thoughts_are_left_out(before: list[Any], after: list[Any]) -> None:
    assert edited(*before) == ({"messages": after}, ())


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, assistant(OWN, CALL), RESULT],
        [ASKED, assistant({"type": "text", "text": '"signature":"" "openai:'})],
        [{"role": "user", "content": [BARE]}],
        [{"role": "assistant", "content": "x"}, 3, assistant({"type": "thinking"}, 3)],
    ],
)
def test_all_else_is_untouched(messages: list[Any]) -> None:
    assert edited(*messages) == ({}, ())


OFF = {"type": "disabled"}


@pytest.mark.parametrize(
    ("messages", "thinking", "off"),
    [
        ([assistant(BARE, CALL), RESULT], {"type": "enabled", "budget_tokens": 2048}, True),
        ([assistant(BARE, CALL), RESULT], {"type": "adaptive"}, True),
        ([assistant(BARE, CALL, 3)], {"type": "adaptive"}, True),
        ([assistant(BARE, CALL), RESULT], OFF, False),
        ([assistant(BARE, HIDDEN, CALL), RESULT], {"type": "adaptive"}, False),
        ([assistant(BARE, CALL), RESULT, assistant(OWN, CALL), RESULT],
         {"type": "adaptive"}, False),
        ([assistant(BARE, CALL), RESULT, {"role": "assistant", "content": "x"}, ASKED],
         {"type": "adaptive"}, False),
        ([assistant(BARE), ASKED], {"type": "adaptive"}, False),
    ],
)  # fmt: skip
def test_calls_that_lost_their_thoughts_switch_thinking_off(
    messages: list[Any], thinking: dict[str, Any], off: bool
) -> None:
    edits, dropped = edited(*messages, thinking=thinking)
    assert (edits.get("thinking"), dropped) == ((OFF, ("thinking",)) if off else (None, ()))


@given(json_objects)
def test_no_body_breaks_it(value: dict[str, Any]) -> None:
    quirks_for(read_body(json.dumps(value).encode()), "m")
