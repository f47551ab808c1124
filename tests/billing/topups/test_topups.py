"""I21, P4: a payment credits once and only if true; refunds, chargebacks, any order, any time."""

import copy
import itertools
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from accounts.access.actors import Actor
from accounts.models import AuditEvent, Organisation, Role, User
from billing.approvals.approvals import decide
from billing.balances.balances import balance
from billing.models import Account, Posting, ProcessorEvent, Safeguard, TopUp, WalletSetting
from billing.topups import topups
from billing.topups.processors.processor import ProcessorUnavailable
from billing.topups.rules import PaymentEvent
from billing.topups.topups import TopUpRefused
from lib.refusal import Refused
from outbox.models import Fact
from tests.billing.failing import fail_each_statement
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.support.approving import approve, reject, waiting_approval
from tests.support.books import assert_books_balance
from usage.books.invariants import broken_invariants

USD = 10**9
CENT = 10**7
Json = dict[str, Any]


def ordered(alice: Actor, usd: int = 25, **over: Any) -> TopUp:
    assert alice.organisation is not None
    top_up = topups.order_top_up(
        alice, alice.organisation, usd * USD, **{"processor": "stripe", **over}
    )
    return topups.open_checkout(top_up)


def tell(bank: FakeProcessor, event: Json, **over: Any) -> tuple[int, str]:
    headers, body = bank.signed(event, **over)
    return send(headers, body)


def send(headers: dict[str, str], body: bytes) -> tuple[int, str]:
    answer = Client().post(
        "/processors/stripe/events", body, content_type="application/json", headers=headers
    )
    return answer.status_code, answer.content.decode().strip()


def paid(bank: FakeProcessor, top_up: TopUp) -> TopUp:
    assert tell(bank, bank.pay(top_up.checkout_id)) == (200, "applied")
    return TopUp.objects.get(id=top_up.id)


def balance_of(alice: Actor) -> tuple[int, int]:
    """(available, owed) in whole USD."""
    assert alice.organisation is not None
    result = balance(alice.organisation)
    return result.available_nano // USD, result.debt_nano // USD


def test_a_payment_is_credited_on_the_processors_word(bank: FakeProcessor, alice: Actor) -> None:
    top_up = ordered(alice)
    assert top_up.checkout_url.startswith(bank.url)
    assert balance_of(alice) == (0, 0)
    top_up = paid(bank, top_up)
    assert (top_up.state, balance_of(alice)) == ("paid", (25, 0))
    assert bank.taken_minor == 2500
    assert Fact.objects.get(kind="topup.paid").body["available"] == "25.00"
    posting = Posting.objects.get(kind="topup")
    assert posting.idempotency_id == f"pay:stripe:{top_up.payment_id}"
    event = AuditEvent.objects.get(action="payment.paid")
    assert (event.organisation, event.detail["amount"]) == (alice.organisation, "25.00")
    assert_books_balance()


def test_the_same_order_has_one_checkout(bank: FakeProcessor, alice: Actor) -> None:
    top_up = ordered(alice)
    TopUp.objects.filter(id=top_up.id).update(checkout_id="", checkout_url="")
    again = topups.open_checkout(TopUp.objects.get(id=top_up.id))
    assert again.checkout_id == top_up.checkout_id
    assert len(bank.sessions) == 1


def test_unavailable_processor_leaves_the_order_open(bank: FakeProcessor, alice: Actor) -> None:
    bank.down = True
    assert alice.organisation is not None
    top_up = topups.order_top_up(alice, alice.organisation, 25 * USD, processor="stripe")
    with pytest.raises(ProcessorUnavailable):
        topups.open_checkout(top_up)
    bank.down = False
    assert topups.open_checkout(top_up).checkout_id


