"""Low balances are told once per crossing; the kept card fills the balance once, and stops."""

from typing import Any

import pytest
from django.db import transaction

from accounts.access.actors import Actor
from accounts.models import AuditEvent, Organisation
from billing.balances.balances import add_opening_credit, balance
from billing.credits import promo
from billing.holds.resolve_holds import HoldResolved, resolve_holds
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.funding import dispute
from billing.ledger.ledger import execute, lock_wallet, post
from billing.ledger.posting import Entry, Posting
from billing.limits.enforcement import HoldRequest
from billing.models import LedgerEntry, TopUp, TopUpState, WalletSetting
from billing.topups import automatic as automatic_topups
from billing.topups import topups
from billing.topups.automatic import AUTOMATIC_A_DAY
from billing.topups.topups import TopUpRefused
from billing.wallets import low_balance
from lib import clock
from lib.ids import new_id
from outbox.models import Fact
from tests.billing.test_guarded import asked, place
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.support.books import assert_books_balance

USD = 10**9


def move(people: cast.Cast, usd: int) -> None:
    lines = (
        Entry("customer:available", people.acme.id, usd * USD),
        Entry("equity:adjustment", people.acme.id, -usd * USD),
    )
    post(Posting(f"test:{new_id()}", "adjust", lines))


def count_facts() -> int:
    return Fact.objects.filter(kind="balance.low").count()


def test_a_low_balance_is_told_once_per_crossing(people: cast.Cast, alice: Actor) -> None:
    add_opening_credit(people.acme, 60 * USD)
    low_balance.set_low_balance(alice, people.acme, 50 * USD)
    assert low_balance.send_low_balance_alerts() == 0
    move(people, -11)
    assert [low_balance.send_low_balance_alerts() for _ in range(3)] == [1, 0, 0]
    move(people, -10)
    assert low_balance.send_low_balance_alerts() == 0
    move(people, 11)
    assert low_balance.send_low_balance_alerts() == 0
    move(people, -1)
    assert low_balance.send_low_balance_alerts() == 1
    assert count_facts() == 2
    body = Fact.objects.filter(kind="balance.low").latest("id").body
    assert (body["available"], body["threshold"]) == ("49.00", "50.00")
    low_balance.set_low_balance(alice, people.acme, None)
    assert low_balance.send_low_balance_alerts() == 0


def test_each_new_threshold_sends_its_own_alert(people: cast.Cast, alice: Actor) -> None:
    add_opening_credit(people.acme, 60 * USD)
    told = []
    # Raised, the same again, below the balance, and above it anew.
    for usd in (70, 80, 80, 50, 70):
        low_balance.set_low_balance(alice, people.acme, usd * USD)
        told.append([low_balance.send_low_balance_alerts() for _ in range(2)])
    assert told == [[1, 0], [1, 0], [0, 0], [0, 0], [1, 0]]
    thresholds = Fact.objects.filter(kind="balance.low").order_by("id")
    assert [fact.body["threshold"] for fact in thresholds] == ["70.00", "80.00", "70.00"]


def test_reserved_money_crosses_no_threshold(people: cast.Cast, alice: Actor) -> None:
    """Requests near the threshold send no alert each, only the one whose cost crosses it."""
    key, _ = cast.make_key(people.core, "ci", user=people.alice)
    add_opening_credit(people.acme, 60 * USD)
    execute(open_accounts([people.acme.id], WALLET_KINDS))
    low_balance.set_low_balance(alice, people.acme, 50 * USD)
    told = []
    for _ in range(4):
        hold = asked(key, 20 * USD)
        place(hold)
        told.append(low_balance.send_low_balance_alerts())
        end(hold, 4 * USD)
        told.append(low_balance.send_low_balance_alerts())
    assert balance(people.acme).available_nano == 44 * USD
    assert told == [0, 0, 0, 0, 0, 1, 0, 0]


def end(hold: HoldRequest, charge_nano: int) -> None:
    ended = HoldResolved(
        attempt_id=hold.attempt_id, posting_id=new_id(), organisation_id=hold.organisation_id,
        state="settled", charge_nano=charge_nano,
    )  # fmt: skip
    with transaction.atomic():
        execute(lock_accounts([hold.organisation_id]))
        execute(resolve_holds([ended]))


def test_wallet_without_movements_is_low(people: cast.Cast, alice: Actor) -> None:
    low_balance.set_low_balance(alice, people.acme, 1 * USD)
    assert low_balance.send_low_balance_alerts() == 1


