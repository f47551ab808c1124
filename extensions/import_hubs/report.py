"""The report of an import: the rows read, the objects here, those imported locked and how to unlock
them, and everything left out.

It never contains a secret: rows are identified by table, id and name, options by name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from billing.currency.money import format_usd

_LISTED: Final = 20
"""The most rows of one reason in the text form; the JSON form has all."""


class Row(NamedTuple):
    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.id} ({printable(self.name)})" if self.name else self.id


@dataclass(slots=True)
class TableReport:
    """The counts of one table: rows read, created now, and created by an earlier import.

    `closed`: objects that were created locked, by the restrictions that cause it and by what
    unlocks them. `skipped` and `notes`: rows that were left out or are incomplete, by reason.
    `columns_left`: how many rows have a value in a column that is not imported.
    """

    read: int = 0
    imported: int = 0
    present: int = 0
    closed: dict[tuple[tuple[str, ...], str], list[Row]] = field(default_factory=dict)
    skipped: dict[str, list[Row]] = field(default_factory=dict)
    notes: dict[str, list[Row]] = field(default_factory=dict)
    columns_left: dict[str, int] = field(default_factory=dict)

    @property
    def skipped_rows(self) -> int:
        return sum(map(len, self.skipped.values()))

    @property
    def closed_rows(self) -> int:
        return sum(map(len, self.closed.values()))


@dataclass(slots=True)
class Money:
    """Balances on both sides. `peer_total` is in the peer's own words, such as `600 quota`."""

    peer_total: str = ""
    peer_nano: int = 0
    left_behind_nano: int = 0
    rounded_nano: int = 0
    here_nano: int = 0

    @property
    def difference_nano(self) -> int:
        """Return the amount that neither the books here nor the skipped and rounded amounts
        explain."""
        return self.peer_nano - self.left_behind_nano - self.rounded_nano - self.here_nano


@dataclass(slots=True)
class Report:
    tables: dict[str, TableReport] = field(default_factory=dict)
    tables_left: dict[str, int] = field(default_factory=dict)
    reasons_left: dict[str, str] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    money: Money = field(default_factory=Money)

    def table(self, name: str) -> TableReport:
        return self.tables.setdefault(name, TableReport())

    def skip(self, table: str, id: str, name: str, reason: str) -> None:
        self.table(table).skipped.setdefault(reason, []).append(Row(id, name))

    def close(
        self, table: str, id: str, name: str, restrictions: tuple[str, ...], opened_by: str
    ) -> None:
        closed = self.table(table).closed
        closed.setdefault((restrictions, opened_by), []).append(Row(id, name))

    def note(self, table: str, id: str, name: str, text: str) -> None:
        self.table(table).notes.setdefault(text, []).append(Row(id, name))

    def explain_tables(self, reasons: Mapping[str, Iterable[str]]) -> None:
        """Report why tables are not imported. A name may end in *."""
        for reason, names in reasons.items():
            for name in names:
                for table in self.tables_left:
                    if fnmatchcase(table, name):
                        self.reasons_left[table] = reason


def printable(text: str) -> str:
    """Escape a foreign text for a terminal: control characters and direction marks are shown as
    escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def report_text(report: Report) -> str:
    """Return the report as text."""
    head = f"{'table':<32}{'read':>8}{'imported':>10}{'closed':>8}{'here before':>13}"
    lines = [f"{head}{'skipped':>9}"]
    for name, table in report.tables.items():
        lines.append(
            f"{name:<32}{table.read:>8}{table.imported:>10}{table.closed_rows:>8}"
            f"{table.present:>13}{table.skipped_rows:>9}"
        )
    lines += _section("Closed: restricted there in a way that is not here", _locked_lines(report))
    lines += _section("Restrictions that are lost, as accepted", report.accepted)
    lines += _section("Skipped", _lines_by_reason(report, "skipped"))
    lines += _section("Notes", [*_lines_by_reason(report, "notes"), *report.notes])
    lines += _section("Columns with content that Weir has no place for", _columns(report))
    left = [
        f"{printable(name)}: {rows} rows ({report.reasons_left.get(name, 'unknown')})"
        for name, rows in report.tables_left.items()
    ]
    lines += _section("Tables that are not imported", left)
    lines += _section("Balances", _money(report.money))
    return "\n".join(lines)


def serialize_report(report: Report) -> dict[str, object]:
    """Return the report as plain data, without shortening. Amounts are decimal strings of USD."""
    money = report.money
    return {
        "tables": {
            name: {
                "read": table.read,
                "imported": table.imported,
                "here_before": table.present,
                "closed": [
                    {
                        "restrictions": list(restrictions),
                        "opened_by": opened_by,
                        "rows": [row._asdict() for row in rows],
                    }
                    for (restrictions, opened_by), rows in table.closed.items()
                ],
                "skipped": _reasons(table.skipped),
                "notes": _reasons(table.notes),
                "columns_left": table.columns_left,
            }
            for name, table in report.tables.items()
        },
        "tables_left": {
            name: {"rows": rows, "reason": report.reasons_left.get(name, "unknown")}
            for name, rows in report.tables_left.items()
        },
        "accepted": report.accepted,
        "notes": report.notes,
        "balances": {
            "peer_total": money.peer_total,
            "peer": format_usd(money.peer_nano),
            "left_behind": format_usd(money.left_behind_nano),
            "rounded": format_usd(money.rounded_nano),
            "here": format_usd(money.here_nano),
            "difference": format_usd(money.difference_nano),
        },
    }


def _reasons(rows: dict[str, list[Row]]) -> list[dict[str, object]]:
    return [
        {"reason": reason, "rows": [row._asdict() for row in named]}
        for reason, named in rows.items()
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = [f"  {line}" for line in lines]
    return ["", title, *listed] if listed else []


def _lines_by_reason(report: Report, part: str) -> list[str]:
    return [
        f"{name}: {printable(reason)}: {_name_rows(rows)}"
        for name, table in report.tables.items()
        for reason, rows in getattr(table, part).items()
    ]


def _name_rows(rows: list[Row]) -> str:
    named = ", ".join(map(str, rows[:_LISTED]))
    more = len(rows) - _LISTED
    return f"{named}, and {more} more (--json names them)" if more > 0 else named


def _locked_lines(report: Report) -> list[str]:
    lines = []
    for name, table in report.tables.items():
        for (restrictions, opened_by), rows in table.closed.items():
            lines.append(f"{name}: {printable(', '.join(restrictions))}: {_name_rows(rows)}")
            lines.append(f"  to open: {opened_by}")
    return lines


def _columns(report: Report) -> list[str]:
    return [
        f"{name}.{printable(column)}: in {rows} rows"
        for name, table in report.tables.items()
        for column, rows in table.columns_left.items()
    ]


def _money(money: Money) -> list[str]:
    lines = [f"there        {format_usd(money.peer_nano)} USD ({money.peer_total})"]
    if money.left_behind_nano:
        lines.append(
            f"left behind  {format_usd(money.left_behind_nano)} USD (of rows skipped above)"
        )
    if money.rounded_nano:
        lines.append(f"rounded      {format_usd(money.rounded_nano)} USD")
    lines.append(f"here         {format_usd(money.here_nano)} USD (opening entries)")
    lines.append(f"difference   {format_usd(money.difference_nano)} USD")
    return lines