def test_slow_payment_is_credited_on_arrival(bank: FakeProcessor, alice: Actor) -> None:
    top_up = ordered(alice)
    assert tell(bank, bank.pay(top_up.checkout_id, paid=False)) == (200, "applied")
    assert TopUp.objects.get().state == "pending"
    assert balance_of(alice) == (0, 0)
    session = {**bank.sessions[top_up.checkout_id], "payment_status": "paid"}
    assert tell(bank, bank.event("checkout.session.async_payment_succeeded", session))[0] == 200
    assert (TopUp.objects.get().state, balance_of(alice)) == ("paid", (25, 0))


def test_failed_or_expired_payment_is_final_and_moves_nothing(
    bank: FakeProcessor, alice: Actor
) -> None:
    failed, expired = ordered(alice), ordered(alice)
    bank.pay(failed.checkout_id, paid=False)
    session = bank.sessions[failed.checkout_id]
    tell(bank, bank.event("checkout.session.async_payment_failed", session))
    tell(bank, bank.expire(expired.checkout_id))
    assert [TopUp.objects.get(id=one.id).state for one in (failed, expired)] == [
        "failed",
        "expired",
    ]
    assert balance_of(alice) == (0, 0)
    assert Fact.objects.filter(kind="topup.failed").count() == 1
    done = paid(bank, ordered(alice))
    tell(bank, bank.expire(done.checkout_id))
    assert TopUp.objects.get(id=done.id).state == "paid"


def test_payment_reported_fifty_times_and_late_is_one_credit(
    bank: FakeProcessor, alice: Actor
) -> None:
    event = bank.pay(ordered(alice).checkout_id)
    event["created"] -= 72 * 3600
    for _ in range(50):
        assert tell(bank, event) == (200, "applied")
    # Another event of the same payment is the same payment.
    assert tell(bank, {**event, "id": "evt_other"}) == (200, "applied")
    assert balance_of(alice) == (25, 0)
    assert Posting.objects.filter(kind="topup").count() == 1
    assert Fact.objects.filter(kind="topup.paid").count() == 1
    assert_books_balance()


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_events_are_one_credit(bank: FakeProcessor, people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    event = bank.pay(ordered(alice).checkout_id)
    gate, running = threading.Barrier(50), threading.Semaphore(8)
    answers: list[tuple[int, str]] = []

    def one() -> None:
        gate.wait()
        with running:
            try:
                answers.append(tell(bank, event))
            finally:
                connection.close()

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(200, "applied")] * 50
    assert balance_of(alice) == (25, 0)
    assert Posting.objects.filter(kind="topup").count() == 1
    assert ProcessorEvent.objects.count() == 1
    assert_books_balance()


# Forgeries --------------------------------------------------------------------------------------


def changed(event: Json, **over: Any) -> Json:
    forged = copy.deepcopy(event)
    forged["id"] = "evt_forged"
    for path, value in over.items():
        target = forged["data"]["object"] if path.startswith("object__") else forged
        name = path.removeprefix("object__")
        if name.startswith("metadata__"):
            target, name = target["metadata"], name.removeprefix("metadata__")
        target[name] = value
    return forged


