"""What operators rule for a model: which others answer in its place, and when; which of its
channels comes first; what abandoned requests are charged.

A rule for the very name comes before one whose pattern matches it, a longer pattern before a
shorter one. One rule holds for a model, as a whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from billing.limits.charge_rule import ChargeRule
from billing.prices.name_patterns import matches
from gateway.routing.shadow_rules import ShadowRule
from gateway.routing.tie_breaking import Pick

Cause = Literal["error", "context_length", "content_policy", "budget"]
"""Why another model answers: no channel of the first one can, or all that were asked failed; the
request is longer than its context; its provider blocks the content; a budget does not reach for
it."""
CAUSES: Final[frozenset[Cause]] = frozenset(get_args(Cause))
FAILURES: Final[frozenset[Cause]] = CAUSES - {"budget"}
"""The causes of a rule that states none, and of the models that a request names itself."""
FALLBACKS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class ModelRule:
    """What holds for a model, or for a pattern of names with `*`. `fallbacks` answer in its place,
    in this order, for one of `causes`; `pick` orders its channels of equal priority; `charge_rule`
    is for abandoned and failed requests of organisations that have none, None = as their channel
    has it; a share of its requests goes to `shadow` too."""

    model: str
    fallbacks: tuple[str, ...] = ()
    causes: frozenset[Cause] = FAILURES
    pick: Pick = "weight"
    charge_rule: ChargeRule | None = None
    shadow: ShadowRule | None = None


NO_RULE: Final = ModelRule("")


def rule_of(model: str, rules: Iterable[ModelRule]) -> ModelRule:
    """The rule that holds for a model; NO_RULE where there is none."""
    return min((rule for rule in rules if matches(rule.model, model)), key=_rank, default=NO_RULE)


def _rank(rule: ModelRule) -> tuple[bool, int, str]:
    return ("*" in rule.model, -len(rule.model.replace("*", "")), rule.model)
