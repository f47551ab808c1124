"""What a budget's refusal said: its budget, and the amounts of that moment."""

import re
from dataclasses import dataclass
from typing import Final

from billing.currency.money import parse_usd
from billing.limits.budget_subjects import subject_names
from billing.models import Budget

# The last sentence of a budget's refusal, in any language, with the budget's address.
BUDGET_LINK: Final = re.compile(r"[.。][^.。]*https?://\S+/b/([0-9]{1,18})(?=$|\. )")
_FIGURES: Final = re.compile(
    r": (?P<spent>[\d.]+) USD spent and (?P<held>[\d.]+) USD reserved of (?P<limit>[\d.]+) USD"
    r".*?; this request may cost (?P<needed>[\d.]+) USD"
)


@dataclass(frozen=True)
class BudgetRefusal:
    """A refusal by a budget, with the amounts of that moment. What the message does not say is
    None; a budget that no longer exists has no name and no id."""

    budget_id: int | None
    name: str
    used_nano: int | None = None
    limit_nano: int | None = None
    needed_nano: int | None = None


def budget_id_of(message: str) -> int | None:
    """Return the budget to which a message links."""
    match = BUDGET_LINK.search(message)
    return int(match[1]) if match else None


def budget_refusal(organisation: str, message: str) -> BudgetRefusal:
    """Return what a budget's refusal said. `organisation` is the slug of the request's."""
    chosen = Budget.objects.filter(organisation__slug=organisation, id=budget_id_of(message) or 0)
    budgets = list(chosen.select_related("organisation"))
    figures = _FIGURES.search(message)
    amounts: dict[str, int] = {}
    if figures is not None:
        amounts = {
            "used_nano": parse_usd(figures["spent"]) + parse_usd(figures["held"]),
            "limit_nano": parse_usd(figures["limit"]),
            "needed_nano": parse_usd(figures["needed"]),
        }
    if not budgets:
        return BudgetRefusal(None, "", **amounts)
    (budget,) = budgets
    name = subject_names(budgets)[budget.id] or budget.organisation.name
    return BudgetRefusal(budget.id, name, **amounts)
