import pytest

from dialects.chat.chat import ReasoningSettings, Upstream
from dialects.gemini.model_name import (
    Suffix,
    read_target,
    settings_of,
    split_name,
)
from dialects.gemini.request.thinking import suffix_thinking

KNOWN = {
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-own-thinking",
    "nano-banana-pro",
    "gpt-5",
}
LEVELS = Upstream("m", frozenset({"thinking_level"}), efforts=("low", "high"))
FLASH_LEVELS = Upstream(
    "m", frozenset({"thinking_level"}), efforts=("minimal", "low", "medium", "high")
)
PRO = Upstream("m", budget_min=128, budget_max=32_768)
FLASH = Upstream("m", budget_max=24_576)
LITE = Upstream("m", budget_min=512, budget_max=24_576, efforts=("none", "low"))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("gemini-2.5-flash:generateContent", ("gemini-2.5-flash", "generateContent")),
        ("a:b:streamGenerateContent", ("a:b", "streamGenerateContent")),
        ("m:countTokens", ("m", "countTokens")),
        ("m:embedContent", ("m", "embedContent")),
        ("m:batchEmbedContents", ("m", "batchEmbedContents")),
        ("m:predictLongRunning", ("m", "predictLongRunning")),
        ("m:delete", None),
        ("m", None),
        (":generateContent", None),
    ],
)
def test_target(path: str, target: tuple[str, str] | None) -> None:
    assert read_target(path) == target


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("gemini-3-pro-preview", "gemini-3-pro-preview", None),
        ("gemini-3-pro-preview-thinking", "gemini-3-pro-preview", "on"),
        ("gemini-3-pro-preview-thinking-low", "gemini-3-pro-preview", "low"),
        ("gemini-3-pro-preview-thinking-high", "gemini-3-pro-preview", "high"),
        ("gemini-3-flash-preview-nothinking", "gemini-3-flash-preview", "off"),
        ("gemini-2.5-flash-thinking-8192", "gemini-2.5-flash", 8192),
        ("gemini-2.5-flash-thinking--1", "gemini-2.5-flash", -1),
        ("nano-banana-pro-thinking-0", "nano-banana-pro", 0),
        ("gemini-3-pro-preview-thinking-fast", None, None),
        ("gemini-3-pro-preview-nothinking-low", None, None),
        ("gemini-own-thinking", "gemini-own-thinking", None),
        ("gemini-own-thinking-thinking-low", "gemini-own-thinking", "low"),
        ("gemini-own-thinking-low", None, None),
        ("gpt-5-thinking", None, None),
        ("gemini-9-thinking", None, None),
    ],
)
def test_suffixes(name: str, base: str | None, expected: object) -> None:
    got = split_name(name, KNOWN.__contains__)
    assert got == (base or name, None if expected is None else Suffix(expected))  # type: ignore[arg-type]


# Suffix, and what becomes of it for a model with budgets and one with levels.
@pytest.mark.parametrize(
    ("thinking", "upstream", "config"),
    [
        ("on", FLASH, {"thinkingBudget": -1, "includeThoughts": True}),
        ("on", LEVELS, {"thinkingLevel": "high", "includeThoughts": True}),
        (8192, FLASH, {"thinkingBudget": 8192, "includeThoughts": True}),
        (99_999, FLASH, {"thinkingBudget": 24_576, "includeThoughts": True}),
        (0, FLASH, {"thinkingBudget": 0, "includeThoughts": False}),
        (0, PRO, {"thinkingBudget": 128, "includeThoughts": False}),
        (5, PRO, {"thinkingBudget": 128, "includeThoughts": True}),
        (-1, PRO, {"thinkingBudget": -1, "includeThoughts": True}),
        (-1, LEVELS, {"thinkingLevel": "high", "includeThoughts": True}),
        (1_000, FLASH_LEVELS, {"thinkingLevel": "low", "includeThoughts": True}),
        (4_096, LEVELS, {"thinkingLevel": "low", "includeThoughts": True}),
        (12_288, LEVELS, {"thinkingLevel": "high", "includeThoughts": True}),
        (12_288, FLASH_LEVELS, {"thinkingLevel": "medium", "includeThoughts": True}),
        (12_289, FLASH_LEVELS, {"thinkingLevel": "high", "includeThoughts": True}),
        ("low", FLASH, {"thinkingBudget": 2_048, "includeThoughts": True}),
        ("low", LEVELS, {"thinkingLevel": "low", "includeThoughts": True}),
        ("high", FLASH, {"thinkingBudget": 16_384, "includeThoughts": True}),
        ("high", LEVELS, {"thinkingLevel": "high", "includeThoughts": True}),
        ("off", FLASH, {"thinkingBudget": 0, "includeThoughts": False}),
        ("off", PRO, {"thinkingBudget": 128, "includeThoughts": False}),
        ("off", LITE, {"thinkingBudget": 0, "includeThoughts": False}),
        ("off", LEVELS, {"thinkingLevel": "low", "includeThoughts": False}),
        ("off", FLASH_LEVELS, {"thinkingLevel": "minimal", "includeThoughts": False}),
    ],
)
def test_suffix_meanings(thinking: object, upstream: Upstream, config: object) -> None:
    settings = settings_of(Suffix(thinking), upstream.efforts)  # type: ignore[arg-type]
    assert suffix_thinking(settings, upstream) == config


def test_a_budget_is_medium_where_the_levels_are_not_known() -> None:
    assert settings_of(Suffix(8_192)) == ReasoningSettings("medium", 8_192, shown=True)
