"""Budget windows by the statements: what a hold's end does to them (I7, I23, P2)."""

import datetime as dt

import msgspec
import pytest
from django.db import IntegrityError, transaction

from accounts.models import Key, Organisation, Team
from billing.balances.balances import add_opening_credit
from billing.holds import unsettled_holds
from billing.holds.resolve_holds import HoldResolved, keep_holds, resolve_holds
from billing.holds.usage_corrections import lock_wallet, release_kept
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.ledger import execute
from billing.limits.budget_windows import correct_windows
from billing.limits.enforcement import HoldRequest, place_holds
from billing.models import Budget, BudgetWindow, Hold, RateSecond
from lib.id_types import AttemptId, KeyId, OrganisationId
from lib.ids import new_id

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("form")]

_START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def key() -> Key:
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 1_000)
    execute(open_accounts([organisation.id], WALLET_KINDS))
    team = Team.objects.create(organisation=organisation, name="core", slug="core")
    return Key.objects.create(
        organisation=organisation, team=team, name="k", digest=b"d" * 32, prefix="", last4=""
    )


def window(key: Key, scope: str, amount_nano: int = 500) -> BudgetWindow:
    budget = Budget.objects.create(
        organisation=key.organisation, scope=scope, amount_nano=amount_nano, period="month",
        anchor=1,
    )  # fmt: skip
    return BudgetWindow.objects.create(
        budget=budget, starts_at=_START, ends_at=_START + dt.timedelta(days=30),
        cap_nano=amount_nano,
    )  # fmt: skip


def held(key: Key, amount_nano: int, *windows: BudgetWindow, tokens: int = 0) -> HoldRequest:
    asked = HoldRequest(
        attempt_id=AttemptId(new_id()),
        organisation_id=OrganisationId(key.organisation_id),
        key_id=KeyId(key.id),
        amount_nano=amount_nano,
        ttl_seconds=60,
    )
    with transaction.atomic():
        execute(lock_accounts([key.organisation_id]))
        execute(place_holds([asked]))
    Hold.objects.filter(id=asked.attempt_id).update(
        window_ids=[one.id for one in windows], rated_ids=[key.id], tokens=tokens
    )
    for one in windows:
        one.held_nano += amount_nano
        one.save()
    return asked


def resolve(*resolved: HoldResolved) -> None:
    with transaction.atomic():
        execute(lock_accounts(hold.organisation_id for hold in resolved))
        execute(resolve_holds(resolved))


def settled(hold: HoldRequest, charge_nano: int, tokens: int = 0) -> HoldResolved:
    return HoldResolved(
        attempt_id=hold.attempt_id,
        posting_id=new_id(),
        organisation_id=hold.organisation_id,
        state="settled",
        charge_nano=charge_nano,
        tokens=tokens,
    )


def window_state(one: BudgetWindow) -> tuple[int, int, int]:
    one.refresh_from_db()
    return one.held_nano, one.spent_nano, one.cap_nano


def test_charge_is_spent_and_the_rest_freed_in_every_window(key: Key) -> None:
    """I23: once, however often the settlement is tried."""
    of_key, of_team, other = window(key, "key"), window(key, "team"), window(key, "user")
    first, second = held(key, 300, of_key, of_team), held(key, 200, of_key)
    resolve(settled(first, 120), settled(second, 50))
    resolve(settled(first, 120))
    assert window_state(of_key) == (0, 170, 500)
    assert window_state(of_team) == (0, 120, 500)
    assert window_state(other) == (0, 0, 500)


def test_charge_above_the_hold_is_not_spent(key: Key) -> None:
    """I13: the excess is nobody's budget."""
    one = window(key, "key")
    resolve(settled(held(key, 300, one), 450))
    assert window_state(one) == (0, 300, 500)


@pytest.mark.parametrize("state", ["voided", "expired"])
def test_free_request_frees_its_whole_hold(key: Key, state: str) -> None:
    one = window(key, "key")
    resolve(msgspec.structs.replace(settled(held(key, 300, one), 0), state=state))
    assert window_state(one) == (0, 0, 500)


def test_late_usage_stands_in_the_window_of_the_admission(key: Key) -> None:
    """I7, I12: it is recorded even where it no longer fits."""
    one = window(key, "key")
    hold = held(key, 450, one)
    resolve(settled(hold, 400))
    execute(correct_windows({hold.attempt_id: -100}))
    assert window_state(one) == (0, 300, 500)
    execute(correct_windows({hold.attempt_id: 230}))
    assert window_state(one) == (0, 530, 530)


def test_tokens_of_a_hold_are_corrected_in_its_second(key: Key) -> None:
    hold = held(key, 10, tokens=900)
    second = int(Hold.objects.get(id=hold.attempt_id).opened_at.timestamp())
    for at in (second - 1, second):
        RateSecond.objects.create(subject_id=key.id, second=at, requests=1, tokens=1_000)
    resolve(settled(hold, 10, tokens=120))
    rate_seconds = dict(RateSecond.objects.values_list("second", "tokens"))
    assert rate_seconds == {second - 1: 1_000, second: 220}


@pytest.mark.parametrize("how", ["reviewed", "ended late"])
def test_kept_hold_returns_all_its_tokens(key: Key, how: str) -> None:
    """What it used is known too late to count in its minute."""
    hold = held(key, 10, tokens=900)
    second = int(Hold.objects.get(id=hold.attempt_id).opened_at.timestamp())
    RateSecond.objects.create(subject_id=key.id, second=second, requests=1, tokens=1_000)
    with transaction.atomic():
        lock_wallet(key.organisation_id)
        if how == "reviewed":
            execute(keep_holds([hold.attempt_id]))
            release_kept(hold.attempt_id, key.organisation_id)
        else:
            unsettled_holds.end(
                unsettled_holds.Ended(
                    attempt_id=hold.attempt_id, organisation_id=hold.organisation_id,
                    state="settled", charge_nano=10, cost_nano=0,
                )
            )  # fmt: skip
    assert list(RateSecond.objects.values_list("tokens", flat=True)) == [100]


def test_a_kept_hold_that_is_released_has_spent_nothing(key: Key) -> None:
    """P2: neither of the wallet nor of what the organisation would have paid its provider."""
    one = window(key, "key")
    hold = held(key, 300, one)
    Hold.objects.filter(id=hold.attempt_id).update(own_nano=150)
    one.held_nano += 150
    one.save()
    with transaction.atomic():
        lock_wallet(key.organisation_id)
        execute(keep_holds([hold.attempt_id]))
        release_kept(hold.attempt_id, key.organisation_id)
    assert window_state(one) == (0, 0, 500)


def test_database_prevents_windows_above_the_cap(key: Key) -> None:
    """P2: whatever code does."""
    one = window(key, "key")
    with pytest.raises(IntegrityError, match="budget_never_exceeded"):
        BudgetWindow.objects.filter(id=one.id).update(held_nano=400, spent_nano=101)


def test_database_prevents_overlapping_windows(key: Key) -> None:
    """P17."""
    one = window(key, "key")
    with pytest.raises(IntegrityError, match="budget_windows_do_not_overlap"):
        BudgetWindow.objects.create(
            budget=one.budget, starts_at=_START + dt.timedelta(days=29),
            ends_at=_START + dt.timedelta(days=40), cap_nano=1,
        )  # fmt: skip
