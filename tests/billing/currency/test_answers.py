"""Answers of the management API made from rows."""

from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from billing.currency.answers import answer_of
from lib.ids import id_text

ID = UUID(int=7)


class Row(NamedTuple):
    id: UUID | int | None = ID
    name: Any = "n"
    amount_nano: int = 1_500_000_000
    left_nano: int | None = None
    secret: str = "s"


class RowOut(BaseModel):
    id: str | None
    name: str
    amount: str
    left: str | None


def test_ids_are_texts_and_amounts_are_in_usd() -> None:
    answer = answer_of(RowOut, Row())
    assert answer.model_dump() == {"id": id_text(ID), "name": "n", "amount": "1.50", "left": None}
    assert answer_of(RowOut, Row(id=None)).id is None


def test_a_number_is_a_text_where_the_schema_says_so() -> None:
    class NumberOut(BaseModel):
        id: str

    assert answer_of(NumberOut, Row(id=7)).id == "7"


def test_given_values_override_the_row() -> None:
    assert answer_of(RowOut, Row(), name="other", left="0").model_dump()["name"] == "other"


def test_missing_or_mistyped_row_field_is_an_error() -> None:
    with pytest.raises(AttributeError):
        answer_of(RowOut, object())
    with pytest.raises(ValidationError):
        answer_of(RowOut, Row(name=3.5))
