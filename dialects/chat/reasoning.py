"""Convert between thinking efforts and token budgets.

    effort   minimal   low    medium   high     xhigh    max
    budget      1024   2048     8192   16384    32768    the model's largest
    back     ≤  1024  ≤ 4096  ≤ 12288  ≤ 24576  above

Budgets are in tokens; 0 is none, -1 lets the model decide (dynamic).
"""

from typing import Final, get_args

from dialects.chat.chat import ChatRequest, Effort, ReasoningSettings

DYNAMIC: Final = -1
EFFORTS: Final[tuple[Effort, ...]] = get_args(Effort)
# The budget of `max` for a model whose largest budget is unknown.
BUDGET_MAX_UNKNOWN: Final = 32_768

_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0,
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
}
_BACK: Final[tuple[tuple[int, Effort], ...]] = (
    (0, "none"),
    (1_024, "minimal"),
    (4_096, "low"),
    (12_288, "medium"),
    (24_576, "high"),
)


def budget_for(effort: Effort, budget_max: int | None) -> int:
    """Return the tokens of an effort, at most the model's largest budget."""
    largest = BUDGET_MAX_UNKNOWN if budget_max is None else budget_max
    budget = _BUDGETS.get(effort, largest)
    return budget if budget_max is None else min(budget, budget_max)


def effort_for(budget_tokens: int) -> Effort | None:
    """Return the effort of a budget; None for a dynamic one, which lets the model decide."""
    if budget_tokens < 0:
        return None
    return next((effort for most, effort in _BACK if budget_tokens <= most), "xhigh")


def nearest(effort: Effort, has: tuple[Effort, ...]) -> Effort:
    """Return the nearest effort that a model supports: `effort`, else the next lower, else the
    lowest. An empty `has` means unknown, and `effort` is returned."""
    if not has or effort in has:
        return effort
    known = sorted(has, key=EFFORTS.index)
    lower = [level for level in known if EFFORTS.index(level) < EFFORTS.index(effort)]
    return lower[-1] if lower else known[0]


def effort_of(settings: ReasoningSettings | None) -> Effort | None:
    """Return the effort that the client's settings ask for; None if the model decides. A switch
    alone counts as medium when on and as none when off; off overrides everything else.
    """
    if settings is None:
        return None
    if settings.switch == "off":
        return "none"
    if settings.effort is not None:
        return settings.effort
    if settings.budget_tokens is not None:
        return effort_for(settings.budget_tokens)
    return "medium" if settings.switch == "on" else None


def budget_of(
    settings: ReasoningSettings | None, *, budget_min: int = 0, budget_max: int | None = None
) -> int | None:
    """Return the budget that the client's settings ask for, within the model's range. None if the
    model decides, 0 for none, DYNAMIC if requested. The caller must handle a model that cannot be
    switched off (`budget_min` above 0).
    """
    if settings is None:
        return None
    if settings.switch == "off":
        return 0
    budget = settings.budget_tokens
    if budget is None:
        effort = effort_of(settings)
        budget = None if effort is None else budget_for(effort, budget_max)
    if budget is None or budget <= 0:
        return budget
    budget = max(budget, budget_min)
    return budget if budget_max is None else min(budget, budget_max)


def thinks(request: ChatRequest) -> bool | None:
    """Return True if the client asked for thinking, False if it asked for none, and None if it did
    not say."""
    settings = request.reasoning
    if settings is None:
        return None
    if settings.switch == "adaptive" or settings.budget_tokens == DYNAMIC:
        return True
    effort = effort_of(settings)
    return None if effort is None else effort != "none"
