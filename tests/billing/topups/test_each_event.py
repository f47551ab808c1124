"""I21: each kind of event moves, notes and tells once, however often and by whatever event it is
told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, get_args

import pytest

from accounts.access.actors import SYSTEM, Actor
from accounts.models import AuditEvent
from billing.models import LedgerEntry, Posting, ProcessorEvent, TopUp
from billing.topups import topups
from billing.topups.processors.processor import EventInvalid
from billing.topups.processors.stripe import StripeProcessor, _check_stamp, _read
from billing.topups.rules import EventKind, PaymentEvent
from billing.topups.topups import TopUpRefused, apply_event
from lib import clock
from outbox.models import Fact
from tests.billing.topups.test_foreign_events import event_of
from tests.billing.topups.test_topups import balance_of, ordered, paid
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.support.books import assert_books_balance

KINDS: Final = get_args(EventKind)
# What each tells somebody, in the order of KINDS.
TOLD: Final[dict[str, str]] = {
    "paid": "topup.paid", "failed": "topup.failed", "refunded": "topup.refunded",
    "unrefunded": "refund.failed", "disputed": "topup.disputed",
}  # fmt: skip
MOVED: Final = ("paid", "refunded", "disputed", "reinstated")


def event_for(bank: FakeProcessor, alice: Actor, kind: EventKind) -> PaymentEvent:
    """A first event of a kind, of an order that it can be about."""
    top_up = ordered(alice)
    if kind in ("paid", "pending", "failed", "expired"):
        event = replace(event_of(top_up, kind, top_up.checkout_id), amount_minor=2500)
        return replace(event, payment_id="pi_1") if kind == "paid" else event
    top_up = paid(bank, top_up)
    if kind == "reinstated":
        apply_event(event_of(top_up, "disputed", "du_1"))
    return event_of(top_up, kind, "du_1")


def moved() -> tuple[object, ...]:
    """What events change, but for the trail."""
    return (
        list(TopUp.objects.order_by("id").values()),
        LedgerEntry.objects.count(),
        sorted(Fact.objects.values_list("kind", flat=True)),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_applied_noted_and_reported_once(
    bank: FakeProcessor, alice: Actor, kind: EventKind
) -> None:
    event = event_for(bank, alice, kind)
    noted = AuditEvent.objects.filter(action=f"payment.{kind}")
    before, postings = moved(), Posting.objects.count()
    facts = Fact.objects.count()
    noted_before = noted.count()

    assert apply_event(event) == "applied"
    after = moved()
    assert after != before
    assert Posting.objects.count() - postings == (kind in MOVED)
    assert Fact.objects.count() - facts == (kind in TOLD)
    if kind in TOLD:
        assert Fact.objects.filter(kind=TOLD[kind]).exists()
    assert noted.count() == noted_before + 1

    assert apply_event(event) == "applied"
    assert (moved(), noted.count()) == (after, noted_before + 1)

    assert apply_event(replace(event, event_id="evt_again")) == "applied"
    assert (moved(), noted.count()) == (after, noted_before + 2)
    assert_books_balance()


@pytest.mark.parametrize("kind", ["refunded", "unrefunded", "disputed", "reinstated"])
def test_pending_event_is_noted_when_applied(
    bank: FakeProcessor, alice: Actor, kind: EventKind
) -> None:
    top_up = ordered(alice)
    told = replace(event_of(top_up, kind, "du_1"), payment_id="pi_1")
    assert apply_event(told) == "waiting"
    assert not AuditEvent.objects.filter(action__startswith="payment.").exists()
    if kind == "reinstated":
        assert apply_event(replace(told, kind="disputed", event_id="evt_d")) == "waiting"
    paying = replace(
        told, kind="paid", event_id="evt_p", object_id=top_up.checkout_id, amount_minor=2500
    )
    assert apply_event(paying) == "applied"
    assert AuditEvent.objects.filter(action=f"payment.{kind}").count() == 1
    assert not ProcessorEvent.objects.exclude(verdict="applied").exists()
    assert_books_balance()


@pytest.mark.parametrize(
    ("over", "received"),
    [
        ({}, 1), ({"currency": "USD"}, 1), ({"currency": "jpy"}, 0), ({"live": True}, 0),
        ({"amount_minor": 0}, 0), ({"payment_id": ""}, 0),
    ],
)  # fmt: skip
def test_real_money_without_an_order_is_kept_separately(
    bank: FakeProcessor, alice: Actor, over: dict[str, Any], received: int
) -> None:
    """I24: of another owner's order, so that it is nobody's."""
    top_up = ordered(alice)
    event = replace(event_of(top_up, "paid", top_up.checkout_id), owner_id="", payment_id="pi_1")
    assert apply_event(replace(event, **over)) == "refused"
    assert Posting.objects.filter(kind="receive").count() == received
    assert Posting.objects.count() == received
    # Only its refund, and of the whole, gives it back.
    rest = {name: value for name, value in over.items() if name != "amount_minor"}
    foreign = replace(event, **rest)
    dispute = replace(foreign, kind="disputed", event_id="evt_dispute")
    part = replace(foreign, kind="refunded", event_id="evt_part", amount_minor=999)
    for told in (dispute, part):
        assert apply_event(told) == "waiting"
    assert Posting.objects.count() == received


@pytest.mark.parametrize(
    ("kind", "minor", "verdict"),
    [
        ("refunded", 2500, "applied"), ("refunded", 2501, "refused"),
        ("disputed", 0, "refused"), ("disputed", 1, "applied"),
        ("disputed", 2500, "applied"), ("disputed", 2501, "refused"),
    ],
)  # fmt: skip
def test_no_more_than_paid_is_taken_back(
    bank: FakeProcessor, alice: Actor, kind: EventKind, minor: int, verdict: str
) -> None:
    top_up = paid(bank, ordered(alice))
    assert apply_event(replace(event_of(top_up, kind, "du_1"), amount_minor=minor)) == verdict
    assert balance_of(alice)[0] == (25 if verdict == "refused" else (2500 - minor) // 100)
    assert_books_balance()


def test_order_is_opened_once_and_only_while_payable(
    bank: FakeProcessor, people: cast.Cast, alice: Actor
) -> None:
    opened = ordered(alice)
    asked = len(bank.requests)
    assert topups.open_checkout(opened).checkout_id == opened.checkout_id
    cancelled = topups.order_top_up(alice, people.acme, 25 * 10**9, processor="stripe")
    TopUp.objects.filter(id=cancelled.id).update(state="cancelled")
    assert topups.open_checkout(TopUp.objects.get(id=cancelled.id)).checkout_id == ""
    assert len(bank.requests) == asked


@pytest.mark.parametrize("processor", ["manual", "stripe"])
@pytest.mark.parametrize("state", ["ordered", "pending", "paid", "failed", "expired", "cancelled"])
def test_only_a_transfer_that_is_open_is_confirmed_or_cancelled(
    bank: FakeProcessor, people: cast.Cast, alice: Actor, processor: str, state: str
) -> None:
    first, second = (ordered(alice, 50, processor=processor) for _ in range(2))
    TopUp.objects.update(state=state)
    dora = cast.actor(people.dora)
    steps: tuple[Callable[[], TopUp], ...] = (
        lambda: topups.confirm_transfer(dora, first, "BANK-1"),
        lambda: topups.cancel_transfer(alice, second, by_operator=False),
    )
    for step, ends in zip(steps, ("paid", "cancelled"), strict=True):
        if processor == "manual" and state in ("ordered", "pending"):
            assert step().state == ends
        else:
            with pytest.raises(TopUpRefused, match="There is no transfer"):
                step()


def test_only_a_person_confirms_a_transfer(alice: Actor) -> None:
    with pytest.raises(TopUpRefused, match="Only a person"):
        topups.confirm_transfer(SYSTEM, ordered(alice, 50, processor="manual"), "BANK-1")
    assert balance_of(alice) == (0, 0)


# What Stripe says -------------------------------------------------------------------------------

THING: Final[dict[str, Any]] = {
    "id": "x_1", "payment_intent": "pi_1", "currency": "usd", "payment_status": "paid",
    "client_reference_id": "order", "amount_total": 1, "amount_received": 2, "amount": 3,
    "amount_refunded": 4, "status": "failed", "customer": "cus_1",
    "metadata": {"weir_top_up": "order", "weir_organisation": "o", "weir_automatic": "1"},
}  # fmt: skip
READ: Final = {
    "checkout.session.completed": ("paid", "x_1", "pi_1", 1, "cus_1"),
    "checkout.session.async_payment_succeeded": ("paid", "x_1", "pi_1", 1, "cus_1"),
    "checkout.session.async_payment_failed": ("failed", "x_1", "pi_1", 1, "cus_1"),
    "checkout.session.expired": ("expired", "x_1", "pi_1", 1, "cus_1"),
    "payment_intent.succeeded": ("paid", "x_1", "x_1", 2, ""),
    "payment_intent.payment_failed": ("failed", "x_1", "x_1", 3, ""),
    "charge.refunded": ("refunded", "x_1", "pi_1", 4, ""),
    "refund.failed": ("unrefunded", "x_1", "pi_1", 3, ""),
    "charge.refund.updated": ("unrefunded", "x_1", "pi_1", 3, ""),
    "charge.dispute.funds_withdrawn": ("disputed", "x_1", "pi_1", 3, ""),
    "charge.dispute.funds_reinstated": ("reinstated", "x_1", "pi_1", 3, ""),
}


def read(type_: str, **over: Any) -> PaymentEvent | None:
    thing = {**THING, **over}
    return _read({"id": "evt_1", "type": type_, "livemode": False, "data": {"object": thing}})


@pytest.mark.parametrize("type_", READ)
def test_each_type_is_read(type_: str) -> None:
    event = read(type_)
    assert event is not None
    assert READ[type_] == (
        event.kind, event.object_id, event.payment_id, event.amount_minor, event.customer,
    )  # fmt: skip
    assert (event.order_id, event.owner_id, event.live) == ("order", "o", False)


def test_features_of_some_events_only() -> None:
    waiting = read("checkout.session.completed", payment_status="unpaid")
    assert waiting is not None
    assert waiting.kind == "pending"
    assert read("refund.failed", status="succeeded") is None
    assert (back := read("refund.failed", status="canceled")) is not None
    assert back.kind == "unrefunded"
    foreign = {**THING["metadata"], "weir_automatic": ""}
    assert read("payment_intent.succeeded", metadata=foreign) is None
    assert read("customer.created") is None
    nothing = read("checkout.session.expired", payment_intent=None, customer=None)
    assert nothing is not None
    assert (nothing.payment_id, nothing.customer) == ("", "")
    unnamed = read("charge.refunded", metadata=None)
    assert unnamed is not None
    assert (unnamed.order_id, unnamed.owner_id) == ("", "")


@pytest.mark.parametrize(("ahead_s", "taken"), [(300, True), (301, False)])
def test_future_signature_is_rejected(
    monkeypatch: pytest.MonkeyPatch, ahead_s: int, taken: bool
) -> None:
    now = clock.now().replace(microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: now)
    signature = f"t={int(now.timestamp()) + ahead_s},v1=0"
    if taken:
        _check_stamp(signature)
    else:
        with pytest.raises(EventInvalid, match="to come"):
            _check_stamp(signature)


@pytest.mark.parametrize(
    ("key", "live"),
    [("sk_live_1", True), ("rk_live_1", True), ("sk_test_1", False), (None, False)],
)
def test_key_determines_the_mode(settings: Any, key: str | None, live: bool) -> None:
    settings.STRIPE_SECRET_KEY = key
    assert StripeProcessor().live is live


@pytest.mark.parametrize(
    ("kind", "minors", "stated"),
    [
        # A processor reports refunds as their sum.
        ("refunded", (703, 2010), ["7.03", "13.07"]),
        ("unrefunded", (703, 1307), ["7.03", "13.07"]),
        ("disputed", (703, 1307), ["7.03", "13.07"]),
    ],
)
def test_each_event_states_its_own_amount(
    bank: FakeProcessor,
    alice: Actor,
    kind: EventKind,
    minors: tuple[int, int],
    stated: list[str],
) -> None:
    top_up = paid(bank, ordered(alice))
    for number, minor in enumerate(minors):
        event = event_of(top_up, kind, f"du_{number}")
        assert apply_event(replace(event, amount_minor=minor)) == "applied"
    bodies = Fact.objects.filter(kind=TOLD[kind]).order_by("id").values_list("body", flat=True)
    assert [body["amount"] for body in bodies] == stated
