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


def correct(
    hold: HoldRequest, source: str, *, customer: int, platform: int = 0, own_change: int = 0
) -> None:
    with transaction.atomic():
        usage_corrections.lock_wallet(hold.organisation_id)
        usage_corrections.correct(
            hold.attempt_id,
            hold.organisation_id,
            source,
            usage_corrections.read_borne_cost(hold.attempt_id),
            Borne(customer, platform, customer + platform),
            {},
            own_change_nano=own_change,
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


@pytest.mark.parametrize("own_change", [0, 50])
def test_a_correction_that_the_ledger_has_moves_no_budget(key: Key, own_change: int) -> None:
    """I8: also for a caller that read the books before the first one."""
    one = window(key, "key")
    hold = held(key, 450, one)
    resolve(settled(hold, 400))
    before = usage_corrections.read_borne_cost(hold.attempt_id)
    for _ in range(2):
        with transaction.atomic():
            usage_corrections.lock_wallet(hold.organisation_id)
            usage_corrections.correct(
                hold.attempt_id, hold.organisation_id, "late", before, Borne(300, 0, 300), {},
                own_change_nano=own_change,
            )  # fmt: skip
    assert usage_corrections.read_borne_cost(hold.attempt_id) == Borne(300, 0, 300)
    assert window_state(one) == (0, 300 + own_change, 500)


@pytest.mark.parametrize(
    ("charge", "own_change", "spent"),
    [
        # What it pays its provider itself changes alone, also beyond a cap (I12).
        (300, 50, 350), (300, -70, 230), (300, 200, 500),
        # The charge of the installation changes too, also as much the other way.
        (330, 20, 350), (280, -10, 270), (350, -60, 290), (280, 20, 300),
        (300, 0, 300),
    ],
)  # fmt: skip
def test_budgets_count_what_an_organisation_pays_its_provider_itself(
    key: Key, charge: int, own_change: int, spent: int
) -> None:
    wide, narrow = window(key, "key"), window(key, "team", 400)
    hold = held(key, 400, wide, narrow)
    resolve(settled(hold, 300))
    correct(hold, "late", customer=charge, own_change=own_change)
    assert usage_corrections.read_borne_cost(hold.attempt_id) == Borne(charge, 0, charge)
    assert window_state(wide) == (0, spent, 500)
    assert window_state(narrow) == (0, spent, max(spent, 400))
