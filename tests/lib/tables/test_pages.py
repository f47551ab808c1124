"""A file holds exactly what the page was filtered to, in its columns and its order, exactly."""

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import arro3.io
import openpyxl
import pytest
from django.test import RequestFactory
from django.utils import timezone, translation

from lib.tables import pages
from lib.tables.exports import FORMATS, usd, values_of
from lib.tables.pages import export_table, page_of
from lib.tables.sources import ListSource
from lib.tables.table import REGISTERED, Badge, Column, Table
from tests.support import hostile

ROWS: list[dict[str, Any]] = [
    {
        "id": n,
        "name": f"={n}",
        "cost": 4_589_800 * n,
        "at": dt.datetime(2026, 11, 18, tzinfo=dt.UTC),
    }
    for n in range(25)
]


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    columns = (
        Column("name", "Name", sort=True),
        Column("cost", "Cost", "money", sort=True, unit="USD"),
        Column("at", "At", "time"),
        Column("took", "Duration", "duration", value=lambda row: None),
    )
    yield Table("test-pages", "Test", columns, "-cost")
    REGISTERED.pop("test-pages")


def test_export_contains_everything(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_BATCH", 10)
    state = table.read({"sort": ["cost"], "cols": ["cost,name,at,took"], "export": ["csv"]})
    seen = []

    def make(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        seen.append(len(rows))
        return rows

    with timezone.override(ZoneInfo("Asia/Kolkata")):
        answer = export_table(RequestFactory().get("/"), state, ListSource(ROWS), make)
    text = b"".join(answer).decode()
    assert "filename=" in answer["Content-Disposition"]
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["cost_usd", "name", "at", "took_ms"]
    assert [row[0] for row in rows] == [usd(4_589_800 * n) for n in range(25)]
    assert rows[1] == ["0.0045898", "'=1", "2026-11-18T05:30:00.000+05:30", ""]
    assert seen == [10, 10, 5]


def read_csv(raw: bytes) -> list[list[Any]]:
    return list(csv.reader(io.StringIO(raw.decode(), newline="")))


def read_jsonl(raw: bytes) -> list[list[Any]]:
    rows = [json.loads(line) for line in raw.splitlines()]
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def read_xlsx(raw: bytes) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True)
    return [list(row) for sheet in book for row in sheet.iter_rows(values_only=True)]


def read_parquet(raw: bytes) -> list[list[Any]]:
    read = arro3.io.read_parquet(io.BytesIO(raw)).read_all()
    columns = [read.column(name).to_pylist() for name in read.column_names]
    return [read.column_names, *(list(row) for row in zip(*columns, strict=True))]


READERS = {"csv": read_csv, "jsonl": read_jsonl, "xlsx": read_xlsx, "parquet": read_parquet}
AT = dt.datetime(2026, 11, 18, 5, 30)  # noqa: DTZ001 - Excel's times have no zone
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
FIRST = {
    "csv": ["0.0045898", "'=1", "2026-11-18T05:30:00.000+05:30", ""],
    "jsonl": ["0.0045898", "=1", "2026-11-18T05:30:00.000+05:30", None],
    "xlsx": [0.0045898, "=1", AT, None],
    "parquet": [Decimal("0.0045898"), "=1", AT.replace(tzinfo=IST), None],
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_contains_the_same_with_its_types(
    table: Table, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(pages, "_BATCH", 10)
    state = table.read({"sort": ["cost"], "cols": ["cost,name,at,took"], "export": [form]})
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        answer = export_table(RequestFactory().get("/"), state, ListSource(ROWS), list)
    assert answer["Content-Disposition"].endswith(f'.{form}"')
    head, *rows = READERS[form](b"".join(answer))
    assert [name.partition(" ")[0] for name in head] == ["cost_usd", "name", "at", "took_ms"]
    # The times of a workbook have no zone of their own.
    assert head[2] == ("at (Asia/Kolkata)" if form == "xlsx" else "at")
    assert (len(rows), rows[1]) == (25, FIRST[form])
    cost = [Decimal(str(row[0])) for row in rows]
    assert cost == [Decimal(4_589_800 * n).scaleb(-9) for n in range(25)]


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_without_rows_is_a_file(table: Table, form: str) -> None:
    state = table.read({"export": [form]})
    answer = export_table(RequestFactory().get("/"), state, ListSource([]), list)
    raw = b"".join(answer)
    assert form == "jsonl" or READERS[form](raw)[0]


@pytest.mark.parametrize(
    "numbers",
    [[1, None, 3], [1.5, None, 2], [None, 0.25], [7, 2.5], ["–", 1], [None, None]],
    ids=str,
)
def test_a_number_stays_what_it_is_in_parquet(numbers: list[Any]) -> None:
    """A part without a number is no number; one that is a word makes all of them words."""
    columns = (Column("id", "Id", sort=True), Column("n", "N", "number"))
    table = Table("test-numbers", "Test", columns, "id")
    try:
        rows = [{"id": id, "n": number} for id, number in enumerate(numbers)]
        answer = export_table(
            RequestFactory().get("/"),
            table.read({"cols": ["n"], "export": ["parquet"]}),
            ListSource(rows),
            list,
        )
        _, *cells = read_parquet(b"".join(answer))
    finally:
        REGISTERED.pop("test-numbers")
    words = any(isinstance(number, str) for number in numbers)
    assert [cell for (cell,) in cells] == [str(n) if words else n for n in numbers]


def test_any_text_stays_unchanged(table: Table) -> None:
    texts = [hostile.EVERYTHING, hostile.LONG, "http://example.org", "1e5", "=1+1", "{=1}", "@A1"]
    rows = [{"id": n, "name": text, "cost": 0, "at": None} for n, text in enumerate(texts)]
    for form in ("jsonl", "xlsx", "parquet"):
        state = table.read({"cols": ["name"], "sort": ["cost"], "export": [form]})
        answer = export_table(RequestFactory().get("/"), state, ListSource(rows), list)
        raw = b"".join(answer)
        read = [row[0] for row in READERS[form](raw)[1:]]
        assert form != "xlsx" or kinds_of_cells(raw) == {"s"}
        # Excel keeps line ends and control characters in its own way.
        assert read[1:] == texts[1:]
        assert form == "xlsx" or read[0] == texts[0]


def kinds_of_cells(raw: bytes) -> set[str]:
    """Of the first column, below its head: "s" is a text, "f" a formula, "n" a number."""
    sheet: Any = openpyxl.load_workbook(io.BytesIO(raw)).worksheets[0]
    assert not sheet._hyperlinks
    return {sheet.cell(row, 1).data_type for row in range(2, sheet.max_row + 1)}


def test_unknown_file_format_is_a_page(table: Table) -> None:
    for text in ("", "exe", "csv\x00", "../csv", "CSV"):
        assert not table.read({"export": [text]}).export


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (1, "0.000000001"), (-4_589_800, "-0.0045898"), (10**9, "1.00"),
     (2**63 - 1, "9223372036.854775807")],
)  # fmt: skip
def test_money_in_a_file_is_exact(nano: int, text: str) -> None:
    assert usd(nano) == usd(Decimal(nano)) == text


def test_badge_in_a_file_is_its_label() -> None:
    assert values_of(Column("x", "X", "badge"), [{"x": Badge("On", "ok")}]) == ["On"]


def test_links_lead_to_the_four_ends(table: Table) -> None:
    def read_page(query: dict[str, list[str]]) -> pages.TablePage:
        return page_of("/list", table.read(query | {"rows": ["25"]}), ListSource(ROWS * 1))

    first = read_page({})
    assert (first.first_href, first.previous_href, first.next_href, first.last_href) == ("",) * 4
    rows = [{**row, "id": n} for n, row in enumerate(ROWS * 3)]
    source = ListSource(rows)
    page = page_of("/list", table.read({"rows": ["25"]}), source)
    assert page.previous_href == page.first_href == ""
    assert "after=" in page.next_href
    assert page.last_href == "?rows=25&before=end"
    last = page_of("/list", table.read({"rows": ["25"], "before": ["end"]}), source)
    assert last.first_href == "?rows=25"
    assert last.next_href == last.last_href == ""
    assert last.here == "/list?rows=25&before=end"
    assert last.plain == "/list"
    assert [head.column.name for head in page.heads if head.href] == ["name", "cost"]
    assert page.heads[1].text == "Cost, USD"


def test_column_head_names_its_unit_in_the_readers_language() -> None:
    head = pages.Head(Column("cost", "Cost", "money", unit="USD"), "", 0, "", "")
    assert head.text == "Cost, USD"
    with translation.override("zh-hans"):
        assert head.text == "Cost（USD）"
