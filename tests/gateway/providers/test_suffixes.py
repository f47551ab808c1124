from typing import Any

import pytest

from gateway.codecs.gemini.thinking import suffix_thinking
from gateway.providers import provider_named
from gateway.providers.models import capabilities_of
from gateway.providers.suffixes import AskedModel, read_asked
from gateway.providers.targets import upstream_of


@pytest.mark.parametrize(
    ("name", "base", "thinking"),
    [
        ("gemini-2.5-flash-thinking", "gemini-2.5-flash", {"thinkingBudget": -1}),
        ("gemini-2.5-flash-thinking-8192", "gemini-2.5-flash", {"thinkingBudget": 8192}),
        ("gemini-2.5-flash-thinking-99999", "gemini-2.5-flash", {"thinkingBudget": 24576}),
        ("gemini-2.5-flash-thinking--1", "gemini-2.5-flash", {"thinkingBudget": -1}),
        ("gemini-2.5-flash-thinking-0", "gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-thinking-low", "gemini-2.5-flash", {"thinkingBudget": 2048}),
        ("gemini-2.5-flash-thinking-high", "gemini-2.5-flash", {"thinkingBudget": 16384}),
        ("gemini-2.5-flash-nothinking", "gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite-thinking-100", "gemini-2.5-flash-lite", {"thinkingBudget": 512}),
        ("gemini-2.5-flash-lite-nothinking", "gemini-2.5-flash-lite", {"thinkingBudget": 0}),
        ("gemini-2.5-pro-nothinking", "gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemini-2.5-pro-thinking-0", "gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemini-2.5-pro-thinking-99999", "gemini-2.5-pro", {"thinkingBudget": 32768}),
        ("gemini-3-pro-preview-thinking", "gemini-3-pro-preview", {"thinkingLevel": "high"}),
        ("gemini-3-pro-preview-thinking-low", "gemini-3-pro-preview", {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview-thinking-high", "gemini-3-pro-preview", {"thinkingLevel": "high"}),
        ("gemini-3-pro-preview-thinking-4096", "gemini-3-pro-preview", {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview-thinking-8192", "gemini-3-pro-preview", {"thinkingLevel": "high"}),
        ("gemini-3-pro-preview-thinking--1", "gemini-3-pro-preview", {"thinkingLevel": "high"}),
        ("gemini-3-pro-preview-nothinking", "gemini-3-pro-preview", {"thinkingLevel": "low"}),
        (
            "gemini-3.1-pro-preview-thinking-12288",
            "gemini-3.1-pro-preview",
            {"thinkingLevel": "medium"},
        ),
        (
            "gemini-3-flash-preview-thinking-12289",
            "gemini-3-flash-preview",
            {"thinkingLevel": "high"},
        ),
        (
            "gemini-3-flash-preview-nothinking",
            "gemini-3-flash-preview",
            {"thinkingLevel": "minimal"},
        ),
        ("nano-banana-pro-thinking-low", "nano-banana-pro", {"thinkingLevel": "low"}),
    ],
)
def test_a_suffix_is_cut_off_and_sets_the_thinking(
    name: str, base: str, thinking: dict[str, Any]
) -> None:
    gemini = provider_named("gemini")
    asked = read_asked(name)
    assert asked.name == base
    assert asked.reasoning is not None
    upstream = upstream_of(gemini, "gemini", base, capabilities_of(base, gemini))
    shown = {"includeThoughts": not name.endswith(("nothinking", "-0"))}
    assert suffix_thinking(asked.reasoning, upstream) == thinking | shown


@pytest.mark.parametrize(
    "name",
    [
        "gemini-3-pro-preview",
        "gemini-3-pro-preview-thinking-fast",
        "gemini-3-pro-preview-thinking-",
        "gemini-3-pro-preview-thinking-1.5",
        "gemini-3-pro-preview-thinking-medium",
        "gemini-3-pro-preview-nothinking-low",
        "gemini-3-pro-preview-thinking-low-thinking",
        "gemini-9-ultra-thinking",
        "claude-opus-4-6-thinking",
        "gpt-5.4-thinking-low",
        "-thinking",
        "thinking",
        "",
    ],
)
def test_a_name_that_is_left_whole(name: str) -> None:
    assert read_asked(name) == AskedModel(name)


def test_a_model_that_really_ends_so_is_itself() -> None:
    known = {"gemini-3-pro-preview", "gemini-3-pro-preview-thinking"}.__contains__
    assert read_asked("gemini-3-pro-preview-thinking", known).reasoning is None
    split = read_asked("gemini-3-pro-preview-thinking-low", known)
    assert split.name == "gemini-3-pro-preview"
    longer = read_asked("gemini-3-pro-preview-thinking-nothinking", known)
    assert longer.name == "gemini-3-pro-preview-thinking"


def test_the_installation_says_which_models_there_are() -> None:
    asked = read_asked("gemini-own-thinking-5000", {"gemini-own"}.__contains__)
    assert asked.name == "gemini-own"
    assert asked.reasoning is not None
    assert (asked.reasoning.effort, asked.reasoning.budget_tokens) == ("medium", 5000)
    assert read_asked("gemini-3-pro-preview-thinking", lambda name: False).reasoning is None
