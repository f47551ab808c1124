"""The balances of a channel's keys, as pages and the API show them."""

from typing import Final, NamedTuple, cast

from django.utils.functional import Promise
from django.utils.translation import gettext

from gateway.channels.channel_tests.staged_calls import Fault
from gateway.models import Channel, ChannelKey
from gateway.provider_accounts.balances.balances import reading_of
from gateway.provider_accounts.balances.rules import Reading, is_stale
from gateway.provider_accounts.balances.words import balance_text, balance_words, limit_text
from lib import clock

_REPORTING: Final = frozenset({"openrouter", "deepseek", "kimi"})


class BalanceRow(NamedTuple):
    """The balance of one active key. `text` is "" if it is unknown; `cause` and `fix` describe why
    the last reading failed."""

    key: ChannelKey
    reading: Reading | None
    text: str
    stale: bool
    cause: Promise | None
    fix: Promise | None


def offers_balance(channel: Channel) -> bool:
    """Return whether the channel's provider reports balances that are not read."""
    return channel.balance_source == "none" and channel.provider in _REPORTING


def balance_rows(channel: Channel) -> list[BalanceRow]:
    """Return the rows of the active keys."""
    return [_balance_row(key) for key in channel.keys.all() if key.disabled_at is None]


def _balance_row(key: ChannelKey) -> BalanceRow:
    reading = reading_of(key)
    balance = reading.balance if reading else None
    cause, fix = fault_words(reading)
    text = balance_text(balance) if balance else ""
    stale = balance is not None and is_stale(reading, clock.now())
    return BalanceRow(key, reading, text, stale, cause, fix)


def fault_words(reading: Reading | None) -> tuple[Promise | None, Promise | None]:
    """Return why the last reading failed, and what to do; None for both if it succeeded."""
    return balance_words(cast(Fault, reading.fault) if reading and reading.fault else None)


def balance_limits(channel: Channel) -> list[tuple[str, str]]:
    """Return the amounts below which the channel warns and rests, as text."""
    amounts = (
        (gettext("Warns below"), channel.balance_warn_below_nano),
        (gettext("Rests below"), channel.balance_rest_below_nano),
    )
    return [(label, limit_text(nano)) for label, nano in amounts if nano is not None]
