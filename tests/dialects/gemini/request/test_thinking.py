from typing import Any

import pytest

from dialects.chat.chat import Dialect, ReasoningSettings, Upstream
from dialects.errors.errors import RequestFault
from dialects.gemini.request.thinking import read_thinking, write_thinking
from dialects.json.members import Members
from tests.dialects import neutral

PLAIN = Upstream("m")
LEVELS = Upstream("m", frozenset({"thinking_level"}))
BUDGETS = Upstream("m", budget_min=128, budget_max=32_768)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({}, None),
        ({"thinkingBudget": 0}, ReasoningSettings(budget_tokens=0)),
        ({"thinkingBudget": -1.0}, ReasoningSettings(budget_tokens=-1)),
        ({"thinkingLevel": "HIGH"}, ReasoningSettings("high")),
        ({"thinkingLevel": "minimal"}, ReasoningSettings("minimal")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None),
        ({"includeThoughts": False}, ReasoningSettings(shown=False)),
    ],
)
def test_reading(config: dict[str, Any], settings: ReasoningSettings | None) -> None:
    assert read_thinking(Members(config, "t")) == settings


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"thinkingBudget": 1, "thinkingLevel": "low"}, "invalid_value"),
        ({"thinkingLevel": "deep"}, "invalid_value"),
        ({"thinkingBudget": -2}, "invalid_value"),
        ({"thinkingBudget": "1"}, "invalid_type"),
        ({"includeThoughts": 1}, "invalid_type"),
    ],
)
def test_refused(config: dict[str, Any], kind: str) -> None:
    with pytest.raises(RequestFault) as caught:
        read_thinking(Members(config, "t"))
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("dialect", "settings", "upstream", "config"),
    [
        ("openai", None, PLAIN, {}),
        ("openai", None, LEVELS, {"includeThoughts": True}),
        ("openai", None, BUDGETS, {"includeThoughts": True}),
        ("anthropic", None, LEVELS, {}),
        ("responses", None, LEVELS, {}),
        ("gemini", None, LEVELS, {}),
        ("openai", ReasoningSettings("none"), PLAIN, {"thinkingBudget": 0}),
        ("openai", ReasoningSettings("none"), BUDGETS, {"thinkingBudget": 128}),
        ("openai", ReasoningSettings(switch="off"), LEVELS, {"thinkingLevel": "low"}),
        ("openai", ReasoningSettings("low"), PLAIN,
         {"thinkingBudget": 2_048, "includeThoughts": True}),
        ("openai", ReasoningSettings("xhigh"), LEVELS,
         {"thinkingLevel": "high", "includeThoughts": True}),
        ("openai", ReasoningSettings("max"), BUDGETS,
         {"thinkingBudget": 32_768, "includeThoughts": True}),
        ("responses", ReasoningSettings("high"), LEVELS, {"thinkingLevel": "high"}),
        ("responses", ReasoningSettings("high", summary="auto"), LEVELS,
         {"thinkingLevel": "high", "includeThoughts": True}),
        ("anthropic", ReasoningSettings(budget_tokens=5_000, switch="on"), BUDGETS,
         {"thinkingBudget": 5_000, "includeThoughts": True}),
        ("anthropic", ReasoningSettings(switch="adaptive"), BUDGETS,
         {"thinkingBudget": -1, "includeThoughts": True}),
        ("anthropic", ReasoningSettings(switch="adaptive"), LEVELS, {"includeThoughts": True}),
        ("gemini", ReasoningSettings(shown=True), BUDGETS, {"includeThoughts": True}),
        ("gemini", ReasoningSettings(budget_tokens=99_999), BUDGETS, {"thinkingBudget": 32_768}),
        ("gemini", ReasoningSettings("low", shown=False), LEVELS,
         {"thinkingLevel": "low", "includeThoughts": False}),
    ],
)  # fmt: skip
def test_writing(
    dialect: Dialect, settings: ReasoningSettings | None, upstream: Upstream, config: object
) -> None:
    request = neutral.request(dialect=dialect, reasoning=settings)
    assert write_thinking(request, upstream) == config
