"""An organisation or a person is locked without their key. Whoever inserts a row that refers to
them, such as an audit event, then does not wait, and so ends in no deadlock."""

import re
from typing import Final

from tests.house.test_style import ROOMS, ROOT

_WITH_ITS_KEY: Final = re.compile(
    r"\b(?:Organisation|User)\.(?:objects|_default_manager)\b[^\n]*?"
    r"\.select_for_update\((?![^)]*no_key=True)"
)


def test_organisations_and_people_are_locked_without_their_key() -> None:
    assert _WITH_ITS_KEY.search("User.objects.filter(a=b).select_for_update().get()")
    assert not _WITH_ITS_KEY.search("User.objects.select_for_update(no_key=True).get()")
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    assert [file for file in files if _WITH_ITS_KEY.search(file.read_text())] == []