def test_threshold_of_zero_is_not_crossed_by_nothing(people: cast.Cast, alice: Actor) -> None:
    low_balance.set_low_balance(alice, people.acme, 0)
    assert low_balance.send_low_balance_alerts() == 0
    add_opening_credit(people.acme, 60 * USD)
    move(people, -60)
    assert low_balance.send_low_balance_alerts() == 0


def test_balance_blocked_by_debt_is_not_available(people: cast.Cast, alice: Actor) -> None:
    """I12: a gift in debt stands on the balance, and pays for nothing."""
    with transaction.atomic():
        post(dispute("stripe", "du_1", 20 * USD, lock_wallet(people.acme.id)))
        promo.grant(people.acme, 5 * USD, "redeem:test", "redeem",
                    expires_at=None, actor="", cause={})  # fmt: skip
    low_balance.set_low_balance(alice, people.acme, 1 * USD)
    assert (balance(people.acme).available_nano, low_balance.send_low_balance_alerts()) == (
        5 * USD,
        1,
    )
    assert Fact.objects.get(kind="balance.low").body["available"] == "-15.00"


def kept_card(bank: FakeProcessor, alice: Actor) -> None:
    assert alice.organisation is not None
    top_up = topups.order_top_up(
        alice, alice.organisation, 25 * USD, processor="stripe", keep_card=True
    )
    top_up = topups.open_checkout(top_up)
    deliver(bank, bank.pay(top_up.checkout_id))


def deliver(bank: FakeProcessor, event: dict[str, Any]) -> Any:
    headers, body = bank.signed(event)
    return topups.take_event("stripe", headers, body)


