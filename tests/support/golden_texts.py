"""Texts that the product wrote, in a file beside the test that compares them with what it writes
today. Whoever changes one reads the difference.

    === title
    the text

Titles of one group begin with its name: `topup.paid`, `topup.paid, available=None`. A group whose
texts have changed is written anew with `RECORD_TEXTS=1 make test ARGS="-n 0 tests/…"`; what changed
in the file is then to be read, as git shows it.
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

RECORDING: Final = bool(os.environ.get("RECORD_TEXTS"))
_MARK: Final = "=== "
LINE_MAX: Final = 400
"""How many letters of a line a difference shows."""


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
        wanted = self.read(group)
        assert found == wanted, difference(self._path, _lines(wanted), _lines(found))

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


def difference(path: Path, wanted: Sequence[str], found: Sequence[str]) -> str:
    """How what was found differs from the lines of a file, as a diff; "" if it does not."""
    diff = difflib.unified_diff(wanted, found, path.name, "found", lineterm="", n=2)
    lines = [line[:LINE_MAX] for line in diff]
    return "\n".join((*lines, "See tests/support/golden_texts.py.")) if lines else ""


def _lines(texts: Mapping[str, str]) -> list[str]:
    return [line for title in sorted(texts) for line in (_MARK + title, *texts[title].splitlines())]


def _group(title: str) -> str:
    return title.partition(",")[0]


def _trimmed(text: str) -> str:
    lines = (line.rstrip() for line in text.splitlines())
    # A line of the text is no title.
    return re.sub(r"^=== ", "==== ", "\n".join(lines), flags=re.MULTILINE).strip("\n")
