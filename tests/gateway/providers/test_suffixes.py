from typing import Any

import pytest

from dialects.chat.chat import ReasoningSettings
from dialects.gemini.request.thinking import suffix_thinking
from gateway.providers import provider_named
from gateway.providers.models import capabilities_of
from gateway.providers.suffixes import RequestedModel, has_ending, read_requested_model
from gateway.providers.targets import upstream_of
from lib.id_types import ModelName


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
    asked = read_requested_model(name)
    assert asked.name == base
    assert asked.reasoning is not None
    upstream = upstream_of(gemini, "gemini", base, capabilities_of(base, gemini))
    values = {"includeThoughts": not name.endswith(("nothinking", "-0"))}
    assert suffix_thinking(asked.reasoning, upstream) == thinking | values


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
def test_name_that_stays_whole(name: str) -> None:
    assert read_requested_model(name) == RequestedModel(ModelName(name))


def test_model_whose_name_ends_so_is_itself() -> None:
    known = {"gemini-3-pro-preview", "gemini-3-pro-preview-thinking"}.__contains__
    assert read_requested_model("gemini-3-pro-preview-thinking", known).reasoning is None
    split = read_requested_model("gemini-3-pro-preview-thinking-low", known)
    assert split.name == "gemini-3-pro-preview"
    longer = read_requested_model("gemini-3-pro-preview-thinking-nothinking", known)
    assert longer.name == "gemini-3-pro-preview-thinking"


def test_installation_decides_which_models_exist() -> None:
    asked = read_requested_model("gemini-own-thinking-5000", {"gemini-own"}.__contains__)
    assert asked.name == "gemini-own"
    assert asked.reasoning is not None
    assert (asked.reasoning.effort, asked.reasoning.budget_tokens) == ("medium", 5000)
    assert (
        read_requested_model("gemini-3-pro-preview-thinking", lambda name: False).reasoning is None
    )


@pytest.mark.parametrize(
    ("name", "base", "effort"),
    [
        ("o3-mini-high", "o3-mini", "high"),
        ("o3-mini-low", "o3-mini", "low"),
        ("o4-mini-medium", "o4-mini", "medium"),
        ("openai/o3-high", "openai/o3", "high"),
        ("gpt-5-mini-minimal", "gpt-5-mini", "minimal"),
        ("gpt-5.2-xhigh", "gpt-5.2", "xhigh"),
        ("grok-3-mini-low", "grok-3-mini", "low"),
    ],
)
def test_an_effort_is_cut_off_where_the_model_has_it(name: str, base: str, effort: Any) -> None:
    assert has_ending(name)
    assert read_requested_model(name, {base}.__contains__) == RequestedModel(
        ModelName(base), ReasoningSettings(effort)
    )
    assert read_requested_model(name).name == (name if "/" in base else base)
    assert read_requested_model(name, {name, base}.__contains__) == RequestedModel(ModelName(name))


@pytest.mark.parametrize(
    "name",
    ["o3-mini-minimal", "gpt-5.1-xhigh", "grok-3-mini-medium", "gpt-4o-high", "own-model-high",
     "claude-opus-4-6-high", "gemini-3-pro-preview-high", "gpt-5.1-codex-max", "-high", "high"],
)  # fmt: skip
def test_an_effort_that_the_model_has_not_is_part_of_its_name(name: str) -> None:
    assert read_requested_model(name) == RequestedModel(ModelName(name))
