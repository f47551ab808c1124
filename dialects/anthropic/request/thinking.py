"""`thinking`: how many tokens a model may think, or with which effort."""

from typing import Final

from dialects.chat.chat import Effort, JsonObject, ReasoningSettings, Upstream
from dialects.chat.reasoning import DYNAMIC, budget_of, nearest

BUDGET_MIN: Final = 1_024
_BUDGET_UNSAID: Final = 8_192


def nearest_effort(effort: Effort, has: tuple[Effort, ...]) -> Effort:
    """Return the effort nearest to one that the model may not have."""
    if effort in has:
        return effort
    substitutes: dict[Effort, Effort] = {"minimal": "low", "xhigh": "max"}
    return nearest(substitutes.get(effort, effort), has)


def thinking_budget(
    settings: ReasoningSettings | None, upstream: Upstream, cap: int
) -> JsonObject | None:
    """Return a thinking budget within an output of `cap` tokens; None if the answer is too short
    for one or the model cannot think."""
    budget = budget_of(
        settings,
        budget_min=max(BUDGET_MIN, upstream.budget_min),
        budget_max=upstream.budget_max,
    )
    if budget is None or budget == DYNAMIC:
        # The client leaves the budget to the model, but the model requires a number.
        most = _BUDGET_UNSAID if upstream.budget_max is None else upstream.budget_max
        budget = min(_BUDGET_UNSAID, most)
    budget = min(budget, cap - 1)
    if budget < BUDGET_MIN:
        return None
    return {"type": "enabled", "budget_tokens": budget}
