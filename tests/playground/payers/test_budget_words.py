"""What a budget lacks, as a page says it where a message was refused (W54)."""

import pytest
from django.utils import translation

from accounts.access.actors import SYSTEM
from billing.models import BudgetScope, BudgetWindow
from playground.messages.page import error_text, refusal_text
from relay.requests.outcome import Outcome
from tests.support.cast import Cast
from usage.limits import budget_simulation

MESSAGE = "Insufficient Balance: team budget is used up. Request more: http://hub.example/b/1"


@pytest.fixture
def budget_id(people: Cast) -> int:
    budget = budget_simulation.create_budget(
        SYSTEM,
        people.acme,
        scope=BudgetScope.TEAM,
        subject=str(people.core.id),
        amount_nano=5 * 10**9,
        period="month",
    )
    return budget.id


def refused(budget_id: int) -> str:
    facts = {"kind": "insufficient_balance", "message": MESSAGE, "budget_id": budget_id}
    fields = dict.fromkeys(Outcome.__struct_fields__) | facts
    return refusal_text(Outcome(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spent_nano", "language", "text"),
    [
        (5 * 10**9, "en", "The budget of core is used up: $5.00 of $5.00. It resets on "),
        (5 * 10**9, "zh-hans", "core 的预算已用完：$5.00 / $5.00。将于 "),
        (4 * 10**9, "en", "The budget of core has too little left for this message: $4.00 of "),
        (4 * 10**9, "zh-hans", "core 的预算余量不足以支付此消息：已使用或冻结 $4.00，"),
    ],
)
def test_rejecting_budget_uses_the_pages_language(
    budget_id: int, spent_nano: int, language: str, text: str
) -> None:
    """It was the relay's English sentence, on Chinese pages too."""
    BudgetWindow.objects.filter(budget=budget_id).update(spent_nano=spent_nano)
    with translation.override(language):
        assert refused(budget_id).startswith(text)


def test_rejecting_budget_counts_what_is_reserved_as_used(budget_id: int) -> None:
    windows = BudgetWindow.objects.filter(budget=budget_id)
    windows.update(spent_nano=3 * 10**9, held_nano=10**9)
    assert "too little left for this message: $4.00 of $5.00" in refused(budget_id)
    windows.update(held_nano=2 * 10**9)
    assert "is used up: $5.00 of $5.00." in refused(budget_id)


def test_old_rejection_shows_no_current_figures(budget_id: int) -> None:
    stored = {"kind": "insufficient_balance", "message": MESSAGE, "budget_id": budget_id}
    with translation.override("zh-hans"):
        assert error_text(stored) == "core 的预算余量不足以支付此消息。"
    assert error_text(stored) == "The budget of core had too little left for this message."
