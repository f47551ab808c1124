"""Going through a peer's tables: what cannot be read is skipped with its reason, what has no place
here is told."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from config.management.imports.databases import Database
from config.management.imports.report import Report
from config.management.imports.values import Row, ValueUnreadable, is_nothing, text, unstorable
from gateway.rules import channel_bounds

T = TypeVar("T")


class Skipped(Exception):
    """This row is not imported; the text says why."""


@dataclass(frozen=True)
class Reader:
    database: Database
    report: Report

    def each(
        self,
        table: str,
        convert: Callable[[Row], T],
        *,
        id: str = "id",
        name: str = "name",
        taken: Collection[str],
    ) -> list[T]:
        """What `convert` makes of each row of a table, in its order; rows for which it raises
        Skipped or ValueUnreadable are reported. `taken` are the columns that it looks at."""
        converted = []
        for row in self.database.rows.get(table, ()):
            self.report.table(table).read += 1
            self._tell_what_is_left(table, row, taken)
            try:
                if column := unstorable(row):
                    raise Skipped(f"{column} has a zero byte or is not UTF-8")
                converted.append(convert(row))
            except (Skipped, ValueUnreadable) as reason:
                self.report.skip(table, _shown(row, id), _shown(row, name), str(reason))
        return converted

    def _tell_what_is_left(self, table: str, row: Row, taken: Collection[str]) -> None:
        left = self.report.table(table).columns_left
        for column, value in row.items():
            if column not in taken and not is_nothing(value):
                left[column] = left.get(column, 0) + 1


def field(row: Row, column: str, read: Callable[[object], T]) -> T:
    """One column of a row, read as its kind; a column that this version does not have is null."""
    try:
        return read(row.get(column))
    except ValueUnreadable as error:
        raise ValueUnreadable(f"{column}: {error}") from error


def is_model_name(name: str) -> bool:
    """Whether a model can be asked for by it; an array of the database would cut a long one short
    in silence."""
    bounded = len(name) <= channel_bounds.MODEL_MAX
    return bounded and re.fullmatch(channel_bounds.MODEL_PATTERN, name) is not None


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Id -> a name that no other has: where several have one, the id stands behind it."""
    counted: dict[str, int] = {}
    for name in names.values():
        counted[name] = counted.get(name, 0) + 1
    return {
        id: name if counted[name] == 1 else f"{name} ({id})" if name else id
        for id, name in names.items()
    }


def _shown(row: Row, column: str) -> str:
    try:
        shown = text(row.get(column))
    except ValueUnreadable:
        return "?"
    return shown.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
