"""Names of chats: first words, or a request that asks for one as cheaply as the model can."""

import pytest

from gateway.providers import provider_named
from gateway.providers.models import capabilities_of
from playground.conversations.title_rules import (
    ANSWER_MAX,
    MADE_TITLE_MAX,
    QUESTION_MAX,
    first_words,
    title_in,
    title_request,
)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("\n\n## Rivers\nmore", "Rivers"),
        ("> - `code`", "code`"),
        ("x" * 200, "x" * MADE_TITLE_MAX),
        ("", ""),
    ],
)
def test_first_words(text: str, title: str) -> None:
    assert first_words(text) == title


@pytest.mark.parametrize(
    ("model", "provider", "fields"),
    [
        ("gpt-4o-mini", "openai", {"max_tokens": 40}),
        ("gpt-5.1", "openai", {"max_completion_tokens": 40, "reasoning_effort": "none"}),
        ("o3", "openai", {"max_completion_tokens": 600, "reasoning_effort": "low"}),
        ("glm-5", "glm", {"max_tokens": 40, "thinking": {"type": "disabled"}}),
        ("deepseek-r1", "deepseek", {"max_tokens": 600}),
    ],
)
def test_name_is_requested_with_minimal_thinking(
    model: str, provider: str, fields: dict[str, object]
) -> None:
    can = capabilities_of(model, provider_named(provider))
    body = title_request(model, "q" * 9_000, "a" * 9_000, can)
    assert {name: body[name] for name in body if name not in ("model", "messages")} == fields
    assert body["messages"][1]["content"].count("q") == QUESTION_MAX
    assert body["messages"][1]["content"].count("a") < ANSWER_MAX + 20


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ('"Weirs and rivers."', "Weirs and rivers"),
        ("# 「水坝」。\n", "水坝"),
        ("", ""),
        ('""', ""),
    ],
)
def test_models_answer_becomes_a_name(answer: str, title: str) -> None:
    assert title_in(answer) == title
