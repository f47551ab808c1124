"""Amounts in another currency: exact until they are rounded, once, to its smallest unit."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.conversion import (
    ExchangeRate,
    ExchangeRateInvalid,
    convert_nano,
    is_currency,
    read_rate,
)
from billing.currency.money import INT64_MAX, INT64_MIN

USD = 10**9
DAY = dt.date(2026, 11, 20)


def rate(currency: str, per_usd: str) -> ExchangeRate:
    return ExchangeRate(currency, DAY, Decimal(per_usd))


@pytest.mark.parametrize(
    ("nano", "currency", "per_usd", "display"),
    [
        (1_284_070_000_000, "EUR", "0.92", "1181.34"),
        (1_284_070_000_000, "JPY", "155.1", "199159"),
        (1_284_070_000_000, "KWD", "0.3071", "394.338"),
        (-5 * USD, "CNY", "7.1203", "-35.60"),
        (0, "CNY", "7.1203", "0.00"),
        # Half to even, once: 0.125 and 0.135.
        (125_000_000, "EUR", "1", "0.12"),
        (135_000_000, "EUR", "1", "0.14"),
    ],
)
def test_an_amount_is_rounded_to_the_smallest_unit(
    nano: int, currency: str, per_usd: str, display: str
) -> None:
    assert str(convert_nano(nano, rate(currency, per_usd))) == display


@given(
    st.integers(INT64_MIN, INT64_MAX),
    st.decimals("0.0000000001", "1000000000", places=10),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_amount_is_at_most_half_a_unit_off(nano: int, per_usd: Decimal, currency: str) -> None:
    got = convert_nano(nano, ExchangeRate(currency, DAY, per_usd))
    unit = Fraction(1, 10 ** -int(got.as_tuple().exponent))
    assert abs(Fraction(got) - Fraction(nano, USD) * Fraction(per_usd)) <= unit / 2


@pytest.mark.parametrize("text", ["0.92", " 7.1203 ", "155", "0.0000000001", "1000000000"])
def test_a_rate_is_read_exactly(text: str) -> None:
    assert read_rate(text) == Decimal(text.strip())


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1e3", "1,5", "one", "٣", "NaN", "0.00000000001", "1000000001", "1.2.3", "\0"],
)
def test_invalid_rate_is_rejected(text: str) -> None:
    with pytest.raises(ExchangeRateInvalid):
        read_rate(text)


def test_currencies_are_those_of_iso_4217_but_that_of_the_books() -> None:
    assert [code for code in ("EUR", "CNY", "USD", "usd", "XYZ", "") if is_currency(code)] == [
        "EUR", "CNY",
    ]  # fmt: skip
