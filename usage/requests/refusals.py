"""Why a request was refused for money, read from the message that its client got."""

import re
from dataclasses import dataclass
from typing import Final

from billing.currency.money import parse_usd
from billing.limits.budgets import subject_names
from billing.models import Budget

BUDGET_REACHED: Final = "budget_reached"
BALANCE_TOO_LOW: Final = "balance_too_low"
"""The kinds that pages show for a refusal for money. The API and the books have one kind for both,
and say in the message which it was."""
_KIND: Final = "insufficient_balance"
_BY_BUDGET: Final = "^Insufficient Balance: (a|client.s own|[a-z]+) budget "
IS_BY_BUDGET: Final = f"coalesce(r.kind = '{_KIND}' AND r.message ~ '{_BY_BUDGET}', false)"
"""Whether a budget refused the request of the record `r`: an expression in SQL."""
DISPLAY_KIND: Final = (
    f"CASE WHEN {IS_BY_BUDGET} THEN '{BUDGET_REACHED}' "
    f"WHEN r.kind = '{_KIND}' THEN '{BALANCE_TOO_LOW}' ELSE r.kind END"
)
"""The kind that pages show for the record `r`, as `display_kind`."""

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


def is_by_budget(kind: str | None, message: str) -> bool:
    """Return whether a budget refused the request with this message."""
    return kind == _KIND and re.match(_BY_BUDGET, message) is not None


def display_kind(kind: str | None, *, by_budget: bool) -> str:
    """Return the kind that pages show: that of the books, or for one about money what lacked."""
    if kind != _KIND:
        return kind or ""
    return BUDGET_REACHED if by_budget else BALANCE_TOO_LOW


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
