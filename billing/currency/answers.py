"""Answers of the management API made from rows that have the same fields."""

from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import BaseModel

from billing.currency.money import format_usd
from lib.ids import id_text

Answer = TypeVar("Answer", bound=BaseModel)
_ABSENT: Final = object()


def answer_of(kind: type[Answer], row: object, /, **others: Any) -> Answer:
    """The answer of a row: each field of the schema from the row's field of that name, an ID as its
    text; an amount from `<name>_nano`, in USD. `others` are the fields that the row does not have
    so. The schema checks the types."""
    own = (name for name in kind.model_fields if name not in others)
    return kind(**{name: _value(kind, row, name) for name in own}, **others)


def _value(kind: type[BaseModel], row: object, name: str) -> Any:
    nano: Any = getattr(row, f"{name}_nano", _ABSENT)
    if nano is not _ABSENT:
        return None if nano is None else format_usd(nano)
    value = getattr(row, name)
    if isinstance(value, UUID):
        return id_text(value)
    numbered = isinstance(value, int) and kind.model_fields[name].annotation is str
    return str(value) if numbered else value
