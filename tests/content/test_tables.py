"""Each entry of each table of the room: rules, guards and detectors."""

from pathlib import Path
from typing import Final

from tests.support.golden_texts import GoldenTexts
from tests.support.tables import tables

TABLES: Final = GoldenTexts(Path(__file__).with_name("tables.txt"))


def test_each_table_has_its_entries() -> None:
    found = tables("content")
    TABLES.check("content", {f"content, {place}": text for place, text in found.items()})
