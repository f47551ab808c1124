"""A column whose bytes a vault has sealed (lib/vault.py) for their place."""

from collections.abc import Mapping
from typing import Any

from django.db import models


class SealedField(models.BinaryField):  # type: ignore[type-arg]
    """Sealed bytes. Their place is made of columns of the row: `place`, a template with their
    names, by default `table|primary key|column`, / between the parts of a composite key.

    It is the only column that may hold something sealed, so that a change of the KEK reaches all.
    """

    def __init__(self, *args: Any, place: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._place = place

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the row's primary key."""
        key: Any = self.model._meta.pk
        return tuple(field.column for field in getattr(key, "fields", (key,)))

    def place_of(self, row: Mapping[str, object]) -> str:
        """The place of what a row holds; `row` is its values by column."""
        table = self.model._meta.db_table
        key = "/".join(f"{{{column}}}" for column in self.key_columns)
        template = self._place or f"{table}|{key}|{self.column}"
        return template.format_map({name: _text(value) for name, value in row.items()})

    def deconstruct(self) -> Any:
        """Return the field for migrations: in the database it is bytes."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


def _text(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
