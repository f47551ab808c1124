"""`thinkingConfig`: budgets up to Gemini 2.5, levels since Gemini 3, never both."""

from typing import Any, Final

from dialects.chat.chat import ChatRequest, Effort, ReasoningSettings, Upstream
from dialects.chat.reasoning import DYNAMIC, budget_of, effort_of, nearest, thinks
from dialects.json.members import Members

BUDGET_MAX: Final = 1_000_000_000
_LEVELS: Final[dict[str, Effort]] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
}
# The efforts that every model with levels has, for one whose efforts are unknown.
_LEVELS_SURE: Final[tuple[Effort, ...]] = ("low", "high")


def read_thinking(config: Members) -> ReasoningSettings | None:
    """Return the settings of a `thinkingConfig`; None for an empty one."""
    budget = config.integer("thinkingBudget", DYNAMIC, BUDGET_MAX)
    level = (config.text("thinkingLevel") or "").lower()
    if level and budget is not None:
        config.refuse_value("thinkingLevel", "cannot be combined with thinkingBudget")
    if level and level not in _LEVELS and level != "thinking_level_unspecified":
        config.refuse_value("thinkingLevel", "must be one of " + ", ".join(_LEVELS))
    settings = ReasoningSettings(
        effort=_LEVELS.get(level), budget_tokens=budget, shown=config.boolean("includeThoughts")
    )
    return None if settings == ReasoningSettings() else settings


def write_thinking(request: ChatRequest, upstream: Upstream) -> dict[str, Any]:
    """Return the `thinkingConfig` of a request; {} for the model's default."""
    config = _write_depth(request.reasoning, upstream)
    include = _include_thoughts(request, upstream)
    if include is not None:
        config["includeThoughts"] = include
    return config


def suffix_thinking(settings: ReasoningSettings, upstream: Upstream) -> dict[str, Any]:
    """Return the `thinkingConfig` of a suffix, for a body that is not translated."""
    config = _write_depth(settings, upstream)
    config["includeThoughts"] = bool(settings.shown)
    return config


def _write_depth(settings: ReasoningSettings | None, upstream: Upstream) -> dict[str, Any]:
    if settings is None:
        return {}
    effort = effort_of(settings)
    if "thinking_level" in upstream.flags:
        has = tuple(level for level in upstream.efforts if level in _LEVELS) or _LEVELS_SURE
        return {} if effort is None else {"thinkingLevel": nearest(effort, has)}
    budget = budget_of(settings, budget_min=upstream.budget_min, budget_max=upstream.budget_max)
    if budget is None:
        return {"thinkingBudget": DYNAMIC} if settings.switch == "adaptive" else {}
    if budget != DYNAMIC and budget <= 0:
        # A model that cannot be switched off thinks as little as possible.
        budget = 0 if "none" in upstream.efforts else upstream.budget_min
    return {"thinkingBudget": budget}


def _include_thoughts(request: ChatRequest, upstream: Upstream) -> bool | None:
    """Return whether to request thoughts, by what each dialect shows its clients: chat always shows
    reasoning, messages if thinking was requested, responses if a summary was. A model that is known
    to think is asked for its thoughts even if the request does not ask it to think."""
    settings = request.reasoning
    thinking = thinks(request)
    if settings is not None and settings.shown is not None:
        return settings.shown
    if thinking is False or request.dialect == "gemini":
        return None
    if request.dialect == "responses":
        return True if settings is not None and settings.summary is not None else None
    known = "thinking_level" in upstream.flags or upstream.budget_max is not None
    return True if thinking or (request.dialect == "openai" and known) else None
