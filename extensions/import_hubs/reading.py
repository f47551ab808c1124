"""Read the tables of another hub. Unreadable rows are skipped with a reason. Columns that are not
imported are reported, or lock what is created from the row (`columns.py`)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeVar

from extensions.import_hubs.columns import TableColumns
from extensions.import_hubs.databases import Database
from extensions.import_hubs.report import Report
from extensions.import_hubs.values import Row, ValueUnreadable, text, unstorable
from gateway.channels import bounds as channel_bounds

T = TypeVar("T")


class Skipped(Exception):
    """This row is not imported; the text says why."""


@dataclass(frozen=True)
class Reader:
    """Reads the rows of a peer's database. `accepted` are restrictions, such as `tokens.allow_ips`,
    that may be dropped, and lock nothing."""

    database: Database
    report: Report
    columns: Mapping[str, TableColumns]
    accepted: frozenset[str] = frozenset()
    lost: set[str] = dataclass_field(default_factory=set)
    """The restrictions of `accepted` that were found."""

    def each(
        self,
        table: str,
        convert: Callable[[Row, tuple[str, ...]], T],
        *,
        id: str = "id",
        name: str = "name",
    ) -> list[T]:
        """Return the results of `convert(row, closed_by)` for the rows of a table, in order. Rows
        for which it raises Skipped or ValueUnreadable are left out and reported."""
        converted = []
        for row in self.database.rows.get(table, ()):
            self.report.table(table).read += 1
            closed = self.closed_by(table, row)
            try:
                if column := unstorable(row):
                    raise Skipped(f"{column} has a zero byte or is not UTF-8")
                converted.append(convert(row, closed))
            except (Skipped, ValueUnreadable) as reason:
                self.report.skip(
                    table, _display_cell(row, id), _display_cell(row, name), str(reason)
                )
        return converted

    def closed_by(self, table: str, row: Row) -> tuple[str, ...]:
        """Return the restrictions of a row that have no counterpart here."""
        columns = self.columns[table].find(row, self.database.defaults.get(table, {}))
        left = self.report.table(table).columns_left
        for column in columns.left:
            left[column] = left.get(column, 0) + 1
        return self.without_accepted(f"{table}.{column}" for column in columns.closing)

    def without_accepted(self, restrictions: Iterable[str]) -> tuple[str, ...]:
        """Return the restrictions that the operator did not agree to drop."""
        named = list(restrictions)
        self.lost.update(self.accepted.intersection(named))
        return tuple(name for name in named if name not in self.accepted)


def field(row: Row, column: str, read: Callable[[object], T]) -> T:
    """Parse one column of a row. A column that this version lacks is null."""
    try:
        return read(row.get(column))
    except ValueUnreadable as error:
        raise ValueUnreadable(f"{column}: {error}") from error


def is_model_name(name: str) -> bool:
    """Return whether a model can have this name. The database would silently truncate a longer one
    in an array."""
    bounded = len(name) <= channel_bounds.MODEL_MAX
    return bounded and re.fullmatch(channel_bounds.MODEL_PATTERN, name) is not None


def distinguish_names(names: Mapping[str, str]) -> dict[str, str]:
    """Return unique names by id. Duplicate names get their id appended."""
    counted: dict[str, int] = {}
    for name in names.values():
        counted[name] = counted.get(name, 0) + 1
    return {
        id: name if counted[name] == 1 else f"{name} ({id})" if name else id
        for id, name in names.items()
    }


def _display_cell(row: Row, column: str) -> str:
    try:
        cell = text(row.get(column))
    except ValueUnreadable:
        return "?"
    return cell.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
