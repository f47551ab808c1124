"""I20: promo is consumed before cash, oldest expiry first; expiry is a posting."""

import datetime as dt
from uuid import UUID

import pytest
from django.db import transaction

from accounts.models import Key
from billing.balances.balances import add_opening_credit, balance
from billing.credits import promo
from billing.credits.promo_rules import Payers
from billing.debts.debts import repay_debts
from billing.ledger.funding import dispute, top_up
from billing.ledger.ledger import lock_wallet, post
from billing.models import Account, Posting, PromoGrant, SpendingCount
from lib import clock
from outbox.models import Fact
from tests.support import cast
from tests.support.books import assert_books_balance
from tests.usage.rows import admit, end

USD = 10**9
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def key(people: cast.Cast) -> Key:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 10 * USD)
    return key


def give(key: Key, amount_nano: int, expires_at: dt.datetime | None = None) -> PromoGrant:
    n = PromoGrant.objects.count()
    with transaction.atomic():
        return promo.grant(
            key.organisation, amount_nano, f"redeem:test:{n}", "redeem",
            expires_at=expires_at, actor="", cause={},
        )  # fmt: skip


def spend(key: Key, charge_nano: int, at: dt.datetime | None = None) -> None:
    attempt = admit(key, at or clock.now(), hold_nano=max(charge_nano, 1))
    end(attempt, charge_nano)


def charge(key: Key, charge_nano: int) -> dict[UUID, int]:
    attempt = admit(key, clock.now(), hold_nano=charge_nano)
    end(attempt, charge_nano)
    return {attempt.id: charge_nano}


def left() -> list[tuple[int, int, int]]:
    """(consumed, expired, remaining) of each grant in USD, in the order they were given."""
    return [
        (g.consumed_nano // USD, g.expired_nano // USD, g.remaining_nano // USD)
        for g in PromoGrant.objects.order_by("source")
    ]


def assert_promo_ties(key: Key) -> None:
    accounts = dict(
        Account.objects.filter(organisation=key.organisation).values_list("kind", "balance_nano")
    )
    grants = PromoGrant.objects.filter(organisation=key.organisation)
    remaining = sum(grant.remaining_nano for grant in grants)
    assert accounts["promo:available"] == remaining == -accounts["promo:earmarked"]
    inputs = sum(grant.amount_nano - grant.expired_nano for grant in grants)
    assert accounts["promo:issued"] == -inputs
    assert_books_balance()


def test_oldest_expiry_is_consumed_first_and_cash_last(key: Key) -> None:
    give(key, 3 * USD)
    give(key, 4 * USD, clock.now() + 2 * HOUR)
    give(key, 2 * USD, clock.now() + HOUR)
    assert balance(key.organisation).available_nano == 19 * USD
    spend(key, 3 * USD)
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 0, 3), (1, 0, 3), (2, 0, 0)]
    spend(key, 8 * USD)
    promo.count_spending(key.organisation_id)
    assert left() == [(3, 0, 0), (4, 0, 0), (2, 0, 0)]
    assert balance(key.organisation).available_nano == 8 * USD
    assert_promo_ties(key)


def test_grant_does_not_pay_earlier_spending(key: Key) -> None:
    spend(key, 4 * USD)
    give(key, 3 * USD)
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 0, 3)]
    spend(key, 1 * USD)
    give(key, 3 * USD, clock.now() + HOUR)
    promo.count_spending(key.organisation_id)
    assert left() == [(1, 0, 2), (0, 0, 3)]
    assert_promo_ties(key)


def test_counting_twice_changes_nothing(key: Key) -> None:
    give(key, 3 * USD)
    spend(key, 1 * USD)
    promo.count_spending(key.organisation_id)
    postings = Posting.objects.count()
    promo.count_spending(key.organisation_id)
    assert Posting.objects.count() == postings
    assert_promo_ties(key)


def expire(grant: PromoGrant, at: dt.datetime) -> None:
    PromoGrant.objects.filter(id=grant.id).update(expires_at=at)


def test_expiry_is_a_posting_and_is_told(key: Key) -> None:
    grant = give(key, 3 * USD, clock.now() + HOUR)
    spend(key, 1 * USD)
    expire(grant, clock.now())
    assert promo.count_all_spending(expired_only=True) == 1
    assert left() == [(1, 2, 0)]
    assert balance(key.organisation).available_nano == 10 * USD
    lapse = Posting.objects.get(kind="lapse")
    assert lapse.idempotency_id == f"lapse:{grant.id}:0"
    assert Fact.objects.get(kind="promo.expired").body["amount"] == "2.00"
    assert promo.count_all_spending(expired_only=True) == 0
    assert_promo_ties(key)


