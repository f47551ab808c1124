"""Operators' rules for models: which other models answer in place of one, and when; the order of
its channels; the charge for abandoned requests.

A rule for the exact name beats one whose pattern matches it, and a longer pattern beats a shorter
one. Only one rule applies to a model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from billing.limits.charge_rule import ChargeRule
from billing.prices.name_patterns import match_order, matches
from gateway.channel_order.tie_breaking import Pick
from gateway.routing.shadow_rules import ShadowRule

Cause = Literal["error", "context_length", "content_policy", "budget"]
"""Why another model answers: no channel of the first model is available, or all attempts failed;
the request exceeds its context; its provider blocks the content; a budget is too low for it."""
CAUSES: Final[frozenset[Cause]] = frozenset(get_args(Cause))
FAILURES: Final[frozenset[Cause]] = CAUSES - {"budget"}
"""The causes of a rule without stated causes, and for the models that a request itself names."""
FALLBACKS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class ModelRule:
    """A rule for a model, or for a pattern of names with `*`. `fallbacks` answer instead, in this
    order, for one of `causes`. `pick` orders the model's channels of equal priority. `charge_rule`
    applies to abandoned and failed requests of organisations without a rule; None means the
    channel's rule. A share of the requests is also sent to `shadow`."""

    model: str
    fallbacks: tuple[str, ...] = ()
    causes: frozenset[Cause] = FAILURES
    pick: Pick = "weight"
    charge_rule: ChargeRule | None = None
    shadow: ShadowRule | None = None


NO_RULE: Final = ModelRule("")


def rule_of(model: str, rules: Iterable[ModelRule]) -> ModelRule:
    """Return the rule that applies to a model, or NO_RULE."""
    return min((rule for rule in rules if matches(rule.model, model)), key=_rank, default=NO_RULE)


def _rank(rule: ModelRule) -> tuple[bool, int, str]:
    return *match_order(rule.model), rule.model
