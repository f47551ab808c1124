"""Histories that another provider has a part in, on their way to Gemini as they came."""

import json
from typing import Any

import pytest
from hypothesis import given

from dialects.body import NO_QUIRKS, read_body
from dialects.chat import Flag
from dialects.events import Seal
from dialects.gemini.history import WANTS_SEALS, fit
from dialects.gemini.request_read import read
from dialects.gemini.seals import UNSEALED, write_signature
from tests.dialects.neutral import json_objects

LEVELS: frozenset[Flag] = frozenset({WANTS_SEALS})
FOREIGN = write_signature(Seal("anthropic", "x"))
ASKED = {"role": "user", "parts": [{"text": "hi"}]}
CALL = {"functionCall": {"name": "f", "args": {"a": 1.0}}}
SNAKE = {"function_call": {"name": "f"}}
EXCUSED = {"thoughtSignature": UNSEALED}
THOUGHT = {"text": "hm", "thought": True, "thoughtSignature": FOREIGN}


def said(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def told(contents: Any, *flags: Flag) -> Any:
    facts = read(json.dumps({"contents": contents}).encode(), model="m", stream=False)
    quirks = fit(facts.body, frozenset(flags))
    assert facts.foreign or (facts.calls and flags) or quirks == NO_QUIRKS
    assert quirks.dropped == ()
    return json.loads(quirks.edits["contents"] or b"") if quirks.edits else None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ASKED, said(THOUGHT, CALL)], [ASKED, said(CALL)]),
        ([ASKED, said(THOUGHT), ASKED], [ASKED, ASKED]),
        ([said({"text": "a", "thought_signature": "openai:x"})], [said({"text": "a"})]),
        ([said(CALL | {"thoughtSignature": FOREIGN.replace("=", "")})], [said(CALL)]),
    ],
)
def test_foreign_seals_are_left_out(before: Any, after: Any) -> None:
    assert told(before) == after


@pytest.mark.parametrize(
    "contents",
    [
        [ASKED, said({"text": "hm", "thought": True}, CALL | {"thoughtSignature": "U0lH"})],
        [ASKED, said(CALL)],
        [ASKED, said({"text": FOREIGN}), {"role": "model"}, {"role": "model", "parts": [3]}, 3],
        [{"role": "user", "parts": [THOUGHT]}],
    ],
)
def test_all_else_is_untouched(contents: Any) -> None:
    assert told(contents) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ASKED, said(CALL, CALL)], [ASKED, said(CALL | EXCUSED, CALL | EXCUSED)]),
        ([said({"text": "a"}), said(SNAKE)], [said({"text": "a"}), said(SNAKE | EXCUSED)]),
        ({"role": "model", "parts": CALL}, [said(CALL | EXCUSED)]),
        ([said(THOUGHT, CALL)], [said(CALL | EXCUSED)]),
        ([said(CALL | {"thoughtSignature": "U0lH"}, CALL)], None),
        ([said({"text": "", "thought_signature": "U0lH"}), said(CALL)], None),
    ],
)
def test_calls_of_others_are_excused(before: Any, after: Any) -> None:
    """ai.google.dev, "Thought signatures": what a model is told of calls that it did not make."""
    assert told(before, *LEVELS) == after


@given(json_objects)
def test_no_body_breaks_it(value: dict[str, Any]) -> None:
    fit(read_body(json.dumps(value).encode()), LEVELS)
