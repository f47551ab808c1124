"""Values as a driver gives them and as a dump writes them are read alike."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.import_hubs import values
from extensions.import_hubs.values import ValueUnreadable


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_read_alike_from_every_form(number: int) -> None:
    assert {values.integer(form) for form in (number, str(number), Decimal(number))} == {number}


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_decimals_are_exact(number: Decimal) -> None:
    assert values.fraction(str(number)) == values.fraction(number) == Fraction(number)


def test_float_means_its_shortest_form() -> None:
    assert values.fraction(0.1) == Fraction(1, 10)
    assert values.mapping('{"a": 0.1}')["a"] == Decimal("0.1")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (values.integer, "1.5"), (values.integer, "x"), (values.fraction, "NaN"),
        (values.fraction, "Infinity"), (values.fraction, "1e999999999"), (values.boolean, "maybe"),
        (values.document, "{"), (values.document, '{"a": NaN}'), (values.mapping, "[]"),
        (values.texts, "a,b"), (values.texts, '{"a}'), (values.instant, "yesterday"),
        (values.text, b"\xff"), (values.document, "[" * 100_000),
    ],
)  # fmt: skip
def test_mistyped_value_is_rejected_without_being_shown(
    read: Callable[[object], object], value: object
) -> None:
    with pytest.raises(ValueUnreadable, match="expected"):
        read(value)


def _array(texts: list[str]) -> str:
    """An array as Postgres writes it."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


@given(st.lists(st.text(max_size=8), max_size=5))
def test_arrays_come_back(texts: list[str]) -> None:
    assert values.texts(_array(texts)) == values.texts(texts) == tuple(texts)


def test_instants() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    for form in (
        "2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02 04:04:05+01", moment,
        moment.replace(tzinfo=None), int(moment.timestamp()), str(int(moment.timestamp())),
    ):  # fmt: skip
        assert values.instant(form) == moment
    assert values.instant(None) is values.instant("") is None


@pytest.mark.parametrize(
    "value", [None, "", 0, "0", False, "f", "{}", "[]", [], {}, '{"a": "", "b": [0]}', "null"]
)
def test_columns_without_information(value: object) -> None:
    assert values.is_nothing(value)


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(["x", 1, True, ["y"]]), min_size=1))
def test_columns_with_information(value: dict[str, object]) -> None:
    assert not values.is_nothing(value)
    assert not values.is_nothing(json.dumps(value))


@pytest.mark.parametrize(
    ("read", "empty", "absent"),
    [(values.document, "", None), (values.document, "  ", None), (values.mapping, "", {}),
     (values.texts, None, ()), (values.boolean, None, False),
     (values.instant, "", None), (values.integer, None, 0), (values.text, None, "")],
)  # fmt: skip
def test_empty_value_is_read_as_absent(
    read: Callable[[object], object], empty: object, absent: object
) -> None:
    got = read(empty)
    assert (got, type(got)) == (absent, type(absent))
