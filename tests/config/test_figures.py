"""W30 to W85: what a list shows is what was done. Each column of a figure on its page, in its files
and in the API, against a figure that the test alone computes (`tests/config/figures.py`)."""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import openpyxl
import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from pytest_django.plugin import DjangoDbBlocker

from lib.tables.table import NUMERIC, REGISTERED
from tests.config.figures import TABLES, About, Listed, do_all
from tests.support import cast
from tests.support.golden_texts import GoldenTexts

pytestmark = pytest.mark.django_db

FIGURES: Final = NUMERIC | {"meter"}
MONEY: Final = ("money", "total", "meter", "price")
# How a file calls a figure of that kind.
UNITS: Final = {
    "money": "_usd", "total": "_usd", "meter": "_usd", "price": "_usd_per_1m", "duration": "_ms",
}  # fmt: skip
# Between them, they have a column of each kind.
BOOKS: Final = ("requests", "budgets", "prices")
_MS: Final = {"ms": 1, "s": 1_000, "min": 60_000}
_CELL: Final = re.compile(r'<t[dh][^>]*\sdata-c="(\w+)"[^>]*>(.*?)</t[dh]>', re.DOTALL)


FILES: Final = GoldenTexts(Path(__file__).with_name("files.txt"))
# Ids, times and secrets are others each time.
_CHANGING: Final = re.compile(
    r"\b[0-9A-HJKMNP-TV-Z]{26}\b|\b[0-9a-f]{16,64}\b|(?<=sk-weir-)\S+|\b[A-Z][a-z]+ 20\d\d\b"
    r"|\b20\d\d-\d\d-\d\d(?:[T ][0-9:.]+(?:\+00:00|Z)?)?"
)
# What depends on how much of the month is over.
_FORECAST: Final = {"forecast"}


@dataclass(frozen=True)
class Shown:
    """What one list shows of its record: by column, as the page, the CSV file, the workbook and the
    API have it."""

    page: Mapping[str, str]
    name: str
    file: Mapping[str, str]
    book: Mapping[str, Any]
    item: Mapping[str, Any]


@pytest.fixture(scope="module")
def seen(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> tuple[Mapping[str, Listed], Mapping[str, Shown]]:
    """The known records and what is shown of them; of what is done nothing stays."""
    # Tables register themselves where the addresses are read.
    assert get_resolver().url_patterns
    with django_db_blocker.unblock(), transaction.atomic():
        people = cast.assemble()
        records = do_all(people)
        clients = {
            who: cast.signed_in(getattr(people, who)) for who in ("alice", "charlie", "dora")
        }
        shown = {name: _shown(name, one, clients[one.who]) for name, one in records.items()}
        transaction.set_rollback(True)
    return records, shown


def _shown(table: str, listed: Listed, client: Client) -> Shown:
    every = ",".join(column.name for column in REGISTERED[table].columns)
    path, _, chosen = listed.path.partition("?")
    query = {"cols": every, **dict(parse_qsl(chosen))}
    page = client.get(path, query, headers={"HX-Request": "true"}).content.decode()
    rows = [{name: _text(cell) for name, cell in _CELL.findall(row)} for row in page.split("</tr>")]
    name, raw = _read(client, path, {**query, "export": "csv"})
    files = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    return Shown(
        _row_of(listed.row, rows),
        name,
        _row_of(listed.row, files),
        _row_of(listed.row, _book(client, path, query)) if table in BOOKS else {},
        _item(client, listed),
    )


def _text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _read(client: Client, path: str, query: Mapping[str, str]) -> tuple[str, bytes]:
    """The name and the bytes of a file."""
    answer: Any = client.get(path, query, follow=True)
    return answer["Content-Disposition"], b"".join(answer.streaming_content)


def _book(client: Client, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    _, raw = _read(client, path, {**query, "export": "xlsx"})
    (sheet,) = openpyxl.load_workbook(io.BytesIO(raw)).worksheets
    heads, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(map(str, heads), row, strict=True)) for row in rows]


def _item(client: Client, listed: Listed) -> dict[str, Any]:
    if listed.api is None:
        return {}
    answer = json.loads(client.get(f"/api/v1{listed.api.path}").content)
    item: Any = _row_of(listed.api.item, answer["items"])
    figures = {}
    for column, path in listed.api.fields.items():
        value = item
        for part in path.split("."):
            value = value.get(part) if value else None
        figures[column] = value
    return figures