def test_automatic_top_up_is_off_until_a_card_is_stored(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    on: dict[str, Any] = {"enabled": True, "below_nano": 30 * USD, "amount_nano": 50 * USD}
    with pytest.raises(TopUpRefused):
        automatic_topups.set_automatic(alice, people.acme, **on)
    kept_card(bank, alice)
    assert not WalletSetting.objects.get().auto_enabled
    assert automatic_topups.fill_balances() == 0
    for wrong in ({"below_nano": -1}, {"amount_nano": 1 * USD}, {"amount_nano": 50 * USD + 1}):
        with pytest.raises(TopUpRefused):
            automatic_topups.set_automatic(alice, people.acme, **{**on, **wrong})
    automatic_topups.set_automatic(alice, people.acme, **on)
    assert WalletSetting.objects.get().auto_enabled


def switched_on(people: cast.Cast, bank: FakeProcessor, alice: Actor) -> None:
    kept_card(bank, alice)
    automatic_topups.set_automatic(
        alice, people.acme, enabled=True, below_nano=30 * USD, amount_nano=50 * USD
    )


def test_the_balance_is_filled_once_by_the_kept_card(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    switched_on(people, bank, alice)
    assert [automatic_topups.fill_balances() for _ in range(3)] == [1, 0, 0]
    top_up = TopUp.objects.get(automatic=True)
    assert balance(people.acme).available_nano == 25 * USD  # on the event's word, not the answer's
    event = bank.event("payment_intent.succeeded", bank.payments[top_up.checkout_id])
    assert [deliver(bank, event) for _ in range(3)] == ["applied"] * 3
    assert balance(people.acme).available_nano == 75 * USD
    assert automatic_topups.fill_balances() == 0
    assert bank.taken_minor == 7500
    assert_books_balance()


def test_balance_at_the_threshold_is_filled_only_below_it(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    switched_on(people, bank, alice)
    for below_nano, charged in ((25 * USD, 0), (25 * USD + 1, 1)):
        automatic_topups.set_automatic(
            alice, people.acme, enabled=True, below_nano=below_nano, amount_nano=50 * USD
        )
        assert automatic_topups.fill_balances() == charged


def test_early_event_waits_for_the_answer(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    switched_on(people, bank, alice)
    automatic_topups.fill_balances()
    top_up = TopUp.objects.get(automatic=True)
    payment = top_up.checkout_id
    TopUp.objects.filter(id=top_up.id).update(checkout_id="")
    event = bank.event("payment_intent.succeeded", bank.payments[payment])
    assert deliver(bank, event) == "waiting"
    assert balance(people.acme).available_nano == 25 * USD
    assert (
        automatic_topups.fill_balances() == 1
    )  # asked again: the processor gives the same payment
    assert TopUp.objects.get(id=top_up.id).state == "paid"
    assert balance(people.acme).available_nano == 75 * USD
    assert bank.taken_minor == 7500
    assert_books_balance()


def test_declined_card_disables_it_with_a_notification(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    switched_on(people, bank, alice)
    bank.decline = "Your card has insufficient funds."
    assert automatic_topups.fill_balances() == 0
    assert not WalletSetting.objects.get().auto_enabled
    assert TopUp.objects.get(automatic=True).state == "failed"
    assert Fact.objects.get(kind="autotopup.stopped").body["reason"] == bank.decline
    assert automatic_topups.fill_balances() == 0


@pytest.mark.parametrize(
    ("what", "reason"), [("customer", "resource_missing"), ("card", "IdempotencyError")]
)
def test_card_that_stripe_refuses_for_good_disables_it_with_a_notification(
    people: cast.Cast, bank: FakeProcessor, alice: Actor, what: str, reason: str
) -> None:
    """The customer is of the test mode, or was deleted; another card was saved after a charge whose
    answer was lost."""
    switched_on(people, bank, alice)
    if what == "customer":
        bank.cards.clear()
    else:
        automatic_topups.fill_balances()
        TopUp.objects.filter(automatic=True).update(checkout_id="")
        bank.cards = dict.fromkeys(bank.cards, "pm_other")
    assert automatic_topups.fill_balances() == 0
    assert not WalletSetting.objects.get().auto_enabled
    assert TopUp.objects.get(automatic=True).state == "failed"
    stopped = Fact.objects.get(kind="autotopup.stopped")
    assert stopped.body["reason"] == f"Stripe refused the saved card ({reason})."
    asked = len(bank.requests)
    assert automatic_topups.fill_balances() == 0
    assert len(bank.requests) == asked


def test_missing_payment_method_disables_it_with_a_notification(
    people: cast.Cast, bank: FakeProcessor, alice: Actor, settings: Any
) -> None:
    switched_on(people, bank, alice)
    settings.STRIPE_SECRET_KEY = ""
    assert automatic_topups.fill_balances() == 0
    assert not WalletSetting.objects.get().auto_enabled
    reason = "This payment method is not available."
    assert Fact.objects.get(kind="autotopup.stopped").body["reason"] == reason
    assert not TopUp.objects.filter(automatic=True).exists()


def test_unavailable_processor_is_asked_again(
    people: cast.Cast, bank: FakeProcessor, alice: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    switched_on(people, bank, alice)
    bank.down = True
    assert automatic_topups.fill_balances() == 0
    assert "the saved card of acme was not charged" in caplog.text
    bank.down = False
    assert automatic_topups.fill_balances() == 1
    assert TopUp.objects.filter(automatic=True).count() == 1


def test_disabled_automatic_top_up_charges_no_pending_order(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    """The processor was down meanwhile. Was the card charged after all, operators hear of it."""
    switched_on(people, bank, alice)
    automatic_topups.fill_balances()
    payment = TopUp.objects.get(automatic=True).checkout_id
    TopUp.objects.filter(automatic=True).update(checkout_id="")  # its answer was lost
    automatic_topups.set_automatic(
        alice, people.acme, enabled=False, below_nano=30 * USD, amount_nano=50 * USD
    )
    taken_minor, asked = bank.taken_minor, len(bank.payments)
    assert automatic_topups.fill_balances() == 0
    assert TopUp.objects.get(automatic=True).state == "expired"
    assert (bank.taken_minor, len(bank.payments)) == (taken_minor, asked)
    event = bank.event("payment_intent.succeeded", bank.payments[payment])
    assert deliver(bank, event) == "refused"
    assert Fact.objects.filter(kind="payment.unmatched").count() == 1
    assert balance(people.acme).available_nano == 25 * USD
    assert_books_balance()


@pytest.mark.parametrize("state", ["archived_at", "suspended_at"])
def test_card_of_an_inactive_organisation_is_not_charged(
    people: cast.Cast, bank: FakeProcessor, alice: Actor, state: str
) -> None:
    """Neither for a balance that falls afterwards, nor for an order from before. Nobody is told
    that the balance is low."""
    switched_on(people, bank, alice)
    low_balance.set_low_balance(alice, people.acme, 50 * USD)
    bank.down = True
    automatic_topups.fill_balances()
    bank.down = False
    taken_minor = bank.taken_minor
    Organisation.objects.filter(id=people.acme.id).update(**{state: clock.now()})
    assert [automatic_topups.fill_balances() for _ in range(2)] == [0, 0]
    assert low_balance.send_low_balance_alerts() == 0
    assert TopUp.objects.get(automatic=True).state == "expired"
    assert bank.taken_minor == taken_minor
    # It works again as it did before.
    Organisation.objects.filter(id=people.acme.id).update(**{state: None})
    assert low_balance.send_low_balance_alerts() == 1
    assert automatic_topups.fill_balances() == 1


def test_answer_applies_a_refund_that_came_before_its_payment(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    """Its event names no order, so the tenant does not see it."""
    switched_on(people, bank, alice)
    automatic_topups.fill_balances()
    payment = TopUp.objects.get(automatic=True).checkout_id
    TopUp.objects.filter(automatic=True).update(checkout_id="")  # its answer was lost
    assert deliver(bank, bank.refund(payment, 5000)) == "waiting"
    event = bank.event("payment_intent.succeeded", bank.payments[payment])
    assert deliver(bank, event) == "waiting"
    assert automatic_topups.fill_balances() == 1
    assert balance(people.acme).available_nano == 25 * USD
    assert TopUp.objects.get(automatic=True).refunded_nano == 50 * USD
    assert_books_balance()


@pytest.mark.parametrize("ends", ["disabled", "declined"])
def test_ended_order_reports_an_early_event(
    people: cast.Cast, bank: FakeProcessor, alice: Actor, ends: str
) -> None:
    """The event came between the charge, whose answer was lost, and the end of the order."""
    switched_on(people, bank, alice)
    automatic_topups.fill_balances()
    payment = TopUp.objects.get(automatic=True).checkout_id
    TopUp.objects.filter(automatic=True).update(checkout_id="")  # its answer was lost
    event = bank.event("payment_intent.succeeded", bank.payments[payment])
    assert deliver(bank, event) == "waiting"
    if ends == "disabled":
        automatic_topups.set_automatic(
            alice, people.acme, enabled=False, below_nano=30 * USD, amount_nano=50 * USD
        )
    else:
        bank.cards = dict.fromkeys(bank.cards, "")
    assert automatic_topups.fill_balances() == 0
    assert (
        TopUp.objects.get(automatic=True).state
        == {
            "disabled": "expired",
            "declined": "failed",
        }[ends]
    )
    assert deliver(bank, event) == "refused"
    assert Fact.objects.filter(kind="payment.unmatched").count() == 1
    received = LedgerEntry.objects.filter(posting__kind="receive", amount_nano__gt=0)
    assert [entry.amount_nano for entry in received] == [50 * USD]  # I24
    assert balance(people.acme).available_nano == 25 * USD
    assert_books_balance()


def test_order_with_a_checkout_is_not_ended(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    """Another process charged it meanwhile."""
    switched_on(people, bank, alice)
    top_up = TopUp.objects.create(
        organisation=people.acme, processor="stripe", live=False, amount_nano=50 * USD,
        automatic=True,
    )  # fmt: skip
    automatic_topups._charge(top_up)
    topups.end_order(top_up, TopUpState.EXPIRED)
    assert TopUp.objects.get(automatic=True).state == "ordered"
    pay_automatic(bank)
    TopUp.objects.filter(automatic=True).update(checkout_id="")
    topups.end_order(top_up, TopUpState.EXPIRED)
    assert TopUp.objects.get(automatic=True).state == "paid"


def test_open_order_does_not_disable_automatic_top_ups(
    people: cast.Cast, bank: FakeProcessor, alice: Actor
) -> None:
    """The fifth of a day is paid some rounds after it was charged. Orders that charged nothing do
    not count."""
    switched_on(people, bank, alice)
    for _ in range(AUTOMATIC_A_DAY):
        TopUp.objects.create(
            organisation=people.acme, processor="stripe", live=False, amount_nano=50 * USD,
            automatic=True, state="expired",
        )  # fmt: skip
    for _ in range(AUTOMATIC_A_DAY):
        assert [automatic_topups.fill_balances() for _ in range(3)] == [1, 0, 0]
        assert WalletSetting.objects.get().auto_enabled
        pay_automatic(bank)
        move(people, -50)


def pay_automatic(bank: FakeProcessor) -> None:
    top_up = TopUp.objects.filter(automatic=True).latest("id")
    event = bank.event("payment_intent.succeeded", bank.payments[top_up.checkout_id])
    assert deliver(bank, event) == "applied"


def test_no_more_than_five_a_day(people: cast.Cast, bank: FakeProcessor, alice: Actor) -> None:
    switched_on(people, bank, alice)
    for _ in range(AUTOMATIC_A_DAY):
        automatic_topups.fill_balances()
        pay_automatic(bank)
        move(people, -50)
    assert automatic_topups.fill_balances() == 0
    assert not WalletSetting.objects.get().auto_enabled
    assert AuditEvent.objects.filter(action="wallet.automatic_stopped").count() == 1
    assert TopUp.objects.filter(automatic=True).count() == AUTOMATIC_A_DAY
