from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.money import (
    INT64_MAX,
    INT64_MIN,
    MoneyInvalid,
    MoneyTooLarge,
    format_markup,
    format_usd,
    parse_markup,
    parse_typed_usd,
    parse_usd,
    round_half_even,
)

nanos = st.integers(INT64_MIN, INT64_MAX)


@given(nanos)
def test_format_and_parse_are_exact_inverses(nano: int) -> None:
    text = format_usd(nano)

    assert parse_usd(text) == nano
    assert Decimal(text) == Fraction(nano, 10**9)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.0045898", 4_589_800),
        ("100.00", 100_000_000_000),
        ("-18.31", -18_310_000_000),
        ("007.5", 7_500_000_000),
        ("0.000000001", 1),
        ("1.0000000000", 1_000_000_000),
        ("9223372036.854775807", INT64_MAX),
        ("-9223372036.854775808", INT64_MIN),
    ],
)
def test_parse(text: str, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("", "a plain decimal"),
        ("1,000", "a plain decimal"),
        ("1e3", "a plain decimal"),
        ("+1", "a plain decimal"),
        (" 1", "a plain decimal"),
        ("1\n", "a plain decimal"),
        (".5", "a plain decimal"),
        ("5.", "a plain decimal"),
        ("$5", "a plain decimal"),
        ("−5", "a plain decimal"),
        ("٣", "a plain decimal"),
        ("NaN", "a plain decimal"),
        ("9" * 41, "a plain decimal"),
        ("0.0000000001", "at most 9 digits after the point"),
        ("9223372036.854775808", "fits 64 bits"),
        ("-9223372036.854775809", "fits 64 bits"),
        (0.15, "a decimal string"),
        (1, "a decimal string"),
        (None, "a decimal string"),
    ],
)
def test_invalid_amount_is_rejected_with_what_was_expected(inputs: Any, expected: str) -> None:
    with pytest.raises(MoneyInvalid, match="is not an amount: expected ") as refusal:
        parse_usd(inputs)

    assert expected in refusal.value.expected
    assert refusal.value.got == inputs


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (4_589_800, "0.0045898"),
        (100_000_000_000, "100.00"),
        (500_000_000, "0.50"),
        (-1, "-0.000000001"),
        (1_234_567_000_000_000, "1234567.00"),
    ],
)
def test_format_for_receipts_exports_and_the_api(nano: int, text: str) -> None:
    assert format_usd(nano) == text


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_round_half_even(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("twice", "rounded"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2)])
def test_ties_go_to_the_even_one(twice: int, rounded: int) -> None:
    assert round_half_even(twice, 2) == rounded


@given(st.integers(1 - 10**18, 10**18 - 1), st.sampled_from(("{}", "${}", " {} ")))
def test_an_amount_is_read_as_people_group_it(nano: int, around: str) -> None:
    sign, (whole, fraction) = "-" if nano < 0 else "", divmod(abs(nano), 10**9)
    assert parse_typed_usd(around.format(f"{sign}{whole:,}.{fraction:09}")) == nano
    assert parse_typed_usd(around.format(f"{sign}{whole}.{fraction:09}")) == nano


@given(st.text("01295.,-$", max_size=14))
def test_a_comma_is_never_skipped(text: str) -> None:
    try:
        nano = parse_typed_usd(text)
    except MoneyInvalid:
        return
    whole = text.removeprefix("$").partition(".")[0]
    if "," in whole:
        assert whole == f"{int(whole.replace(',', '')):,}"
    assert "," not in text.partition(".")[2]
    assert Decimal(text.removeprefix("$").replace(",", "")) == Fraction(nano, 10**9)


@pytest.mark.parametrize(
    "text",
    ["12,50", "7,5", "0,5", "1,2,3", "1.250,50", "0,500", "1250,500", "1,000,00", "1,,000", ",100",
     "1,000.", "1,000,", "1.000,000", "1 250", "1'250", ""],
)  # fmt: skip
def test_foreign_number_formats_are_no_other_amount(text: str) -> None:
    with pytest.raises(MoneyInvalid):
        parse_typed_usd(text)


def test_amount_beyond_any_account_is_distinguished() -> None:
    with pytest.raises(MoneyTooLarge):
        parse_typed_usd("99999999999")


@given(st.integers(0, 10**9))
def test_a_markup_is_read_as_it_is_written(ppm: int) -> None:
    assert parse_markup(format_markup(ppm)) == ppm


@pytest.mark.parametrize(
    ("text", "ppm"),
    [("7", 1_070_000), ("+7.5 %", 1_075_000), ("−10", 900_000), ("-100%", 0), ("99900", 10**9)],
)  # fmt: skip
def test_a_markup_is_what_it_adds_in_percent(text: str, ppm: int) -> None:
    assert parse_markup(text) == ppm


@pytest.mark.parametrize("text", ["", "%", "-100.0001", "99900.0001", "1e2", "7,5", "++7", "x"])
def test_invalid_percentage_is_no_markup(text: str) -> None:
    with pytest.raises(MoneyInvalid):
        parse_markup(text)
