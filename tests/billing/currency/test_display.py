"""How amounts look on pages: one rule for totals, charges and prices, alone and in a column."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.display import (
    charge_places,
    display,
    display_in_column,
    is_exact,
    places_beside,
    price_places,
)
from billing.currency.money import INT64_MAX, parse_usd

nanos = st.integers(-INT64_MAX, INT64_MAX)
columns = st.lists(st.integers(0, 10**14), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("usd", "total", "charge", "price"),
    [
        ("0", "$0.00", "$0.00", "$0.00"),
        ("1284.07", "$1,284.07", "$1,284.07", "$1,284.07"),
        ("0.0045898", "<$0.01", "$0.00459", "$0.0045898"),
        ("-18.31", "−$18.31", "−$18.31", "−$18.31"),
        ("0.005", "<$0.01", "$0.005", "$0.005"),
        ("0.00999999", "$0.01", "$0.01", "$0.00999999"),
        ("0.125", "$0.12", "$0.125", "$0.125"),
        ("0.135", "$0.14", "$0.135", "$0.135"),
        ("0.8208", "$0.82", "$0.8208", "$0.8208"),
        ("12.345678", "$12.35", "$12.35", "$12.345678"),
        ("0.000123456", "<$0.01", "$0.0001235", "$0.000123456"),
        ("-0.000000009", ">−$0.01", "−$0.000000009", "−$0.000000009"),
        ("0.075", "$0.08", "$0.075", "$0.075"),
        ("2.50", "$2.50", "$2.50", "$2.50"),
        ("100000.50", "$100,000.50", "$100,000.50", "$100,000.50"),
        ("-1234567.89", "−$1,234,567.89", "−$1,234,567.89", "−$1,234,567.89"),
    ],
)
def test_one_amount(usd: str, total: str, charge: str, price: str) -> None:
    nano = parse_usd(usd)

    assert display(nano, 2) == total
    assert display(nano, charge_places([nano])) == charge
    assert display(nano, price_places([nano])) == price


@pytest.mark.parametrize(
    ("charges", "column"),
    [
        (["0.8208", "0.0045898"], ["$0.8208", "$0.0046"]),
        (["0.8208", "0.00000975", "0"], ["$0.8208", "$0.00001", "$0.00"]),
        (["0.8208", "0.0000001"], ["$0.8208", "<$0.00001"]),
        (["12.345678", "0.0045898"], ["$12.346", "$0.005"]),
        (["1284.07", "0.0045898"], ["$1,284.07", "<$0.01"]),
        (["0.00000975", "0.00000915"], ["$0.00000975", "$0.00000915"]),
        (["0.5", "0.25"], ["$0.50", "$0.25"]),
        (["0", "0"], ["$0.00", "$0.00"]),
    ],
)
def test_a_column_of_charges(charges: list[str], column: list[str]) -> None:
    nano = [parse_usd(charge) for charge in charges]

    assert [display(one, charge_places(nano)) for one in nano] == column


def test_a_column_of_prices_shows_each_in_full() -> None:
    prices = [parse_usd(usd) for usd in ("60", "0.15", "0.0125")]
    multiplied = Decimal(parse_usd("0.075")) * Decimal("1.07")

    assert [display(one, price_places(prices)) for one in prices] == [
        "$60.00", "$0.15", "$0.0125",
    ]  # fmt: skip
    assert display(multiplied, price_places([multiplied])) == "$0.08025"


def test_the_symbol_stands_after_the_sign() -> None:
    assert display(-18_310_000_000, 2, "US$") == "−US$18.31"
    assert display(5, 8, "US$") == "<US$0.00000001"


@given(nanos.filter(bool), st.integers(2, 9))
def test_nonzero_amount_never_reads_as_zero(nano: int, places: int) -> None:
    text = display(nano, places)

    assert any(digit in text for digit in "123456789")
    assert ("−" in text) == (nano < 0)


@given(columns)
def test_the_decimal_points_of_a_column_line_up(column: list[int]) -> None:
    for places in (charge_places(column), price_places(column)):
        assert places >= 2
        texts = [display_in_column(one, places) for one in column]
        assert {len(text.partition(".")[2]) for text in texts} == {places}
        for one, text in zip(column, texts, strict=True):
            # The blank has the width of a digit, and no amount has zeros that say nothing.
            assert text.rstrip("\N{FIGURE SPACE}") == display(one, places)
            assert one or text.startswith("$0.00")


@pytest.mark.parametrize(
    ("used", "limit", "texts"),
    [
        ("0.0000275", "0.0001", ("$0.0000275", "$0.0001")),
        ("0", "0.0001", ("$0.00", "$0.0001")),
        ("3.2104", "50", ("$3.21", "$50.00")),
        ("0.0004", "5", ("<$0.01", "$5.00")),
        ("0.0104", "0.015", ("$0.0104", "$0.015")),
    ],
)
def test_a_limit_is_exact_and_what_is_used_fits_it(
    used: str, limit: str, texts: tuple[str, str]
) -> None:
    used_nano, limit_nano = parse_usd(used), parse_usd(limit)
    places = places_beside(limit_nano, used_nano), price_places([limit_nano])

    assert (display(used_nano, places[0]), display(limit_nano, places[1])) == texts


@given(columns.filter(any))
def test_largest_charge_of_a_column_has_four_or_five_digits(
    column: list[int],
) -> None:
    places, largest = charge_places(column), max(column)
    shown = int(Decimal(display(largest, places).lstrip("$").replace(",", "")).scaleb(9))

    assert abs(shown - largest) * 2 <= 10 ** max(len(str(largest)) - 4, 0)
    assert places == 2 or places + len(str(largest)) - 9 <= 5


@given(nanos, st.integers(2, 9))
def test_an_exact_text_is_the_amount(nano: int, places: int) -> None:
    text = display(nano, places).replace("$", "").replace(",", "").replace("−", "-")

    assert is_exact(nano, places) == (text[0] not in "<>" and Decimal(text).scaleb(9) == nano)
