"""What the guides to models say of a model is what its row in the catalogue says."""

from collections.abc import Sequence
from typing import Final

import pytest

from dialects.realtime.live import _DELEGATES
from gateway.providers.capabilities import Capabilities
from gateway.providers.models import find_row
from reference.operations.all_pages import PAGES
from reference.operations.page import Field
from reference.views import GUIDES


def row(model: str) -> Capabilities:
    known = find_row(model)
    assert known is not None, model
    return known


def efforts(model: str, joined: str) -> str:
    return joined.join(row(model).efforts)


def ends(model: str) -> str:
    return f"{row(model).efforts[0]} to {row(model).efforts[-1]}"


def field(slug: str, name: str) -> Field:
    lists: list[Sequence[Field]] = (
        [section.fields for section in GUIDES[slug].sections]
        if slug in GUIDES
        else [PAGES[slug].fields]
    )
    found = [one for fields in lists for one in fields if one.name == name]
    assert len(found) == 1
    return found[0]


# The page, the field, what its text says, and the fact.
CLAIMS: Final[list[tuple[str, str, str, bool]]] = [
    ("thinking", "DeepSeek", "deepseek-v3-1 does not think unless thinking.type is enabled",
     "thinking_default_off" in row("deepseek-v3-1").flags),
    ("thinking", "DeepSeek", "deepseek-v4-pro thinks unless it is disabled, at "
     + efforts("deepseek-v4-pro", " or "),
     row("deepseek-v4-pro").thinking == "switch"
     and "thinking_default_off" not in row("deepseek-v4-pro").flags),
    ("thinking", "DeepSeek", "deepseek-r1 always thinks", row("deepseek-r1").thinking == "always"),
    ("thinking", "GPT", f"gpt-5.1 and later support {ends('gpt-5.1')}",
     row("gpt-5.2").efforts[: len(row("gpt-5.1").efforts)] == row("gpt-5.1").efforts),
    ("thinking", "GPT", "some also xhigh", row("gpt-5.2").efforts[-1] == "xhigh"),
    ("thinking", "GPT", f"the o-series {ends('o1')}",
     row("o1").efforts == row("o3-mini").efforts == row("o4-mini").efforts),
    ("thinking", "Claude", f"A budget is at least {row('claude-sonnet-4-5').budget_min}", True),
    ("thinking", "Claude", "claude-opus-4-6 takes an effort instead",
     row("claude-opus-4-6").thinking == "adaptive"),
    ("thinking", "Gemini", f"Gemini 3 thinks by level, {ends('gemini-3-pro-preview')}",
     row("gemini-3-pro-preview").thinking == "level"),
    ("thinking", "Gemini", "Thinking cannot be turned off for pro models",
     "none" not in row("gemini-2.5-pro").efforts and "none" in row("gemini-2.5-flash").efforts),
    ("thinking", "Grok", "grok-4 always thinks and does not support effort",
     row("grok-4").thinking == "always" and "no_reasoning_effort" in row("grok-4").flags),
    ("thinking", "Grok", f"grok-3-mini supports {efforts('grok-3-mini', ' and ')}", True),
    ("model-series", "Claude", "Versions from 3.7 on can think",
     (row("claude-3-5-sonnet").thinking, row("claude-3-7-sonnet").thinking) == ("never", "budget")),
    ("model-series", "DeepSeek", "deepseek-r1 always thinks and does not support functions",
     row("deepseek-r1").thinking == "always" and not row("deepseek-r1").tools),
    ("model-series", "Grok", "Text; grok-4 also images. grok-4 always thinks",
     "image" in row("grok-4").inputs and "image" not in row("grok-3").inputs),
    ("live", "session.delegation", f"{_DELEGATES[0]} (your application), {_DELEGATES[1]} or "
     f"{_DELEGATES[2]}", len(_DELEGATES) == 3),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "name", "words", "fact"), CLAIMS)
def test_guide_says_what_the_catalogue_says(slug: str, name: str, words: str, fact: bool) -> None:
    assert words in str(field(slug, name).meaning)
    assert fact