def test_requests_admitted_before_the_expiry_may_still_use_it(key: Key) -> None:
    grant = give(key, 3 * USD, clock.now() + HOUR)
    edge = clock.now()
    running = admit(key, edge - HOUR, hold_nano=2 * USD)
    expire(grant, edge)
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 1, 2)]
    spend(key, 1 * USD, edge + HOUR)  # admitted after it: cash
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 1, 2)]
    end(running, 1 * USD)
    promo.count_spending(key.organisation_id)
    assert left() == [(1, 2, 0)]
    assert balance(key.organisation) == (9 * USD, 0, 0)
    assert_promo_ties(key)


def test_a_large_hold_at_the_expiry_keeps_nothing(key: Key) -> None:
    grant = give(key, 3 * USD, clock.now() + HOUR)
    edge = clock.now()
    parked = admit(key, edge - HOUR, hold_nano=13 * USD)
    expire(grant, edge)
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 0, 3)]
    end(parked, 0)
    promo.count_spending(key.organisation_id)
    assert left() == [(0, 3, 0)]
    assert balance(key.organisation).available_nano == 10 * USD
    assert_promo_ties(key)


def test_released_holds_pay_debt_but_promo_does_not(key: Key) -> None:
    give(key, 1 * USD)
    running = admit(key, clock.now(), hold_nano=8 * USD)
    with transaction.atomic():
        post(dispute("stripe", "du_1", 6 * USD, lock_wallet(key.organisation_id)))
    assert balance(key.organisation) == (0, 8 * USD, 3 * USD)
    assert repay_debts(10) == 0
    end(running, 5 * USD)
    assert balance(key.organisation).available_nano == 3 * USD
    # 1 of the 5 was promo, so all 3 that came back are money.
    assert repay_debts(10) == 1
    assert balance(key.organisation) == (0, 0, 0)
    assert_promo_ties(key)


def test_expiry_in_debt_moves_nothing_until_there_is_money(key: Key) -> None:
    """What was taken beyond the balance took no more than money: promo stands inside what is
    available, and goes back out of what comes in, to the nano."""
    grant = give(key, 3 * USD, clock.now() + HOUR)
    owner = key.organisation_id
    with transaction.atomic():
        post(dispute("stripe", "du_1", 20 * USD, lock_wallet(owner)))
    assert balance(owner) == (0, 0, 7 * USD)
    expire(grant, clock.now())
    promo.count_spending(owner)
    assert (left(), balance(owner)) == ([(0, 0, 3)], (0, 0, 7 * USD))
    assert_promo_ties(key)
    with transaction.atomic():
        post(top_up("stripe", "pi_1", 9 * USD, lock_wallet(owner)))
    assert balance(owner) == (2 * USD, 0, 0)
    promo.count_spending(owner)
    assert (left(), balance(owner)) == ([(0, 2, 1)], (0, 0, 0))
    with transaction.atomic():
        post(top_up("stripe", "pi_2", 9 * USD, lock_wallet(owner)))
    promo.count_spending(owner)
    # 10 at first, 20 taken back, 18 paid: the gift of 3 came and went.
    assert (left(), balance(owner)) == ([(0, 3, 0)], (8 * USD, 0, 0))
    assert not Posting.objects.filter(kind="consume").exists()
    assert_promo_ties(key)


def test_payer_of_a_charge_is_reported_once_counted(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = key.organisation_id
    before = charge(key, USD)
    assert promo.paid_by(owner, before) == Payers(0, 0, USD)
    give(key, 5 * USD)
    first, second, third = (charge(key, nano * USD) for nano in (2, 4, 1))
    # The smallest charge there is waits like any other.
    least = charge(key, 1)
    assert promo.paid_by(owner, first) is promo.paid_by(owner, least) is None
    promo.count_spending(owner)
    assert promo.paid_by(owner, before) == Payers(0, 0, USD)
    assert promo.paid_by(owner, first) == Payers(0, 2 * USD, 0)
    assert promo.paid_by(owner, second) == Payers(0, 3 * USD, USD)
    assert promo.paid_by(owner, first | third) == Payers(0, 2 * USD, USD)
    assert promo.paid_by(owner, least) == Payers(0, 0, 1)
    # What included units paid is of no grant.
    units = f"SELECT {USD}::bigint"
    with monkeypatch.context() as included:
        included.setattr(promo, "paid_by_included", lambda organisation, attempt: (units, {}))
        assert promo.paid_by(owner, first) == Payers(USD, USD, 0)
    # Nothing is left that could pay: nobody waits for a count.
    later = charge(key, USD)
    assert promo.paid_by(owner, later) == Payers(0, 0, USD)
    give(key, 3 * USD)
    assert promo.paid_by(owner, later) == Payers(0, 0, USD)
    last = charge(key, USD)
    promo.count_spending(owner)
    promo.count_spending(owner)
    assert promo.paid_by(owner, last) == Payers(0, USD, 0)
    assert SpendingCount.objects.filter(organisation=owner).count() == 2
