"""A file holds exactly what the page was filtered to, in its columns and its order, exactly."""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory
from django.utils import timezone, translation

from lib.tables import pages
from lib.tables.pages import export_table, exported, page_of, usd
from lib.tables.sources import ListSource
from lib.tables.table import REGISTERED, Badge, Column, Table

ROWS = [
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


def test_an_export_is_all_of_it(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (1, "0.000000001"), (-4_589_800, "-0.0045898"), (10**9, "1.00"),
     (2**63 - 1, "9223372036.854775807")],
)  # fmt: skip
def test_money_in_a_file_is_exact(nano: int, text: str) -> None:
    assert usd(nano) == text
    assert exported(Column("x", "X", "money"), {"x": nano}) == text


def test_a_badge_in_a_file_is_its_word() -> None:
    assert exported(Column("x", "X", "badge"), {"x": Badge("On", "ok")}) == "On"


def test_links_lead_to_the_four_ends(table: Table) -> None:
    def shown(query: dict[str, list[str]]) -> pages.TablePage:
        return page_of("/list", table.read(query | {"rows": ["25"]}), ListSource(ROWS * 1))

    first = shown({})
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


def test_the_head_of_a_column_names_its_unit_as_the_language_does() -> None:
    head = pages.Head(Column("cost", "Cost", "money", unit="USD"), "", 0, "", "")
    assert head.text == "Cost, USD"
    with translation.override("zh-hans"):
        assert head.text == "Cost（USD）"
