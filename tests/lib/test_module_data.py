"""Tables, patterns and numbers of the room lib, and members of records, as they were recorded."""

from pathlib import Path

from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import data_of_room

TEXTS = GoldenTexts(Path(__file__).with_name("module_data.txt"))


def test_tables_and_members_of_records_are_unchanged() -> None:
    """An entry that was lost, or copied from the one above, is found here, whatever it decides."""
    TEXTS.check("lib", {f"lib, {name}": text for name, text in data_of_room("lib").items()})
