"""Corrections: a reason, two persons above a limit, an audit, and reversals that name the old."""

import datetime as dt

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction

from accounts.access.actors import SYSTEM, Actor
from accounts.models import AuditEvent
from billing.approvals.approvals import decide
from billing.balances.balances import add_opening_credit, balance
from billing.credits.credits import (
    CORRECTION,
    CreditRefused,
    request_credit,
    request_reversal,
)
from billing.models import Approval, Credit, CreditKind, Posting, PromoGrant
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from outbox.models import Fact
from tests.support import cast
from tests.support.approving import approve, reject, waiting_approval
from tests.support.books import assert_books_balance

USD = 10**9


@pytest.fixture
def otto(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("otto", operator=True))


def test_one_person_suffices_up_to_the_limit(people: cast.Cast, dora: Actor) -> None:
    credit = request_credit(dora, people.acme, 100 * USD, reason="Outage", document="INC-7")
    assert credit.state == "posted"
    assert balance(people.acme).available_nano == 100 * USD
    posting = Posting.objects.get(idempotency_id=f"adjust:{credit.id}")
    assert posting.actor == "dora@example.org"
    assert posting.cause == {"credit": id_text(credit.id), "reason": "Outage", "document": "INC-7"}
    event = AuditEvent.objects.get(action="credit.posted")
    assert (event.actor_user, event.organisation) == (people.dora, people.acme)
    assert event.reason == "Outage"
    assert Fact.objects.get(kind="credit.posted").body["amount"] == "100.00"
    assert_books_balance()


def test_second_person_approves_credits_above_the_limit(
    people: cast.Cast, dora: Actor, otto: Actor
) -> None:
    credit = request_credit(dora, people.acme, 100 * USD + 1, reason="Contract")
    assert credit.state == "waiting"
    assert balance(people.acme).available_nano == 0
    assert Fact.objects.get(kind="approval.asked").organisation_id is None
    approval = waiting_approval(CORRECTION, credit)
    with pytest.raises(Refused):
        decide(dora, approval, approve=True)
    assert decide(otto, approval, approve=True).state == "approved"
    assert balance(people.acme).available_nano == 100 * USD + 1
    decide(otto, approval, approve=True)
    assert balance(people.acme).available_nano == 100 * USD + 1
    assert_books_balance()


