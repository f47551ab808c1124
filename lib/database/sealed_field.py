"""A column whose bytes a vault has sealed (lib/vault.py) for their row."""

from collections.abc import Mapping
from typing import Any

from django.db import models


class SealedField(models.BinaryField):  # type: ignore[type-arg]
    """A column of sealed bytes. `place` is the template of the context that each value is sealed
    for; it may contain names of the row's columns. The default is `table|primary key|column`, with
    / between the parts of a composite key. All sealed content must be in such columns, so that a
    change of the KEK reaches it."""

    def __init__(self, *args: Any, place: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._place = place

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Return the columns of the row's primary key."""
        key: Any = self.model._meta.pk
        return tuple(field.column for field in getattr(key, "fields", (key,)))

    def place_of(self, row: Mapping[str, object]) -> str:
        """Return the context that a row's content is sealed for; `row` is the row's values by
        column."""
        table = self.model._meta.db_table
        key = "/".join(f"{{{column}}}" for column in self.key_columns)
        template = self._place or f"{table}|{key}|{self.column}"
        return template.format_map({name: _text(value) for name, value in row.items()})

    def deconstruct(self) -> Any:
        """Return the field for migrations: the database stores bytes."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


def _text(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
