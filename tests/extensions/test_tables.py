"""Each entry of each table of the room: states of providers, columns of other hubs."""

from pathlib import Path
from typing import Final

from tests.support.golden_texts import GoldenTexts
from tests.support.tables import tables

TABLES: Final = GoldenTexts(Path(__file__).with_name("tables.txt"))
# The outlines show the pages of the reference; settings are those of the environment.
LEFT_OUT: Final = ("reference", "settings")


def test_each_table_has_its_entries() -> None:
    found = tables("extensions", LEFT_OUT)
    TABLES.check("extensions", {f"extensions, {place}": text for place, text in found.items()})
