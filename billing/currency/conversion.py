"""Amounts in another currency, for display only: the books are in USD. A displayed amount is
converted from one exact amount in USD, never a sum of converted ones, and states the day of its
rate."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, NamedTuple

from babel.numbers import get_currency_precision, list_currencies

NANO_DIGITS: Final = 9
RATE_DIGITS: Final = 10
RATE_MAX: Final = Decimal(10) ** 9
_RATE_STEP: Final = Decimal(1).scaleb(-RATE_DIGITS)


class ExchangeRateInvalid(ValueError):
    """A text that is no rate."""


class ExchangeRate(NamedTuple):
    """Units of `currency` (ISO 4217) that one USD was worth on `day`."""

    currency: str
    day: dt.date
    per_usd: Decimal


def is_currency(code: str) -> bool:
    """Return whether amounts can be shown in it beside USD."""
    return code != "USD" and code in list_currencies()


def read_rate(text: str) -> Decimal:
    """A rate as people type it. Raises ExchangeRateInvalid for what is no plain decimal above 0 and
    at most RATE_MAX, or has more than RATE_DIGITS digits after the point."""
    text = text.strip()
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ExchangeRateInvalid(text)
    rate = Decimal(text)
    if not 0 < rate <= RATE_MAX or rate != rate.quantize(_RATE_STEP):
        raise ExchangeRateInvalid(text)
    return rate


def convert_nano(nano: int, rate: ExchangeRate) -> Decimal:
    """An amount in nano USD at a rate, rounded half-even to the currency's smallest unit."""
    step = Decimal(1).scaleb(-get_currency_precision(rate.currency))
    # No product of an int64 and a rate has as many digits.
    with localcontext(prec=60):
        exact = (Decimal(nano) * rate.per_usd).scaleb(-NANO_DIGITS)
        return exact.quantize(step, ROUND_HALF_EVEN)
