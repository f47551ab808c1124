"""Low-balance alerts, sent once per crossing. The balances are checked every few seconds."""

from django.db import transaction
from django.db.models import F, Q

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.balances.balances import locked_setting, watched_settings
from billing.currency.money import format_usd
from billing.models import WalletSetting
from lib import clock
from outbox.facts import put


def set_low_balance(actor: Actor, organisation: Organisation, low_nano: int | None) -> None:
    """Set the balance below which the organisation gets an alert; None for no alert."""
    with transaction.atomic():
        setting = locked_setting(organisation)
        if setting.low_nano == low_nano:
            return
        before = {"low": _amount(setting.low_nano)}
        setting.low_nano, setting.low_told_at = low_nano, None
        setting.save(update_fields=["low_nano", "low_told_at"])
        audit.record(
            actor, organisation, "wallet.alert_set", setting,
            before=before, after={"low": _amount(low_nano)},
        )  # fmt: skip


def _amount(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def send_low_balance_alerts() -> int:
    """Send an alert for each balance that has fallen below its threshold. Return how many.

    Reserved money counts as unspent. Otherwise each request near the threshold would cross it
    twice: when it reserves its maximum cost, and when it ends.
    """
    above = watched_settings().filter(unspent__gte=F("low_nano")).exclude(low_told_at=None)
    WalletSetting.objects.filter(pk__in=[setting.pk for setting in above]).update(low_told_at=None)
    count = 0
    for setting in watched_settings().filter(
        Q(unspent__lt=F("low_nano")) | Q(unspent=None, low_nano__gt=0), low_told_at=None
    ):
        with transaction.atomic():
            # The conditional update sends one alert per crossing, even with several workers.
            if WalletSetting.objects.filter(pk=setting.pk, low_told_at=None).update(
                low_told_at=clock.now()
            ):
                put(
                    "balance.low", setting.pk, available=format_usd(setting.available or 0),
                    threshold=format_usd(setting.low_nano), currency="USD",
                )  # fmt: skip
                count += 1
    return count
