"""Two jobs with one advisory lock hold each other up, and each reports a good run. So each fixed
number has its name in one registry, whose numbers differ."""

import re
from typing import Final

from lib.database.advisory_locks import AdvisoryLock
from tests.house.test_style import ROOMS, ROOT

_REGISTRY: Final = ROOT / "lib" / "database" / "advisory_locks.py"
_BY_HAND: Final = re.compile(r"advisory(_xact)?_(lock|unlock)\w*\(\s*\d")


def test_no_lock_has_a_number_of_its_own() -> None:
    numbers = re.compile(
        rf"{_BY_HAND.pattern}|\b({'|'.join(str(int(one)) for one in AdvisoryLock)})\b"
    )
    assert numbers.search(_REGISTRY.read_text())
    assert numbers.search("SELECT pg_try_advisory_xact_lock(17)")
    files = [file for room in (*ROOMS, "stack") for file in (ROOT / room).rglob("*.py")]
    assert [file for file in files if numbers.search(file.read_text())] == [_REGISTRY]


def test_hashed_names_are_none_of_them() -> None:
    """`hashtext` gives 32 bits, with their sign."""
    assert min(AdvisoryLock) >= 1 << 31
