"""Numbers and JSON that are read strictly."""

import pytest
from django.core.exceptions import ValidationError
from pydantic import BaseModel
from pydantic import ValidationError as Invalid

from lib.numbers.strict_json import strict_json
from lib.numbers.typed_counts import parse_typed_count
from lib.numbers.whole_numbers import TypedWhole, Whole, WholeNumberField


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', "NaN", "[Infinity]", "[" * 100_000, ""],
)
def test_json_that_others_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the class is the contract
        strict_json(text)
    assert strict_json('{"a": [1, {"a": 2.5}], "b": null}') == {"a": [1, {"a": 2.5}], "b": None}


@pytest.mark.parametrize(
    ("text", "number"),
    [("5", 5), (" 12,500 ", 12_500), ("1_000_000", 1_000_000), ("007", 7), ("123456", 123_456)],
)
def test_typed_count(text: str, number: int) -> None:
    assert parse_typed_count(text, 7) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12,5",
        "1,00",
        "1,0000",
        ",100",
        "1,000_000",
        "0,123",
        "1.5",
        "-1",
        "+1",
        "x",
        "12345678",
        "12,345,678",
    ],
)
def test_what_is_no_count_is_refused_never_skipped(text: str) -> None:
    """A decimal comma above all: 12,5 is not 125."""
    assert parse_typed_count(text, 7) is None


WRONG = ("1_000", "5.0", "5x", "٣", "+5", "1e3", "1" * 19)


@pytest.mark.parametrize(("text", "number"), [("5", 5), (" -5 ", -5), ("", None)])
def test_whole_number_of_a_form(text: str, number: int | None) -> None:
    field = WholeNumberField(required=False)
    assert field.clean(text) == number
    for wrong in WRONG:
        with pytest.raises(ValidationError):
            field.clean(wrong)


class Body(BaseModel):
    sent: Whole = 0
    typed: TypedWhole = 0


def test_whole_number_of_a_body_is_a_number() -> None:
    assert Body(sent=5, typed="7").typed == 7  # type: ignore[arg-type]
    for sent in ("5", 5.0, True):
        with pytest.raises(Invalid):
            Body(sent=sent)  # type: ignore[arg-type]
    for typed in (*WRONG, " 5"):
        with pytest.raises(Invalid):
            Body(typed=typed)  # type: ignore[arg-type]
