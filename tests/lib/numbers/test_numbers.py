"""Numbers and JSON that are read strictly."""

import pytest
from django.core.exceptions import ValidationError
from pydantic import BaseModel
from pydantic import ValidationError as Invalid

from lib.numbers.strict_json import strict_json
from lib.numbers.whole_numbers import TypedWhole, Whole, WholeNumberField


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', "NaN", "[Infinity]", "[" * 100_000, ""],
)
def test_json_that_others_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the class is the contract
        strict_json(text)
    assert strict_json('{"a": [1, {"a": 2.5}], "b": null}') == {"a": [1, {"a": 2.5}], "b": None}


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
