"""A statement as files: CSV with exact decimals, and a workbook with typed cells (W43).

A number in a workbook is a double: 15 digits, enough for every nano of an amount below a million.
The exact amounts are in the CSV and the API.
"""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext

from billing.currency.money import NANO_PER_USD, format_usd
from billing.ledger.statement_months import MonthStatement
from billing.ledger.words import line_word
from lib import clock
from lib.ids import id_text
from usage.reports.reports import Group
from usage.statements.words import GROUP_WORDS, TABS

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

_MONEY: Final = "#,##0.00#######"
_TIME: Final = "yyyy-mm-dd hh:mm:ss"
_WIDTHS: Final = (20, 26, 12, 18, 18, 40, 24, 30, 28)


def csv_rows(statement: MonthStatement) -> Iterator[Sequence[object]]:
    """Yield one row per line, oldest first, between the opening and the closing balance."""
    yield ("time", "type", "charges", "amount", "balance", "reason", "document", "by", "id")
    start, end = (clock.rfc3339(at) for at in statement.span)
    opening, closing = format_usd(statement.opening_nano), format_usd(statement.closing_nano)
    yield (start, "opening_balance", "", "", opening, "", "", "", "")
    for line in reversed(statement.lines):
        yield (
            clock.rfc3339(line.at), line.word_kind, line.count if line.kind == "usage" else "",
            format_usd(line.amount_nano), format_usd(line.balance_nano), line.reason,
            line.document, line.by, id_text(line.id) if line.id else "",
        )  # fmt: skip
    yield (end, "closing_balance", "", "", closing, "", "", "", "")


def workbook(statement: MonthStatement, groups: dict[str, list[Group]]) -> bytes:
    """Return a workbook with one sheet for the balances, whose total is a formula, one for each
    grouping, and one for all lines. No text in it is interpreted as a formula, whatever it begins
    with."""
    # Loaded with the first workbook rather than when the process starts.
    import xlsxwriter

    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    sheets = _Sheets(book)
    sheets.summary(statement)
    for tab, rows in groups.items():
        sheets.usage(str(TABS[tab]), rows)
    sheets.lines(statement)
    book.close()
    return file.getvalue()


class _Sheets:
    def __init__(self, book: "Workbook") -> None:
        self._book = book
        self._head = book.add_format({"bold": True, "bottom": 1})
        self._bold = book.add_format({"bold": True, "num_format": _MONEY, "top": 1})
        self._money = book.add_format({"num_format": _MONEY})
        self._time = book.add_format({"num_format": _TIME})

    def summary(self, statement: MonthStatement) -> None:
        sheet = self._sheet(gettext("Summary"), (gettext("Item"), gettext("Amount (USD)")))
        rows = [
            (gettext("Opening balance"), statement.opening_nano),
            *((str(GROUP_WORDS[group]), nano) for group, nano in statement.moved().items()),
        ]
        for n, (word, nano) in enumerate(rows, 1):
            sheet.write_string(n, 0, word)
            sheet.write_number(n, 1, _usd(nano), self._money)
        last = len(rows) + 1
        sheet.write_string(last, 0, gettext("Closing balance"), self._bold)
        sheet.write_formula(last, 1, f"=SUM(B2:B{last})", self._bold, _usd(statement.closing_nano))
        sheet.set_column(0, 1, 30)

    def usage(self, title: str, rows: Sequence[Group]) -> None:
        heads = (title, gettext("Requests"), gettext("Errors"), gettext("Amount (USD)"))
        sheet = self._sheet(title, heads)
        for n, row in enumerate(rows, 1):
            sheet.write_string(n, 0, row.label)
            sheet.write_number(n, 1, row.totals.requests)
            sheet.write_number(n, 2, row.totals.errors)
            sheet.write_number(n, 3, _usd(row.totals.charge_nano), self._money)
        last = len(rows) + 1
        total = _usd(sum(row.totals.charge_nano for row in rows))
        sheet.write_string(last, 0, gettext("Total"), self._bold)
        sheet.write_formula(last, 3, f"=SUM(D2:D{max(last, 2)})", self._bold, total)
        sheet.set_column(0, 0, 40)
        sheet.set_column(1, 3, 16)

    def lines(self, statement: MonthStatement) -> None:
        heads = (
            gettext("Time (UTC)"), gettext("Type"), gettext("Charges"), gettext("Amount (USD)"),
            gettext("Balance (USD)"), gettext("Reason"), gettext("Document"), gettext("By"),
            gettext("ID"),
        )  # fmt: skip
        sheet = self._sheet(gettext("Ledger"), heads)
        for n, line in enumerate(reversed(statement.lines), 1):
            at = line.at.astimezone(dt.UTC).replace(tzinfo=None)
            sheet.write_datetime(n, 0, at, self._time)
            sheet.write_string(n, 1, line_word(line.word_kind))
            if line.kind == "usage":
                sheet.write_number(n, 2, line.count)
            sheet.write_number(n, 3, _usd(line.amount_nano), self._money)
            sheet.write_number(n, 4, _usd(line.balance_nano), self._money)
            texts = (line.reason, line.document, line.by, id_text(line.id) if line.id else "")
            for column, text in enumerate(texts, 5):
                sheet.write_string(n, column, text)
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)

    def _sheet(self, title: str, heads: Sequence[str]) -> "Worksheet":
        sheet: Any = self._book.add_worksheet(title[:31])
        sheet.write_row(0, 0, heads, self._head)
        sheet.freeze_panes(1, 0)
        return sheet


def _usd(nano: int) -> float:
    return nano / NANO_PER_USD
