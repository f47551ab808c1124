"""What Stripe says, read to the last state and the last cent."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from billing.topups.processors import stripe
from billing.topups.processors.processor import ChargeOrder, EventInvalid, ProcessorDeclined
from billing.topups.processors.stripe import StripeProcessor, _read

CONFIGURE: Final = Path(__file__).parents[3] / "docs/operate/configure.md"
ORDER: Final = ChargeOrder("order", "owner", 100, "USD", "customer")


def answering(
    monkeypatch: pytest.MonkeyPatch, cards: list[dict[str, str]], status: str
) -> StripeProcessor:
    def ask(self: StripeProcessor, what: str, asked: dict[str, Any], _: str) -> dict[str, Any]:
        if what == "charge":
            # The holder is not there, and nobody would confirm it afterwards.
            assert asked["off_session"] is asked["confirm"] is True
            assert asked["payment_method"] == "pm_1"
        return {"data": cards} if what == "cards" else {"id": "pi_1", "status": status}

    monkeypatch.setattr(StripeProcessor, "_send", ask)
    return StripeProcessor()


@pytest.mark.parametrize("status", ["succeeded", "processing"])
def test_a_kept_card_is_charged(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    processor = answering(monkeypatch, [{"id": "pm_1"}], status)
    assert processor.charge_kept_card(ORDER) == "pi_1"


@pytest.mark.parametrize(
    ("cards", "status"),
    [
        ([], "succeeded"),
        *(
            ([{"id": "pm_1"}], status)
            for status in (
                "requires_action", "requires_confirmation", "requires_payment_method",
                "requires_capture", "canceled",
            )
        ),
    ],
)  # fmt: skip
def test_charge_not_in_progress_is_declined(
    monkeypatch: pytest.MonkeyPatch, cards: list[dict[str, str]], status: str
) -> None:
    with pytest.raises(ProcessorDeclined):
        answering(monkeypatch, cards, status).charge_kept_card(ORDER)


def test_operators_select_every_event_that_is_read() -> None:
    """Stripe sends a webhook only the events that are selected for it (docs/operate/configure.md):
    without its own, a failed refund would not be reported."""
    part = CONFIGURE.read_text().split("## Payments by card\n")[1].split("\n## ")[0]
    tables = (stripe._CHECKOUT, stripe._PAYMENT, stripe._UNREFUNDED, stripe._DISPUTE)
    read = {"charge.refunded", *(kind for table in tables for kind in table)}
    assert sorted(re.findall(r"^- `(.+)`$", part, re.M)) == sorted(read)


def checkout(kind: str, **over: object) -> dict[str, Any]:
    session = {
        "id": "cs_1", "payment_intent": "pi_1", "payment_status": "paid", "currency": "usd",
        "amount_total": 100, "client_reference_id": "order 7 of a shop", "metadata": {},
    }  # fmt: skip
    return {
        "id": "evt_1", "type": f"checkout.session.{kind}", "livemode": False, "created": 1,
        "data": {"object": session | over},
    }  # fmt: skip


@pytest.mark.parametrize("reference", ["order 7 of a shop", None])
def test_payment_of_another_application_belongs_to_no_order(reference: str | None) -> None:
    """It is listed for operators, not refused as unsigned. Without money, there is nothing to
    list."""
    event = _read(checkout("completed", client_reference_id=reference))
    assert event is not None
    assert (event.kind, event.order_id, event.payment_id) == ("paid", "", "pi_1")
    for kind in ("expired", "async_payment_failed"):
        assert _read(checkout(kind, client_reference_id=reference)) is None
    unpaid = checkout("completed", client_reference_id=reference, payment_status="unpaid")
    assert _read(unpaid) is None
    with pytest.raises(EventInvalid):
        _read(checkout("completed", metadata={"weir_top_up": "another"}))


def refunded(amount: object) -> dict[str, Any]:
    charge = {"id": "ch_1", "payment_intent": "pi_1", "amount_refunded": amount, "currency": "usd"}
    return {
        "id": "evt_1", "type": "charge.refunded", "livemode": False, "created": 1,
        "data": {"object": charge},
    }  # fmt: skip


@pytest.mark.parametrize("amount", [0, 1, 10**11 - 1])
def test_valid_amounts(amount: int) -> None:
    event = _read(refunded(amount))
    assert event is not None
    assert event.amount_minor == amount


@pytest.mark.parametrize("amount", [-1, 10**11, True, 1.5, "100", None])
def test_invalid_amounts(amount: object) -> None:
    with pytest.raises(EventInvalid):
        _read(refunded(amount))


@pytest.mark.parametrize(
    "over", [{"id": ""}, {"id": 5}, {"id": None}, {"livemode": "false"}, {"livemode": None}]
)
def test_an_event_has_an_id_and_a_mode(over: dict[str, object]) -> None:
    with pytest.raises(EventInvalid):
        _read(refunded(1) | over)
