import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Effort, ReasoningSettings
from dialects.chat.reasoning import (
    DYNAMIC,
    EFFORTS,
    budget_for,
    budget_of,
    effort_for,
    effort_of,
    nearest,
    thinks,
)
from tests.dialects.neutral import request


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("none", 0), ("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384),
     ("xhigh", 32768), ("max", 32768)],
)  # fmt: skip
def test_budget_for(effort: Effort, budget: int) -> None:
    assert budget_for(effort, None) == budget
    assert budget_for(effort, 64_000) == (64_000 if effort == "max" else budget)
    assert budget_for(effort, 4096) == min(budget, 4096)


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(-1, None), (0, "none"), (1, "minimal"), (1024, "minimal"), (1025, "low"), (4096, "low"),
     (4097, "medium"), (12288, "medium"), (12289, "high"), (24576, "high"), (24577, "xhigh")],
)  # fmt: skip
def test_effort_for(budget: int, effort: Effort | None) -> None:
    assert effort_for(budget) == effort


@given(st.sampled_from(EFFORTS[:-1]))
def test_an_effort_comes_back_from_its_budget(effort: Effort) -> None:
    assert effort_for(budget_for(effort, None)) == effort


@pytest.mark.parametrize(
    ("effort", "has", "got"),
    [
        ("max", (), "max"),
        ("high", ("low", "high"), "high"),
        ("max", ("low", "high"), "high"),
        ("medium", ("high", "low"), "low"),
        ("minimal", ("max", "high"), "high"),
    ],
)
def test_nearest(effort: Effort, has: tuple[Effort, ...], got: Effort) -> None:
    assert nearest(effort, has) == got


@pytest.mark.parametrize(
    ("settings", "effort", "budget", "thinking"),
    [
        (None, None, None, None),
        (ReasoningSettings(summary="auto"), None, None, None),
        (ReasoningSettings(effort="high"), "high", 16384, True),
        (ReasoningSettings(effort="none"), "none", 0, False),
        (ReasoningSettings(switch="on"), "medium", 8192, True),
        (ReasoningSettings(switch="off", effort="high", budget_tokens=9), "none", 0, False),
        (ReasoningSettings(switch="adaptive"), None, None, True),
        (ReasoningSettings(budget_tokens=5000), "medium", 5000, True),
        (ReasoningSettings(budget_tokens=10), "minimal", 100, True),
        (ReasoningSettings(budget_tokens=99_999), "xhigh", 20_000, True),
        (ReasoningSettings(budget_tokens=0), "none", 0, False),
        (ReasoningSettings(budget_tokens=DYNAMIC), None, DYNAMIC, True),
        (ReasoningSettings(effort="low", budget_tokens=5000), "low", 5000, True),
    ],
)
def test_settings(
    settings: ReasoningSettings | None,
    effort: Effort | None,
    budget: int | None,
    thinking: bool | None,
) -> None:
    assert effort_of(settings) == effort
    assert budget_of(settings, budget_min=100, budget_max=20_000) == budget
    assert thinks(request(reasoning=settings)) == thinking


def test_a_budget_without_a_known_range_stays() -> None:
    assert budget_of(ReasoningSettings(budget_tokens=10**6)) == 10**6
