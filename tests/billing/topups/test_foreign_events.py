"""P4: an event moves something only where its mode and its currency are those of the order, and
every write of an order is in the audit log."""

from dataclasses import replace
from typing import Any, Final

import pytest

from accounts.access.actors import Actor
from billing.models import TopUp
from billing.topups.rules import EventKind, PaymentEvent
from billing.topups.topups import apply_event
from lib.ids import id_text, new_id
from tests.billing.topups.test_topups import balance_of, ordered, paid
from tests.fakes.processor import FakeProcessor
from tests.support.books import assert_books_balance

AFTER: Final[tuple[EventKind, ...]] = ("refunded", "unrefunded", "disputed", "reinstated")
BEFORE: Final[tuple[EventKind, ...]] = ("pending", "failed", "expired")
FOREIGN: Final[dict[str, dict[str, Any]]] = {
    "mode": {"live": True},
    "currency": {"currency": "jpy"},
    "no currency": {"currency": ""},
}


def event_of(top_up: TopUp, kind: EventKind, object_id: str) -> PaymentEvent:
    return PaymentEvent(
        processor="stripe",
        event_id=f"evt_{kind}_{object_id}",
        kind=kind,
        object_id=object_id,
        payment_id=top_up.payment_id,
        order_id=id_text(top_up.id),
        owner_id=id_text(top_up.organisation_id),
        amount_minor=1000,
        currency=top_up.currency.lower(),
        live=top_up.live,
    )


@pytest.mark.parametrize("kind", AFTER)
@pytest.mark.parametrize("how", FOREIGN)
def test_event_after_a_payment_matches_its_mode_and_currency(
    bank: FakeProcessor, alice: Actor, kind: EventKind, how: str
) -> None:
    top_up = paid(bank, ordered(alice))
    if kind == "reinstated":
        # Of a dispute that is known, so that nothing else keeps it from moving.
        assert apply_event(event_of(top_up, "disputed", "du_1")) == "applied"
    before = balance_of(alice)
    event = event_of(top_up, kind, "du_1")
    assert apply_event(replace(event, event_id="evt_forged", **FOREIGN[how])) == "refused"
    assert balance_of(alice) == before
    # And the true one is applied afterwards all the same.
    assert apply_event(event) == "applied"
    assert (balance_of(alice) == before) is (kind == "unrefunded")
    assert_books_balance()


@pytest.mark.parametrize("how", [*FOREIGN, "checkout"])
@pytest.mark.parametrize("kind", BEFORE)
def test_event_before_a_payment_matches_its_checkout(
    bank: FakeProcessor, alice: Actor, kind: EventKind, how: str
) -> None:
    top_up = ordered(alice)
    event = event_of(top_up, kind, top_up.checkout_id)
    over = FOREIGN.get(how, {"object_id": "cs_other"})
    apply_event(replace(event, event_id="evt_forged", **over))
    assert TopUp.objects.get().state == "ordered"
    apply_event(event)
    assert TopUp.objects.get().state == kind


@pytest.mark.parametrize("kind", BEFORE)
def test_event_before_a_payment_without_an_order_is_rejected(
    bank: FakeProcessor, alice: Actor, kind: EventKind
) -> None:
    top_up = ordered(alice)
    event = event_of(top_up, kind, top_up.checkout_id)
    assert apply_event(replace(event, order_id=id_text(new_id()))) == "refused"
    assert TopUp.objects.get().state == "ordered"
