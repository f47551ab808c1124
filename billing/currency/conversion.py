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
    """The text is not a valid exchange rate."""


class ExchangeRate(NamedTuple):
    """Units of `currency` (ISO 4217) that one USD was worth on `day`."""

    currency: str
    day: dt.date
    per_usd: Decimal


def is_currency(code: str) -> bool:
    """Return whether amounts can be shown in this currency beside USD."""
    return code != "USD" and code in list_currencies()


def read_rate(text: str) -> Decimal:
    """Return a rate that a person typed. Raises ExchangeRateInvalid unless it is a plain decimal
    above 0, at most RATE_MAX, with at most RATE_DIGITS digits after the point."""
    text = text.strip()
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ExchangeRateInvalid(text)
    rate = Decimal(text)
    if not 0 < rate <= RATE_MAX or rate != rate.quantize(_RATE_STEP):
        raise ExchangeRateInvalid(text)
    return rate


def convert_nano(nano: int, rate: ExchangeRate) -> Decimal:
    """Return an amount in the rate's currency, rounded half-even to the currency's smallest
    unit."""
    step = Decimal(1).scaleb(-get_currency_precision(rate.currency))
    # 60 digits hold the product of any int64 and any rate.
    with localcontext(prec=60):
        exact = (Decimal(nano) * rate.per_usd).scaleb(-NANO_DIGITS)
        return exact.quantize(step, ROUND_HALF_EVEN)
