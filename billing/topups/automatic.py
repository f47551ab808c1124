"""Automatic top-ups: charge the stored card when the balance is low, if the organisation wants it.

The available balances are checked every few seconds. An automatic top-up is an order like any
other, one at a time per organisation. The processor's event credits it, not its response to the
charge. A suspended or archived organisation's card is not charged.
"""

import datetime as dt
import logging
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.balances.balances import locked_setting, watched_settings
from billing.currency.money import format_usd
from billing.models import TopUp, TopUpState, WalletSetting
from billing.topups.processors import UnknownProcessor, processor_named
from billing.topups.processors.processor import ChargeOrder, ProcessorDeclined, ProcessorUnavailable
from billing.topups.rules import NANO_PER_MINOR
from billing.topups.topups import UNPAID, TopUpRefused, check_amount, end_order, keep_checkout
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from outbox.facts import put

log = logging.getLogger(__name__)

AUTOMATIC_A_DAY: Final = 5
"""The most automatic top-ups in 24 hours. More would mean that something else is wrong."""


def set_automatic(
    actor: Actor, organisation: Organisation, *, enabled: bool, below_nano: int, amount_nano: int
) -> None:
    """Set whether the stored card fills the balance, from which balance on, and by how much. Raises
    TopUpRefused."""
    if below_nano < 0:
        raise TopUpRefused("below", gettext("The threshold must be zero or more."))
    check_amount(amount_nano)
    with transaction.atomic():
        setting = locked_setting(organisation)
        if enabled and not setting.customer_ref:
            raise TopUpRefused("enabled", gettext("Top up once by card and save the card first."))
        before = _automatic_facts(setting)
        setting.auto_enabled = enabled
        setting.auto_below_nano, setting.auto_amount_nano = below_nano, amount_nano
        after = _automatic_facts(setting)
        if before == after:
            return
        setting.save(update_fields=["auto_enabled", "auto_below_nano", "auto_amount_nano"])
        audit.record(
            actor, organisation, "wallet.automatic_set", setting, before=before, after=after
        )


def _automatic_facts(setting: WalletSetting) -> dict[str, object]:
    return {
        "enabled": setting.auto_enabled,
        "below": format_usd(setting.auto_below_nano),
        "amount": format_usd(setting.auto_amount_nano),
    }


def fill_balances() -> int:
    """Create the orders that are due, and charge every uncharged order. Return how many were
    charged."""
    for setting in watched_settings().filter(
        ~Q(customer_ref=""), auto_enabled=True, available__lt=F("auto_below_nano")
    ):
        with use_tenant(setting.pk):
            _order(setting)
    charged = 0
    for top_up in TopUp.objects.filter(automatic=True, state=TopUpState.ORDERED, checkout_id=""):
        with use_tenant(top_up.organisation_id):
            charged += _charge(top_up)
    return charged


def _order(setting: WalletSetting) -> None:
    try:
        live = processor_named(setting.processor).live
    except UnknownProcessor:
        _stop(setting.organisation_id, gettext("This payment method is not available."))
        return
    orders = TopUp.objects.filter(organisation=setting.organisation_id, automatic=True)
    if orders.filter(state__in=UNPAID).exists():
        return  # its money may be on its way
    day = clock.now() - dt.timedelta(days=1)
    charged = orders.filter(created_at__gt=day).exclude(checkout_id="")
    if charged.count() >= AUTOMATIC_A_DAY:
        text = gettext("The card was charged %(n)s times within 24 hours.")
        _stop(setting.organisation_id, text % {"n": AUTOMATIC_A_DAY})
        return
    try:
        with transaction.atomic():
            top_up = TopUp.objects.create(
                organisation_id=setting.organisation_id, processor=setting.processor, live=live,
                amount_nano=setting.auto_amount_nano, automatic=True,
            )  # fmt: skip
            audit.record(
                SYSTEM, top_up.organisation, "topup.ordered", top_up,
                amount=format_usd(top_up.amount_nano), automatic=True,
            )  # fmt: skip
    except IntegrityError:
        return  # another process was faster


def _charge(top_up: TopUp) -> bool:
    setting = WalletSetting.objects.select_related("organisation").get(
        organisation=top_up.organisation_id
    )
    organisation = setting.organisation
    stopped = organisation.suspended_at is not None or organisation.archived_at is not None
    if stopped or not setting.auto_enabled:
        end_order(top_up, TopUpState.EXPIRED)
        return False
    try:
        # No transaction is open here (I9). If asked again, the processor charges only once.
        payment_id = processor_named(top_up.processor).charge_kept_card(
            ChargeOrder(
                order_id=top_up.outer_id,
                owner_id=id_text(top_up.organisation_id),
                amount_minor=top_up.amount_nano // NANO_PER_MINOR,
                currency=top_up.currency,
                customer=setting.customer_ref,
            )
        )
    except (ProcessorUnavailable, UnknownProcessor) as error:
        # The next round tries again.
        log.warning("the saved card of %s was not charged: %r", organisation.slug, error)
        return False
    except ProcessorDeclined as declined:
        end_order(top_up, TopUpState.FAILED)
        _stop(top_up.organisation_id, str(declined))
        return False
    keep_checkout(top_up, payment_id, "")
    return True


def _stop(organisation_id: UUID, reason: str) -> None:
    with transaction.atomic():
        on = WalletSetting.objects.filter(organisation=organisation_id, auto_enabled=True)
        if on.update(auto_enabled=False):
            organisation = Organisation.objects.get(id=organisation_id)
            audit.record(
                SYSTEM, organisation, "wallet.automatic_stopped", organisation, reason=reason
            )
            put("autotopup.stopped", organisation_id, reason=reason)