def _row_of(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row or item that has the text in one of its columns."""
    found = [row for row in rows if name.lower() in {str(value).lower() for value in row.values()}]
    return found[0] if len(found) == 1 else {"": f"{len(found)} rows have {name}"}


def test_every_list_of_figures_has_a_known_record() -> None:
    """A new column of a figure gets what it has to show of its list's record."""
    assert get_resolver().url_patterns
    lists = {name for name, table in REGISTERED.items() if _figures_of(name)}
    assert lists == TABLES.keys() == FILES.groups()


def _figures_of(table: str) -> dict[str, str]:
    return {one.name: one.kind for one in REGISTERED[table].columns if one.kind in FIGURES}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_list_shows_the_actual_figures(seen: Any, table: str) -> None:
    records, shown = seen
    listed, kinds = records[table], _figures_of(table)
    assert listed.figures.keys() == kinds.keys()
    wrong = []
    for name, kind in kinds.items():
        figure, page = listed.figures[name], shown[table].page.get(name, "")
        if name in listed.shown or isinstance(figure, str):
            right = listed.shown.get(name, figure) == page
        else:
            right = _is_about(figure, *read_shown(kind, page))
        if not right:
            wrong.append(f"{name}: {page!r}, not {figure}")
    assert wrong == [], shown[table].page


@pytest.mark.parametrize("table", sorted(TABLES))
def test_file_and_api_contain_the_actual_figures(seen: Any, table: str) -> None:
    records, shown = seen
    listed, kinds, wrong = records[table], _figures_of(table), []
    for name, kind in kinds.items():
        figure, column = listed.figures[name], f"{name}{UNITS.get(kind, '')}"
        values = {"file": shown[table].file.get(column)}
        if table in BOOKS:
            values["workbook"] = shown[table].book.get(column)
        if name in shown[table].item:
            values["API"] = shown[table].item[name]
        for where, value in values.items():
            if isinstance(figure, str):
                right = str(value).lstrip("'") == figure
            else:
                exact = Decimal(str(value or 0)) * (10**9 if kind in MONEY else 1)
                # A workbook's numbers are floats of 15 digits.
                right = _is_about(figure, exact.quantize(1), Decimal(0))
            if not right:
                wrong.append(f"{where}: {name} is {value!r}, not {figure}")
    fields = listed.api.fields if listed.api else {}
    assert shown[table].item.keys() == fields.keys()
    assert wrong == []


@pytest.mark.parametrize("table", sorted(TABLES))
def test_file_has_its_name_its_columns_and_its_row(seen: Any, table: str) -> None:
    """`files.txt`: also what is no figure."""
    _, shown = seen
    lines = [_CHANGING.sub("§", shown[table].name)]
    for name, value in shown[table].file.items():
        lines.append(f"{name}: {'~' if name in _FORECAST else _CHANGING.sub('§', value)}")
    FILES.check(table, {table: "\n".join(lines)})


def _is_about(figure: int | About, value: Decimal, half: Decimal) -> bool:
    """Whether a value that is exact to `half` of its last digit is that figure."""
    if isinstance(figure, About):
        return abs(value - figure.value) * 100 <= figure.value * figure.percent
    return abs(value - figure) <= half


def read_shown(kind: str, text: str) -> tuple[Decimal, Decimal]:
    """The figure that a page shows, in nano, milliseconds or units, and half of its last digit."""
    text = text.replace(",", "").replace("\N{MINUS SIGN}", "-")
    if kind == "duration":
        parts = re.findall(r"([\d.]+) (ms|s|min)\b", text)
        value = sum((Decimal(digits) * _MS[unit] for digits, unit in parts), Decimal(0))
        last = 5 if "." in text else 500 if "min" in text else 0
        return (value, Decimal(last)) if parts else (Decimal(-1), Decimal(0))
    found = re.search(r"(-?)\$?(\d+(?:\.\d+)?)", text)
    if found is None:
        return Decimal(-1), Decimal(0)
    sign, digits = found.groups()
    value = Decimal(f"{sign}{digits}")
    if kind not in MONEY:
        return value, Decimal(0)
    places = len(digits.partition(".")[2])
    half = Decimal(10**9).scaleb(-places) / 2
    # An amount below a cent stands as such.
    return (half, half) if text.startswith("<") else (value * 10**9, half)
