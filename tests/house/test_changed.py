"""`make test CHANGED=1` runs what reaches a changed line: by the map of lines where it knows the
file, else by imports, names and folders, and never nothing."""

from collections.abc import Iterable, Sequence
from typing import Final

import pytest

from tests.runner import changed

_DIFFERENCE: Final = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -3,0 +4,2 @@ def f():
+x
+y
@@ -9 +11,0 @@
-z
diff --git a/gone.py b/gone.py
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-x
"""


class Lines:
    """A map of one file, measured but for some test files."""

    def __init__(self, tests: dict[int, set[str]], *missing: str) -> None:
        self._tests, self._missing = tests, missing

    def missing(self, test_files: Iterable[str]) -> Sequence[str]:
        return self._missing

    def reaching(self, file: str, line: int) -> set[str]:
        return self._tests.get(line, set()) if file == "billing/credits/codes.py" else set()


def test_files_and_lines_are_read_from_a_difference() -> None:
    assert dict(changed._hunks(_DIFFERENCE)) == {
        "a.py": [(4, 2), (11, 0)],
        "gone.py": [(0, 0)],
    }


@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("billing/credits/codes.py", "tests/billing/credits/test_codes.py"),
        ("billing/currency/money.py", "tests/relay/metering/test_golden_charges.py"),
        ("usage/overview/views.py", "tests/usage/overview/test_pages.py"),
        ("templates/usage/margin/margin.html", "tests/usage/margin/test_margin.py"),
        ("tests/support/cast.py", "tests/billing/test_pages.py"),
        ("tests/usage/conftest.py", "tests/usage/margin/test_margin.py"),
        ("tests/billing/test_pages.py", "tests/billing/test_pages.py"),
        ("deploy/nginx.conf", "tests/deploy/test_edge.py"),
    ],
)
def test_a_file_is_reached_by_imports_names_and_folders(file: str, reached: str) -> None:
    assert reached in changed.reaching(file)


def test_code_without_known_tests_is_reached_by_all() -> None:
    assert changed.reaching("nowhere/nothing.py") == changed.test_files()


def test_known_lines_choose_their_tests_and_no_others() -> None:
    test = "tests/billing/credits/test_codes.py::test_a"
    known = Lines({7: {test}}, "tests/billing/test_pages.py", "tests/dialects/test_plain.py")
    chosen = changed.choose({"billing/credits/codes.py": {7}}, known)
    others = {file for file in chosen.files if not file.startswith(changed.HOUSE)}
    assert chosen.tests == {test}
    assert others == {"tests/billing/test_pages.py"}
    assert "tests/house/test_style.py" in chosen.files


def test_line_without_known_tests_falls_back_to_imports() -> None:
    known = Lines({7: {"tests/billing/credits/test_codes.py::test_a"}})
    chosen = changed.choose({"billing/credits/codes.py": {7, 8}}, known)
    assert changed.reaching("billing/credits/codes.py") <= chosen.files


def test_missing_map_is_reported() -> None:
    chosen = changed.choose({"billing/credits/codes.py": {7}}, Lines({}, *changed.test_files()))
    assert "There is no map of lines yet" in chosen.notes[0]
    assert "test files by imports and names" in chosen.notes[1]


def test_an_unknown_commit_is_told() -> None:
    with pytest.raises(pytest.UsageError, match="cannot compare with 'nothing'"):
        changed.changed_lines("nothing")
