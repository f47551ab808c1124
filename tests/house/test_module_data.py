"""What the modules of each room hold besides functions, as it was recorded: tables of states,
columns, paths and bounds, patterns, and the members of records with their defaults.

An entry that is lost, copied from the one above or swapped with another is found here, whatever it
decides. `RECORD_TEXTS=1` writes the files of `module_data` anew (`tests/support/golden_texts.py`).
"""

from pathlib import Path
from typing import Final

import pytest

from tests.house.test_style import ROOMS
from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import data_of_room

FOLDER: Final = Path(__file__).with_name("module_data")


@pytest.mark.parametrize("room", ROOMS)
def test_tables_and_members_of_records_are_unchanged(room: str) -> None:
    texts = {f"{room}, {name}": text for name, text in data_of_room(room).items()}
    file = FOLDER / f"{room}.txt"
    if texts:
        GoldenTexts(file).check(room, texts)
    else:
        assert not file.exists()
