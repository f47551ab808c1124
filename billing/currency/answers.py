"""Schemas of the management API, filled from rows with the same field names."""

from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import BaseModel

from billing.currency.money import format_usd
from lib.ids import id_text

Answer = TypeVar("Answer", bound=BaseModel)
_ABSENT: Final = object()


def answer_of(kind: type[Answer], row: object, /, **others: Any) -> Answer:
    """Return a schema filled from a row. Each field takes the row's field of the same name; an ID
    becomes text, an amount is read from `<name>_nano` and becomes USD. `others` are the fields that
    the row lacks or has in another form. The schema checks the types."""
    own = (name for name in kind.model_fields if name not in others)
    return kind(**{name: _answer_value(kind, row, name) for name in own}, **others)


def _answer_value(kind: type[BaseModel], row: object, name: str) -> Any:
    nano: Any = getattr(row, f"{name}_nano", _ABSENT)
    if nano is not _ABSENT:
        return None if nano is None else format_usd(nano)
    value = getattr(row, name)
    if isinstance(value, UUID):
        return id_text(value)
    numbered = isinstance(value, int) and kind.model_fields[name].annotation is str
    return str(value) if numbered else value
