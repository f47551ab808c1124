"""Late usage on the books: who has paid, who has borne, and the budgets that follow (I7, I12)."""

import pytest
from django.db import transaction

from accounts.models import Key
from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from billing.limits.enforcement import HoldRequest
from tests.billing.limits.test_windows import held, key, resolve, settled, window, window_state

pytestmark = pytest.mark.django_db
__all__ = ["key"]


def correct(hold: HoldRequest, source: str, *, customer: int, platform: int = 0) -> None:
    with transaction.atomic():
        usage_corrections.lock_wallet(hold.organisation_id)
        usage_corrections.correct(
            hold.attempt_id,
            hold.organisation_id,
            source,
            usage_corrections.read_borne_cost(hold.attempt_id),
            Borne(customer, platform, customer + platform),
            {},
        )


def test_the_budgets_follow_the_charge_up_and_down(key: Key) -> None:
    one = window(key, "key")
    hold = held(key, 450, one)
    resolve(settled(hold, 400))
    for source, charge, cap in (("late", 300, 500), ("look_up", 530, 530), ("review", 0, 530)):
        correct(hold, source, customer=charge)
        assert usage_corrections.read_borne_cost(hold.attempt_id) == Borne(charge, 0, charge)
        assert window_state(one) == (0, charge, cap)


def test_platform_losses_count_for_no_budget(key: Key) -> None:
    one = window(key, "key")
    hold = held(key, 450, one)
    resolve(settled(hold, 400))
    correct(hold, "late", customer=400, platform=70)
    assert usage_corrections.read_borne_cost(hold.attempt_id) == Borne(400, 70, 470)
    assert window_state(one) == (0, 400, 500)


def test_repeated_correction_moves_nothing(key: Key) -> None:
    one = window(key, "key")
    hold = held(key, 450, one)
    resolve(settled(hold, 400))
    for _ in range(2):
        correct(hold, "late", customer=300)
    assert window_state(one) == (0, 300, 500)
