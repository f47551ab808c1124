"""The meaning of the columns of another hub's tables: imported, closing, or unused.

Every column with money or with a restriction is listed in one of these tables
(`litellm/columns.py`, `new_api/columns.py`). A closing column has no counterpart here: if a row has
a value in it, the object made from the row is created closed, and the report names both. An
unlisted column closes too, so that an import opens nothing (P32).

The members of a column with a JSON object are listed, as `metadata.guardrails`. A name may end in
*.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from extensions.import_hubs.values import Row, ValueUnreadable, is_nothing, mapping, text

Meaning = Literal["imported", "closes", "unused", "unknown"]
Reasons = Mapping[str, tuple[str, ...]]
"""Reasons for the report -> the names of columns."""

# In a free-form object, a name with one of these words is treated as a restriction.
_SOUNDS_RESTRICTING: Final = re.compile(
    r"limit|budget|quota|allow|den(y|ied)|block|ban|guard|polic|restrict|enforce|require|expir"
    r"|max_|region|whitelist|blacklist|ip_|_ips|scim|permission|disable"
)


class RowColumns(NamedTuple):
    """The columns of a row that are not imported: those that lock what is created, and those left
    out."""

    closing: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class TableColumns:
    """The columns of one table. `documents` contain a JSON object; `remarks` are free-form
    documents, in which an unknown name locks the row only if it sounds like a restriction."""

    imported: Reasons
    closes: Reasons = field(default_factory=dict)
    unused: Reasons = field(default_factory=dict)
    documents: frozenset[str] = frozenset()
    remarks: frozenset[str] = frozenset()

    def meaning_of(self, column: str) -> Meaning:
        for meaning, reasons in (
            ("imported", self.imported),
            ("closes", self.closes),
            ("unused", self.unused),
        ):
            if any(_matches_pattern(name, column) for names in reasons.values() for name in names):
                return meaning  # type: ignore[return-value]
        document = column.partition(".")[0]
        if document != column and document in self.remarks:
            return "closes" if _SOUNDS_RESTRICTING.search(column.lower()) else "unused"
        return "unknown"

    def find(self, row: Row, defaults: Mapping[str, object]) -> RowColumns:
        """Classify the values of a row. A column's default value counts as empty."""
        closing, left = [], []
        for column, value in self._members(row):
            if is_nothing(value) or _is_default(value, defaults.get(column)):
                continue
            meaning = self.meaning_of(column)
            if meaning in ("closes", "unknown"):
                closing.append(column)
            elif meaning == "unused":
                left.append(column)
        return RowColumns(tuple(closing), tuple(left))

    def names(self) -> Iterator[str]:
        """Yield every listed column."""
        for reasons in (self.imported, self.closes, self.unused):
            for names in reasons.values():
                yield from names

    def _members(self, row: Row) -> Iterable[tuple[str, Any]]:
        for column, value in row.items():
            if column not in self.documents:
                yield column, value
                continue
            try:
                members = mapping(value)
            except ValueUnreadable:
                # An unreadable name is in no table, so it locks the imported object.
                yield f"{column} (unreadable)", True
                continue
            for name, member in members.items():
                # "Not active" is a restriction; any other false means nothing.
                off = member is False and name == "scim_active"
                yield f"{column}.{name}", True if off else member


def _matches_pattern(name: str, column: str) -> bool:
    return column.startswith(name[:-1]) if name.endswith("*") else column == name


def _is_default(value: object, default: object) -> bool:
    return default is not None and _normalise_value(value) == _normalise_value(default)


def _normalise_value(value: object) -> str:
    written = str(value).lower() if isinstance(value, bool) else text(value).strip().lower()
    return {"t": "true", "1": "true", "f": "false", "0": "false"}.get(written, written)
