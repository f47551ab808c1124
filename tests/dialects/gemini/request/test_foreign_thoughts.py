"""Histories that another provider has a part in, on their way to Gemini as they came."""

import json
from typing import Any

import pytest
from hypothesis import given

from dialects.chat.chat import Flag
from dialects.chat.events import Seal
from dialects.chat.google_seals import UNSEALED, write_signature
from dialects.gemini.request.foreign_thoughts import WANTS_SEALS, quirks_for
from dialects.gemini.request.read import read
from dialects.json.body import NO_QUIRKS, read_body
from tests.dialects.neutral import json_objects

LEVELS: frozenset[Flag] = frozenset({WANTS_SEALS})
FOREIGN = write_signature(Seal("anthropic", "x"))
ASKED = {"role": "user", "parts": [{"text": "hi"}]}
CALL = {"functionCall": {"name": "f", "args": {"a": 1.0}}}
SNAKE = {"function_call": {"name": "f"}}
EXCUSED = {"thoughtSignature": UNSEALED}
THOUGHT = {"text": "hm", "thought": True, "thoughtSignature": FOREIGN}


def model_turn(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def edited(contents: Any, *flags: Flag) -> Any:
    facts = read(json.dumps({"contents": contents}).encode(), model="m", stream=False)
    quirks = quirks_for(facts.body, frozenset(flags))
    assert facts.foreign or (facts.calls and flags) or quirks == NO_QUIRKS
    assert quirks.dropped == ()
    return json.loads(quirks.edits["contents"] or b"") if quirks.edits else None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ASKED, model_turn(THOUGHT, CALL)], [ASKED, model_turn(CALL)]),
        ([ASKED, model_turn(THOUGHT), ASKED], [ASKED, ASKED]),
        ([model_turn({"text": "a", "thought_signature": "openai:x"})], [model_turn({"text": "a"})]),
        ([model_turn(CALL | {"thoughtSignature": FOREIGN.replace("=", "")})], [model_turn(CALL)]),
    ],
)
def test_foreign_seals_are_left_out(before: Any, after: Any) -> None:
    assert edited(before) == after


@pytest.mark.parametrize(
    "contents",
    [
        [ASKED, model_turn({"text": "hm", "thought": True}, CALL | {"thoughtSignature": "U0lH"})],
        [ASKED, model_turn(CALL)],
        [
            ASKED,
            model_turn({"text": FOREIGN}),
            {"role": "model"},
            {"role": "model", "parts": [3]},
            3,
        ],
        [{"role": "user", "parts": [THOUGHT]}],
    ],
)
def test_all_else_is_untouched(contents: Any) -> None:
    assert edited(contents) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ASKED, model_turn(CALL, CALL)], [ASKED, model_turn(CALL | EXCUSED, CALL | EXCUSED)]),
        (
            [model_turn({"text": "a"}), model_turn(SNAKE)],
            [model_turn({"text": "a"}), model_turn(SNAKE | EXCUSED)],
        ),
        ({"role": "model", "parts": CALL}, [model_turn(CALL | EXCUSED)]),
        ([model_turn(THOUGHT, CALL)], [model_turn(CALL | EXCUSED)]),
        ([model_turn(CALL | {"thoughtSignature": "U0lH"}, CALL)], None),
        ([model_turn({"text": "", "thought_signature": "U0lH"}), model_turn(CALL)], None),
        ([model_turn(CALL), model_turn({"text": "", "thought_signature": "U0lH"})], None),
        (
            [model_turn(CALL | {"thoughtSignature": "U0lH"}), ASKED, model_turn(CALL)],
            [model_turn(CALL | {"thoughtSignature": "U0lH"}), ASKED, model_turn(CALL | EXCUSED)],
        ),
    ],
)
def test_foreign_calls_get_a_placeholder_seal(before: Any, after: Any) -> None:
    """ai.google.dev, "Thought signatures": what a model is told of calls that it did not make."""
    assert edited(before, *LEVELS) == after


@given(json_objects)
def test_no_body_breaks_it(value: dict[str, Any]) -> None:
    quirks_for(read_body(json.dumps(value).encode()), LEVELS)
