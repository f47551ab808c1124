"""Texts that the product wrote, in a file beside the test that compares them with what it writes
today. A person has read each of them.

    === title
    the text

Titles of one group begin with its name: `topup.paid`, `topup.paid, available=None`. A group whose
texts have changed is written anew with `RECORD_TEXTS=1 make test ARGS="-n 0 tests/…"`; what changed
in the file is then to be read, as git shows it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

RECORDING: Final = bool(os.environ.get("RECORD_TEXTS"))
_MARK: Final = "=== "


class GoldenTexts:
    """The texts of one file, by title."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def groups(self) -> set[str]:
        return {_group(title) for title in self._read()}

    def check(self, group: str, texts: Mapping[str, str]) -> None:
        """Check that the file has these texts of a group, and no others. They are trimmed."""
        found = {title: _trimmed(text) for title, text in texts.items()}
        assert {_group(title) for title in found} <= {group}
        if RECORDING:
            self._write(group, found)
        assert found == self.read(group), f"{self._path.name}: see tests/support/golden_texts.py"

    def read(self, group: str) -> dict[str, str]:
        """The texts of a group by their titles."""
        return {title: text for title, text in self._read().items() if _group(title) == group}

    def _read(self) -> dict[str, str]:
        if RECORDING and not self._path.exists():
            return {}
        sections = f"\n{self._path.read_text()}".split(f"\n{_MARK}")[1:]
        parts = (section.partition("\n") for section in sections)
        return {title: _trimmed(text) for title, _, text in parts}

    def _write(self, group: str, texts: Mapping[str, str]) -> None:
        others = {title: text for title, text in self._read().items() if _group(title) != group}
        groups = sorted({_group(title) for title in others} | {group})
        by_title = [
            (title, text)
            for name in groups
            for title, text in (texts if name == group else others).items()
            if _group(title) == name
        ]
        self._path.write_text("\n".join(f"{_MARK}{title}\n{text}\n" for title, text in by_title))


def _group(title: str) -> str:
    return title.partition(",")[0]


def _trimmed(text: str) -> str:
    lines = (line.rstrip() for line in text.splitlines())
    # A line of the text is no title.
    return re.sub(r"^=== ", "==== ", "\n".join(lines), flags=re.MULTILINE).strip("\n")
