"""Texts about balances."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.currency.display import TOTAL_PLACES, display
from gateway.channels.channel_tests.staged_calls import Fault
from gateway.channels.channel_tests.words import words_of
from gateway.provider_accounts.balances.rules import Amount, Balance

_CENT_NANO: Final = 10**7
_KEY_FIX: Final = _(
    "Use a key that may read the balance. OpenRouter shows the account's credits only to a "
    "management key; for any other key, read the limit of the key."
)


def amount_text(amount: Amount) -> str:
    """Return an amount in its currency, rounded down, so that it is never overstated."""
    cents = amount.nano // _CENT_NANO * _CENT_NANO
    return f"{display(cents or amount.nano, TOTAL_PLACES, '')} {amount.currency}".rstrip()


def balance_text(balance: Balance) -> str:
    """Return the remaining amount in each currency."""
    if balance.unlimited:
        return gettext("No limit")
    return ", ".join(map(amount_text, balance.amounts))


def limit_text(nano: int) -> str:
    """Return an amount that an operator chose, without a currency."""
    return amount_text(Amount("", nano))


def balance_words(fault: Fault | None) -> tuple[Promise | None, Promise | None]:
    """Return why a balance is unknown, and what to do."""
    cause, fix = words_of(fault)
    return cause, _KEY_FIX if fault == "key" else fix