def test_database_requires_the_second_person(people: cast.Cast, dora: Actor) -> None:
    credit = request_credit(dora, people.acme, 200 * USD, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.filter(subject=credit.outer_id).update(
            state="approved", decided_by=people.dora
        )


def test_small_credits_count_together(people: cast.Cast, dora: Actor, otto: Actor) -> None:
    assert request_credit(dora, people.acme, 60 * USD, reason="a").state == "posted"
    assert request_credit(dora, people.acme, -30 * USD, reason="b").state == "posted"
    assert request_credit(dora, people.acme, 11 * USD, reason="c").state == "waiting"
    assert request_credit(dora, people.stranger, 100 * USD, reason="d").state == "posted"
    assert request_credit(otto, people.acme, 100 * USD, reason="e").state == "posted"
    approve(otto, CORRECTION, Credit.objects.get(state="waiting"))
    # What two persons decided does not count for one.
    assert request_credit(dora, people.acme, 10 * USD, reason="g").state == "posted"
    Credit.objects.update(asked_at=clock.now() - dt.timedelta(hours=25))
    assert request_credit(dora, people.acme, 100 * USD, reason="f").state == "posted"


def test_rejected_or_withdrawn_credit_moves_nothing(
    people: cast.Cast, dora: Actor, otto: Actor
) -> None:
    credits_ = [request_credit(dora, people.acme, 500 * USD, reason="x") for _ in range(2)]
    assert reject(otto, CORRECTION, credits_[0]).state == "rejected"
    assert reject(dora, CORRECTION, credits_[1]).state == "withdrawn"
    assert set(Credit.objects.values_list("state", flat=True)) == {"refused"}
    assert balance(people.acme).available_nano == 0
    assert not Posting.objects.exists()


def test_removed_money_that_is_missing_is_debt(people: cast.Cast, dora: Actor) -> None:
    add_opening_credit(people.acme, 5 * USD)
    request_credit(dora, people.acme, -8 * USD, reason="Paid twice by us")
    assert balance(people.acme) == (0, 0, 3 * USD)
    request_credit(dora, people.acme, 4 * USD, reason="Settled")
    assert balance(people.acme) == (1 * USD, 0, 0)
    assert_books_balance()


def test_reversal_is_a_new_posting_naming_the_old(people: cast.Cast, dora: Actor) -> None:
    credit = request_credit(dora, people.acme, 40 * USD, reason="Wrong customer")
    old = Posting.objects.get(idempotency_id=f"adjust:{credit.id}")
    undone = request_reversal(dora, old, reason="Undo")
    new = Posting.objects.get(idempotency_id=f"reverse:{old.id}")
    assert new.cause["reverses"] == id_text(old.id)
    assert balance(people.acme) == (0, 0, 0)
    with pytest.raises(CreditRefused, match=id_text(undone.id)):
        request_reversal(dora, old, reason="Again")
    with pytest.raises(CreditRefused):
        request_reversal(dora, new, reason="Back")
    assert_books_balance()


def test_a_reversal_above_the_limit_waits_too(people: cast.Cast, dora: Actor, otto: Actor) -> None:
    add_opening_credit(people.acme, 1_000 * USD)
    opening = Posting.objects.get(kind="opening")
    credit = request_reversal(dora, opening, reason="Never paid")
    assert credit.state == "waiting"
    with pytest.raises(CreditRefused, match=id_text(credit.id)) as again:
        request_reversal(otto, opening, reason="Me too")
    assert again.value.already_exists
    approve(otto, CORRECTION, credit)
    assert balance(people.acme).available_nano == 0
    assert_books_balance()


def test_rejected_reversal_may_be_requested_again(
    people: cast.Cast, dora: Actor, otto: Actor
) -> None:
    add_opening_credit(people.acme, 1_000 * USD)
    opening = Posting.objects.get(kind="opening")
    reject(otto, CORRECTION, request_reversal(dora, opening, reason="Never paid"))
    approve(otto, CORRECTION, request_reversal(dora, opening, reason="Really never"))
    assert balance(people.acme).available_nano == 0
    with pytest.raises(CreditRefused):
        request_reversal(dora, opening, reason="Once more")
    assert_books_balance()


def test_promo_by_hand_expires(people: cast.Cast, dora: Actor) -> None:
    until = clock.now() + dt.timedelta(days=30)
    credit = request_credit(
        dora, people.acme, 9 * USD, kind=CreditKind.PROMO, expires_at=until, reason="Welcome"
    )
    grant = PromoGrant.objects.get()
    assert (grant.remaining_nano, grant.expires_at) == (9 * USD, until)
    posting = Posting.objects.get(idempotency_id=f"adjust:{credit.id}")
    with pytest.raises(CreditRefused):
        request_reversal(dora, posting, reason="Undo")
    assert_books_balance()


@pytest.mark.parametrize(
    ("amount", "over", "field"),
    [
        (0, {}, "amount"),
        (1, {"reason": "  "}, "reason"),
        (-1, {"kind": CreditKind.PROMO}, "amount"),
        (1, {"expires_at": clock.now() + dt.timedelta(days=1)}, "expires_at"),
        (1, {"kind": CreditKind.PROMO, "expires_at": clock.now()}, "expires_at"),
    ],
)
def test_invalid_credits_are_rejected(
    people: cast.Cast, dora: Actor, amount: int, over: dict[str, object], field: str
) -> None:
    with pytest.raises(CreditRefused) as refused:
        request_credit(dora, people.acme, amount, **{"reason": "x", **over})  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not Credit.objects.exists()


def test_installation_itself_owes_nothing(people: cast.Cast) -> None:
    with pytest.raises(CreditRefused):
        request_credit(SYSTEM, people.acme, 1, reason="x")


def test_the_limit_is_a_setting(people: cast.Cast, dora: Actor, settings: LazySettings) -> None:
    settings.CREDIT_LIMIT_USD = "0"
    assert request_credit(dora, people.acme, 1, reason="x").state == "waiting"
