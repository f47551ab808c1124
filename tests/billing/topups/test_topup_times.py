"""P4, I21: a payment that is told before its order is ready for it, and what counts together."""

import datetime as dt

import pytest
from django.db import connection

from accounts.access.actors import Actor
from accounts.models import AuditEvent
from billing.models import ProcessorEvent, TopUp, WalletSetting
from billing.topups import topups
from lib import clock
from tests.billing.topups.test_topups import balance_of, changed, ordered, tell
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.support.books import assert_books_balance


def test_an_event_before_its_checkout_is_stored_is_credited(
    bank: FakeProcessor, alice: Actor
) -> None:
    """The processor was faster with its event than with its answer to us."""
    top_up = ordered(alice)
    TopUp.objects.update(checkout_id="", checkout_url="")
    assert tell(bank, bank.pay(top_up.checkout_id)) == (200, "waiting")
    assert balance_of(alice) == (0, 0)
    topups.keep_checkout(TopUp.objects.get(), top_up.checkout_id, top_up.checkout_url)
    assert (TopUp.objects.get().state, balance_of(alice)) == ("paid", (25, 0))
    assert ProcessorEvent.objects.get().verdict == "applied"
    assert_books_balance()


@pytest.mark.parametrize(("hours", "state"), [(23, "pending"), (25, "paid")])
def test_one_operators_confirmations_count_together_for_a_day(
    people: cast.Cast, alice: Actor, hours: int, state: str
) -> None:
    dora = cast.actor(people.dora)
    first, second = (ordered(alice, 60, processor="manual") for _ in range(2))
    assert topups.confirm_transfer(dora, first, "BANK-1").state == "paid"
    ago = clock.now() - dt.timedelta(hours=hours)
    with connection.cursor() as cursor:
        # Nobody may change the trail: as if it had been written then.
        cursor.execute("SET LOCAL session_replication_role = replica")
        AuditEvent.objects.filter(action="topup.confirmed").update(at=ago)
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert topups.confirm_transfer(dora, second, "BANK-2").state == state


@pytest.mark.parametrize("keep_card", [False, True])
def test_card_is_stored_only_with_its_owners_consent(
    bank: FakeProcessor, alice: Actor, keep_card: bool
) -> None:
    top_up = ordered(alice, keep_card=keep_card)
    event = changed(bank.pay(top_up.checkout_id), object__customer="cus_1")
    assert tell(bank, event) == (200, "applied")
    kept = list(WalletSetting.objects.values_list("customer_ref", flat=True))
    assert kept == (["cus_1"] if keep_card else [])
