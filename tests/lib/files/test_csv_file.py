"""No cell of any table that people download is a formula of somebody's (CSV injection)."""

import csv
import io

import pytest

from lib.files.csv_file import csv_file
from tests.house.test_style import ROOMS, ROOT
from tests.support.hostile import STORABLE

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠a",
]
NUMBERS = ["-5.00", "0", "12.5", "-0.000000001"]


def written(*cells: object) -> list[str]:
    text = csv_file("a.csv", [cells]).content.decode()
    (row,) = csv.reader(io.StringIO(text, newline=""))
    return row


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_text_is_no_formula_in_any_column(text: str) -> None:
    for place in range(3):
        cells = ["a", "b", "c"]
        cells[place] = text
        assert written(*cells)[place] == f"'{text}"


def test_numbers_and_other_texts_stay_unchanged() -> None:
    assert written(*NUMBERS, 7, -7, None, "") == [*NUMBERS, "7", "-7", "", ""]
    assert written(*[text for text in STORABLE if text[0] != "="]) == [
        text for text in STORABLE if text[0] != "="
    ]


def test_only_one_module_writes_csv() -> None:
    writers = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "csv.writer" in path.read_text() or "DictWriter" in path.read_text()
    ]
    assert writers == ["lib/files/csv_file.py"]
