"""System messages between the turns, on their way to models that accept them there or not."""

import json
from typing import Any

import pytest

from dialects.anthropic.request.foreign_thoughts import accepts_system_turns, quirks_for
from dialects.anthropic.request.read import read
from dialects.json.body import NO_QUIRKS, Quirks

ASKED = {"role": "user", "content": "hi"}
CACHE = {"cache_control": {"type": "ephemeral"}}
OLD, NEW = "claude-sonnet-4-5-20250929", "claude-opus-4-8"


def fitted(model: str, *messages: Any) -> Quirks:
    facts = read(json.dumps({"model": "m", "max_tokens": 5, "messages": messages}).encode())
    assert facts.system_turns
    return quirks_for(facts.body, model)


def text(words: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **members}


@pytest.mark.parametrize(
    ("message", "after"),
    [
        ({"role": "system", "content": "Be brief."}, [text("Be brief.")]),
        (
            {"role": "system", "content": [text("Be brief.", **CACHE), text("Now.")]},
            [text("Be brief.", **CACHE), text("Now.")],
        ),
    ],
)
def test_an_older_model_gets_them_as_reminders_of_the_user(
    message: dict[str, Any], after: list[dict[str, Any]]
) -> None:
    quirks = fitted(OLD, ASKED, message)
    (name, raw), *others = quirks.edits.items()
    marked = [
        block | {"text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}
        for block in after
    ]
    assert (name, others, quirks.dropped) == ("messages", [], ())
    assert json.loads(raw or b"") == [ASKED, {"role": "user", "content": marked}]


def test_one_without_text_is_left_out() -> None:
    quirks = fitted(OLD, ASKED, {"role": "system", "content": []})
    assert json.loads(quirks.edits["messages"] or b"") == [ASKED]


def test_newer_model_gets_them_unchanged() -> None:
    assert fitted(NEW, ASKED, {"role": "system", "content": "Be brief."}) == NO_QUIRKS


@pytest.mark.parametrize("content", [3, None, {"type": "text"}])
def test_malformed_content_is_left_to_the_provider(content: Any) -> None:
    assert fitted(OLD, ASKED, {"role": "system", "content": content}) == NO_QUIRKS


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        (NEW, True),
        ("us.anthropic.claude-opus-4-8-v1:0", True),
        ("anthropic/claude-opus-4.9", True),
        ("claude-sonnet-5-20260901", True),
        ("claude-mythos-5", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-20250514", False),
        ("claude-sonnet-4-5-20250929", False),
        ("claude-3-5-haiku-20241022", False),
        ("deepseek-v4", False),
    ],
)
def test_models_that_accept_them(model: str, accepted: bool) -> None:
    assert accepts_system_turns(model) == accepted