FORGERIES: dict[str, Callable[[FakeProcessor, Json, TopUp], tuple[dict[str, str], bytes]]] = {
    "unsigned": lambda b, e, t: ({}, b.signed(e)[1]),
    "signed with nothing": lambda b, e, t: ({"stripe-signature": ""}, b.signed(e)[1]),
    "signed by another secret": lambda b, e, t: b.signed(e, secret="whsec_other"),
    "signed by the empty secret": lambda b, e, t: b.signed(e, secret=""),
    "signed by a space": lambda b, e, t: b.signed(e, secret=" "),
    "signed an hour ago": lambda b, e, t: b.signed(e, age_s=3600),
    "signed for the next hour": lambda b, e, t: b.signed(e, age_s=-3600),
    "an amount told twice": lambda b, e, t: b.signed_text(
        json.dumps(e).replace('"amount_total":', '"amount_total": 1, "amount_total":')
    ),
    "the body changed after it was signed": lambda b, e, t: (
        b.signed(e)[0],
        b.signed(e)[1].replace(b'"amount_total": 2500', b'"amount_total": 9900'),
    ),
    "the scheme v0": lambda b, e, t: (
        {"stripe-signature": b.signed(e)[0]["stripe-signature"].replace("v1=", "v0=")},
        b.signed(e)[1],
    ),
    "the signature of another body": lambda b, e, t: (b.signed({"x": 1})[0], b.signed(e)[1]),
    "no time": lambda b, e, t: (
        {"stripe-signature": b.signed(e)[0]["stripe-signature"].split(",")[1]},
        b.signed(e)[1],
    ),
    "of a connected account": lambda b, e, t: b.signed(changed(e, account="acct_1")),
    "of the other mode": lambda b, e, t: b.signed(changed(e, livemode=True, object__livemode=True)),
    "of the other mode inside": lambda b, e, t: b.signed(
        changed(e, livemode=True, object__livemode=False)
    ),
    "a larger amount": lambda b, e, t: b.signed(changed(e, object__amount_total=250000)),
    "a smaller amount": lambda b, e, t: b.signed(changed(e, object__amount_total=1)),
    "no amount": lambda b, e, t: b.signed(changed(e, object__amount_total=None)),
    "a negative amount": lambda b, e, t: b.signed(changed(e, object__amount_total=-2500)),
    "an amount as text": lambda b, e, t: b.signed(changed(e, object__amount_total="2500")),
    "a fraction": lambda b, e, t: b.signed(changed(e, object__amount_total=2500.0)),
    "another currency": lambda b, e, t: b.signed(changed(e, object__currency="jpy")),
    "another owner": lambda b, e, t: b.signed(
        changed(e, object__metadata__weir_organisation="01JCX5T9G7Q2M8K4N6P3R1S0TV")
    ),
    "no owner": lambda b, e, t: b.signed(changed(e, object__metadata__weir_organisation="")),
    "another top-up": lambda b, e, t: b.signed(
        changed(
            e,
            object__metadata__weir_top_up="01JCX5T9G7Q2M8K4N6P3R1S0TV",
            object__client_reference_id="01JCX5T9G7Q2M8K4N6P3R1S0TV",
        )
    ),
    "two orders": lambda b, e, t: b.signed(changed(e, object__client_reference_id="other")),
    "another checkout": lambda b, e, t: b.signed(changed(e, object__id="cs_test_other")),
    "no payment": lambda b, e, t: b.signed(changed(e, object__payment_intent=None)),
    "not paid": lambda b, e, t: b.signed(changed(e, object__payment_status="unpaid")),
    "a kind that is none": lambda b, e, t: b.signed(changed(e, type="checkout.session.paid")),
    "a payment of nobody's order": lambda b, e, t: b.signed(
        b.event("payment_intent.succeeded", next(iter(b.payments.values())))
    ),
    "no json": lambda b, e, t: (b.signed(e)[0], b"{"),
    "a list": lambda b, e, t: b.signed([]),  # type: ignore[arg-type]
    "nothing": lambda b, e, t: ({}, b""),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_credit_nothing(bank: FakeProcessor, alice: Actor, name: str) -> None:
    top_up = ordered(alice)
    event = bank.pay(top_up.checkout_id)
    status, _ = send(*FORGERIES[name](bank, event, top_up))
    assert status in (200, 400)
    assert balance_of(alice) == (0, 0)
    assert not Posting.objects.filter(kind="topup").exists()
    assert TopUp.objects.get().state in ("ordered", "pending")
    # And the true event is credited afterwards all the same.
    assert tell(bank, event) == (200, "applied")
    assert balance_of(alice) == (25, 0)
    assert_books_balance()


@pytest.mark.parametrize("secret", ["", " ", None])
def test_event_without_our_secret_is_not_believed(
    bank: FakeProcessor, alice: Actor, settings: LazySettings, secret: str | None
) -> None:
    """Whoever signs with nothing would be believed by a server that has nothing."""
    top_up = ordered(alice)
    event = bank.pay(top_up.checkout_id)
    settings.STRIPE_WEBHOOK_SECRET = secret
    for signed_by in ("", " ", "None"):
        assert tell(bank, event, secret=signed_by)[0] == 400
    assert send(*FORGERIES["unsigned"](bank, event, top_up))[0] == 400
    assert balance_of(alice) == (0, 0)
    assert not ProcessorEvent.objects.exists()


def test_a_second_payment_of_an_order_waits_for_its_refund(
    bank: FakeProcessor, alice: Actor
) -> None:
    """I24: money that no order explains stands on the clearing account; operators hear of it."""
    top_up = ordered(alice)
    event = bank.pay(top_up.checkout_id)
    tell(bank, event)
    double = changed(event, object__payment_intent="pi_double")
    assert tell(bank, double) == (200, "refused")
    assert balance_of(alice) == (25, 0)
    clearing = Account.objects.get(kind="processor:clearing:stripe")
    assert clearing.balance_nano == 25 * USD
    assert_books_balance()  # for a day it may stand there
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_posting DISABLE TRIGGER USER")
        cursor.execute("UPDATE billing_posting SET created_at = now() - interval '25 hours'")
        broken = broken_invariants(cursor)
        cursor.execute("ALTER TABLE billing_posting ENABLE TRIGGER USER")
    assert [name for name in broken if name.startswith("I24")]
    assert Fact.objects.get(kind="payment.unmatched").organisation_id is None
    bank.payments["pi_double"] = {**next(iter(bank.payments.values())), "id": "pi_double"}
    assert tell(bank, bank.refund("pi_double", 2500)) == (200, "applied")
    clearing.refresh_from_db()
    assert clearing.balance_nano == 0
    assert_books_balance()


# Refunds and disputes ---------------------------------------------------------------------------


def test_refunds_are_sums_in_any_order(bank: FakeProcessor, alice: Actor) -> None:
    top_up = paid(bank, ordered(alice))
    small, large = bank.refund(top_up.payment_id, 500), bank.refund(top_up.payment_id, 1500)
    for event in (large, small, large, small):
        assert tell(bank, event) == (200, "applied")
    assert balance_of(alice) == (10, 0)
    assert TopUp.objects.get().refunded_nano == 15 * USD
    assert tell(bank, bank.refund(top_up.payment_id, 2501)) == (200, "refused")
    assert balance_of(alice) == (10, 0)
    assert_books_balance()


def test_returned_refund_is_reported_once_and_moves_nothing(
    bank: FakeProcessor, alice: Actor
) -> None:
    """By either of two events of one refund, before or after what it is about."""
    top_up = paid(bank, ordered(alice))
    refund = bank.refund(top_up.payment_id, 500)
    back = {
        "id": "re_1", "object": "refund", "amount": 500, "currency": "usd", "status": "failed",
        "payment_intent": top_up.payment_id, "metadata": {},
    }  # fmt: skip
    for number, kind in enumerate(("refund.failed", "charge.refund.updated", "refund.failed")):
        event = {**refund, "id": f"evt_back_{number}", "type": kind, "data": {"object": back}}
        assert tell(bank, event) == (200, "applied")
    assert tell(bank, refund) == (200, "applied")
    succeeded = {**refund, "id": "evt_good", "type": "charge.refund.updated",
                 "data": {"object": {**back, "id": "re_2", "status": "succeeded"}}}  # fmt: skip
    assert tell(bank, succeeded)[0] == 200
    assert balance_of(alice) == (20, 0)
    fact = Fact.objects.get(kind="refund.failed")
    assert (fact.body["refund"], fact.body["amount"]) == ("re_1", "5.00")
    assert_books_balance()


def spend(alice: Actor, usd: int) -> None:
    from billing.ledger.ledger import post
    from billing.ledger.posting import Entry
    from billing.ledger.posting import Posting as Draft

    assert alice.organisation is not None
    owner = alice.organisation.id
    lines = (
        Entry("customer:available", owner, -usd * USD),
        Entry("equity:adjustment", owner, usd * USD),
    )
    post(Draft(f"test:{usd}", "adjust", lines))


def test_chargeback_of_spent_money_is_debt_paid_by_a_top_up(
    bank: FakeProcessor, alice: Actor
) -> None:
    top_up = paid(bank, ordered(alice))
    spend(alice, 20)
    assert tell(bank, bank.dispute(top_up.payment_id, 2500)) == (200, "applied")
    assert tell(bank, bank.dispute(top_up.payment_id, 2500)) == (200, "applied")
    assert balance_of(alice) == (0, 20)
    assert TopUp.objects.get().disputed_nano == 25 * USD
    assert Fact.objects.filter(kind="topup.disputed").count() == 1
    paid(bank, ordered(alice, 30))
    assert balance_of(alice) == (10, 0)
    assert tell(bank, bank.reinstate(top_up.payment_id, 2500)) == (200, "applied")
    assert tell(bank, bank.reinstate(top_up.payment_id, 2500)) == (200, "applied")
    assert balance_of(alice) == (35, 0)
    assert TopUp.objects.get(id=top_up.id).disputed_nano == 0
    assert_books_balance()


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_every_order_of_events_ends_the_same(bank: FakeProcessor, alice: Actor, every: int) -> None:
    """A third of the 24 orders, each kind of event first and last; all in the slow lane."""
    ends = set()
    for order in list(itertools.permutations(range(4)))[::every]:
        top_up = ordered(alice)
        event = bank.pay(top_up.checkout_id)
        payment = event["data"]["object"]["payment_intent"]
        dispute_id = f"du_{top_up.id.hex}"
        events = [
            event,
            bank.refund(payment, 1000),
            bank.dispute(payment, 1500, dispute_id),
            bank.reinstate(payment, 1500, dispute_id),
        ]
        before = balance_of(alice)
        for n in order:
            assert tell(bank, events[n])[0] == 200
        after = balance_of(alice)
        done = TopUp.objects.get(id=top_up.id)
        ends.add((after[0] - before[0], after[1], done.refunded_nano // USD, done.disputed_nano))
    assert ends == {(15, 0, 10, 0)}
    assert not ProcessorEvent.objects.exclude(verdict="applied").exists()
    assert_books_balance()


@pytest.mark.django_db(transaction=True)
def test_refund_arriving_with_its_payment_is_applied(
    bank: FakeProcessor, people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told while the payment is being credited: it finds no order, nor is it found."""
    alice = cast.actor(people.alice, people.acme)
    event = bank.pay(ordered(alice).checkout_id)
    refund = bank.refund(event["data"]["object"]["payment_intent"], 1000)
    kept = topups._record_event

    def crediting() -> None:
        try:
            assert tell(bank, event) == (200, "applied")
        finally:
            connection.close()

    paying = threading.Thread(target=crediting)

    def kept_late(payment_event: PaymentEvent, top_up: TopUp | None) -> tuple[ProcessorEvent, bool]:
        if payment_event.kind == "refunded" and top_up is None:
            paying.start()
            while paying.is_alive() and not Posting.objects.filter(kind="topup").exists():
                if waits_for_a_lock():
                    break
        return kept(payment_event, top_up)

    monkeypatch.setattr(topups, "_record_event", kept_late)
    tell(bank, refund)
    paying.join()
    assert (balance_of(alice), TopUp.objects.get().refunded_nano) == ((15, 0), 10 * USD)
    assert not ProcessorEvent.objects.exclude(verdict="applied").exists()
    assert_books_balance()


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_transfer_named_twice_in_parallel_pays_one_order(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I21: of two organisations, whose wallets keep nobody waiting for each other."""
    dora = cast.actor(people.dora)
    first = ordered(cast.actor(people.alice, people.acme), 50, processor="manual")
    second = ordered(cast.actor(people.charlie, people.stranger), 50, processor="manual")
    refused: list[TopUpRefused] = []

    def confirming() -> None:
        try:
            topups.confirm_transfer(dora, second, "BANK-1")
        except TopUpRefused as error:
            refused.append(error)
        finally:
            connection.close()

    beside = threading.Thread(target=confirming)
    confirmed_alone = topups._confirmed_alone_nano

    def late(user: User, organisation: Organisation) -> int:
        if organisation == people.acme:
            beside.start()
            while beside.is_alive() and not waits_for_a_lock():
                pass
        return confirmed_alone(user, organisation)

    monkeypatch.setattr(topups, "_confirmed_alone_nano", late)
    assert topups.confirm_transfer(dora, first, "BANK-1").state == "paid"
    beside.join()
    assert [error.field for error in refused] == ["document"]
    assert AuditEvent.objects.filter(action="topup.confirmed").count() == 1
    assert_books_balance()


# The n-th statement fails -----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_pay_is_all_or_nothing_whichever_statement_fails(
    bank: FakeProcessor, people: cast.Cast
) -> None:
    alice = cast.actor(people.alice, people.acme)
    top_up = ordered(alice, keep_card=True)
    headers, body = bank.signed(bank.pay(top_up.checkout_id))
    statements = fail_each_statement(lambda: topups.take_event("stripe", headers, body))
    assert statements > 15
    assert balance_of(alice) == (25, 0)
    assert WalletSetting.objects.get().customer_ref.startswith("cus_")
    assert_books_balance()


@pytest.mark.django_db(transaction=True)
def test_a_chargeback_is_all_or_nothing_too(bank: FakeProcessor, people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    top_up = paid(bank, ordered(alice))
    headers, body = bank.signed(bank.dispute(top_up.payment_id, 2500))
    assert fail_each_statement(lambda: topups.take_event("stripe", headers, body)) > 15
    assert balance_of(alice) == (0, 0)
    assert_books_balance()


# Transfers --------------------------------------------------------------------------------------


def test_operator_confirms_a_transfer_and_two_a_large_one(people: cast.Cast, alice: Actor) -> None:
    dora = cast.actor(people.dora)
    otto = cast.actor(cast.person("otto", operator=True))
    small, large = ordered(alice, 100, processor="manual"), ordered(alice, 101, processor="manual")
    assert topups.confirm_transfer(dora, small, "BANK-1").state == "paid"
    assert balance_of(alice) == (100, 0)
    assert topups.confirm_transfer(dora, large, "BANK-2").state == "pending"
    assert topups.confirm_transfer(dora, large, "BANK-2").state == "pending"
    with pytest.raises(Refused, match="Another operator"):
        approve(dora, topups.TOP_UP, large)
    assert balance_of(alice) == (100, 0)
    for other in ("BANK-1", "BANK-9"):
        with pytest.raises(TopUpRefused, match="used BANK-2"):
            topups.confirm_transfer(otto, large, other)
    third = ordered(alice, 5, processor="manual")
    with pytest.raises(TopUpRefused, match="Another top-up already uses"):
        topups.confirm_transfer(otto, third, "BANK-2")
    assert topups.confirm_transfer(otto, large, "BANK-2").state == "paid"
    assert balance_of(alice) == (201, 0)
    with pytest.raises(TopUpRefused):
        topups.confirm_transfer(otto, large, "BANK-3")
    assert AuditEvent.objects.filter(action="topup.confirmed").count() == 2
    assert_books_balance()


def test_a_transfer_is_approved_or_sent_back_in_the_one_list(
    people: cast.Cast, alice: Actor
) -> None:
    """A rejected confirmation leaves the order: the reference may have been wrong."""
    dora, otto = cast.actor(people.dora), cast.actor(cast.person("otto", operator=True))
    large = ordered(alice, 101, processor="manual")
    topups.confirm_transfer(dora, large, "BANK-1")
    assert reject(otto, topups.TOP_UP, large).state == "rejected"
    large.refresh_from_db()
    assert (large.state, large.payment_id) == ("ordered", "")
    topups.confirm_transfer(dora, large, "BANK-2")
    asked = waiting_approval(topups.TOP_UP, large)
    decide(otto, asked, approve=True)
    decide(otto, asked, approve=True)
    assert balance_of(alice) == (101, 0)
    cancelled = ordered(alice, 101, processor="manual")
    topups.confirm_transfer(dora, cancelled, "BANK-3")
    asked = waiting_approval(topups.TOP_UP, cancelled)
    topups.cancel_transfer(otto, cancelled, by_operator=True)
    with pytest.raises(Refused, match="already decided"):
        decide(otto, asked, approve=True)
    assert balance_of(alice) == (101, 0)
    assert_books_balance()


def test_missing_transfer_is_ended_by_its_buyer_or_an_operator(
    people: cast.Cast, alice: Actor
) -> None:
    dora, otto = cast.actor(people.dora), cast.actor(cast.person("otto", operator=True))
    own, wrong = ordered(alice, 50, processor="manual"), ordered(alice, 1250, processor="manual")
    assert topups.cancel_transfer(alice, own, by_operator=False).state == "cancelled"
    with pytest.raises(TopUpRefused):
        topups.confirm_transfer(dora, own, "BANK-1")
    with pytest.raises(TopUpRefused, match="Enter the bank's reference"):
        topups.confirm_transfer(dora, wrong, " \x00")
    topups.confirm_transfer(dora, wrong, "BANK-1")
    with pytest.raises(TopUpRefused, match="has already confirmed"):
        topups.cancel_transfer(alice, wrong, by_operator=False)
    topups.cancel_transfer(otto, wrong, by_operator=True)
    with pytest.raises(TopUpRefused):
        topups.cancel_transfer(otto, wrong, by_operator=True)
    assert Fact.objects.get(kind="topup.failed").body["amount"] == "1250.00"
    # The money came after all, for another order: its reference is free.
    again = ordered(alice, 50, processor="manual")
    assert topups.confirm_transfer(dora, again, "BANK-1").state == "paid"
    with pytest.raises(TopUpRefused):
        topups.cancel_transfer(otto, again, by_operator=True)
    assert balance_of(alice) == (50, 0)
    assert_books_balance()


def test_a_large_transfer_in_small_pieces_is_confirmed_by_two(
    people: cast.Cast, alice: Actor
) -> None:
    """What one operator confirms for one organisation within 24 hours counts together."""
    dora = cast.actor(people.dora)
    otto = cast.actor(cast.person("otto", operator=True))
    first, second, third = (ordered(alice, usd, processor="manual") for usd in (60, 40, 5))
    assert topups.confirm_transfer(dora, first, "BANK-1").state == "paid"
    assert topups.confirm_transfer(dora, second, "BANK-2").state == "paid"
    assert topups.confirm_transfer(dora, third, "BANK-3").state == "pending"
    assert topups.confirm_transfer(otto, third, "BANK-3").state == "paid"
    others = ordered(cast.actor(people.charlie, people.stranger), 5, processor="manual")
    assert topups.confirm_transfer(dora, others, "BANK-4").state == "paid"
    assert balance_of(alice) == (105, 0)
    assert_books_balance()


@pytest.mark.parametrize(
    ("nano", "is_taken"),
    [
        (5 * USD - CENT, False),
        (5 * USD, True),
        (10_000 * USD, True),
        (10_000 * USD + CENT, False),
    ],
)
def test_the_least_and_the_most_can_be_topped_up(nano: int, is_taken: bool) -> None:
    if is_taken:
        topups.check_amount(nano)
    else:
        with pytest.raises(TopUpRefused, match=r"from 5 to 10,000 USD"):
            topups.check_amount(nano)


@pytest.mark.parametrize(
    ("usd_nano", "over", "field"),
    [
        (4 * USD, {}, "amount"),
        (10_001 * USD, {}, "amount"),
        (25 * USD + 1, {}, "amount"),
        (25 * USD, {"processor": "paypal"}, "processor"),
        (25 * USD, {"processor": "manual", "keep_card": True}, "keep_card"),
    ],
)
def test_invalid_orders(
    bank: FakeProcessor, alice: Actor, usd_nano: int, over: Json, field: str
) -> None:
    assert alice.organisation is not None
    with pytest.raises(TopUpRefused) as refused:
        topups.order_top_up(alice, alice.organisation, usd_nano, **{"processor": "stripe", **over})
    assert refused.value.field == field


# Over the API -----------------------------------------------------------------------------------


def test_api_order_is_made_once_per_idempotency_key(bank: FakeProcessor, people: cast.Cast) -> None:
    from accounts.models import KeyKind

    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)

    def ask(body: Json) -> Any:
        return api.post(
            "/api/v1/top-ups",
            body,
            content_type="application/json",
            headers={"idempotency-key": "k"},
        )

    bank.down = True
    assert ask({"amount": "25.00"}).status_code == 503
    bank.down = False
    first, again = ask({"amount": "25.00"}), ask({"amount": "25.00"})
    assert (first.status_code, first.json()) == (201, again.json())
    assert first.json()["url"].startswith(bank.url)
    assert ask({"amount": "26.00"}).status_code == 422
    assert TopUp.objects.count() == len(bank.sessions) == 1
    paid(bank, TopUp.objects.get())
    body = api.get(f"/api/v1/top-ups/{first.json()['id']}").json()
    assert (body["state"], body["url"]) == ("paid", None)
    assert body["created_at"] == first.json()["created_at"]
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("role", "read", "write"),
    [(Role.OWNER, 200, 201), (Role.ADMIN, 200, 403), (Role.BILLING, 200, 201),
     (Role.DEVELOPER, 403, 403), (Role.VIEWER, 403, 403)],
)  # fmt: skip
def test_people_who_may_top_up(people: cast.Cast, role: Role, read: int, write: int) -> None:
    from accounts.models import KeyKind

    user = cast.member(people.acme, f"x{role.value}", role)
    _, text = cast.make_key(people.core, "m", user=user, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    assert api.get("/api/v1/top-ups").status_code == read
    body = {"amount": "25.00", "processor": "manual"}
    answer = api.post("/api/v1/top-ups", json.dumps(body), content_type="application/json")
    assert answer.status_code == write


def test_a_transfer_taken_back_counts_once_confirmed_alone(people: cast.Cast, alice: Actor) -> None:
    """Only what two operators approved is left out of what one confirms alone."""
    dora = cast.actor(people.dora)
    first, second, third = (ordered(alice, usd, processor="manual") for usd in (60, 60, 90))
    assert topups.confirm_transfer(dora, first, "BANK-1").state == "paid"
    assert topups.confirm_transfer(dora, second, "BANK-2").state == "pending"
    decide(dora, waiting_approval(topups.TOP_UP, second), approve=False)
    Safeguard.objects.create(name="credit_limit", organisation=people.acme, value=200 * USD)
    assert topups.confirm_transfer(dora, second, "BANK-2").state == "paid"
    assert topups.confirm_transfer(dora, third, "BANK-3").state == "pending"


def test_what_two_operators_approved_is_not_confirmed_alone(
    people: cast.Cast, alice: Actor
) -> None:
    """Whoever approved a large transfer as the second can still confirm another one alone."""
    dora, otto = cast.actor(people.dora), cast.actor(cast.person("otto", operator=True))
    large, small, more = (ordered(alice, usd, processor="manual") for usd in (150, 100, 5))
    assert topups.confirm_transfer(dora, large, "BANK-1").state == "pending"
    assert topups.confirm_transfer(otto, large, "BANK-1").state == "paid"
    assert topups.confirm_transfer(otto, small, "BANK-2").state == "paid"
    assert topups.confirm_transfer(otto, more, "BANK-3").state == "pending"
