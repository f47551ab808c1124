"""What code, tests, templates and documents cite is there: promises by their codes, documents and
their sections, files and tests."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.house.parsed import nodes_of
from tests.house.test_style import ROOT, _files
from tests.runner.lanes import count_of, proofs, times

PROMISES = ROOT / "docs/promises.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
READ = (".py", ".md", ".html", ".js", ".css", ".sql", ".toml", ".yml", ".conf", "Makefile")
# A directive that the fake must refuse.
NO_CODES = {"tests/fakes/tests/test_answers.py": {"F99"}, "tests/house/test_citations.py": {"F99"}}

_CODE = re.compile(r"\b[GIPWF]\d{1,2}[a-z]?\b")
_DOCUMENT = re.compile(r"(?<![\w/.*-])(?:[\w-]+/)*[\w-]+\.md\b")
_SECTION = re.compile(r'((?:[\w-]+/)*[\w-]+\.md),? "([^"]+)"')
_NUMBERED = re.compile(r"[\w-]+\.md,? (?:sections? )?\d|\bADR (\d+)")
_TEST = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")


@cache
def _texts() -> dict[str, str]:
    """What may cite, by its path; lines of comments and of text as one."""
    results = {}
    for suffix in READ:
        for path in _files(suffix):
            name = str(path.relative_to(ROOT))
            if not name.startswith(("static/vendor/", "tests/golden/")):
                results[name] = re.sub(r"\s*\n\s*(?:#(?!#) ?)?", " ", path.read_text())
    return results


def _table(document: Path, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their heads."""
    text = document.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for n, row in enumerate(rows) if n > 0 and not row[0].startswith("---")]


def _codes() -> dict[str, list[str]]:
    headings = ("Promises", "Fault table", "Faults of guards", "Invariants", "Pages")
    rows = [row for heading in headings for row in _table(PROMISES, heading)]
    assert len({row[0] for row in rows}) == len(rows), "a code has two lines"
    return {row[0]: row for row in rows}


def test_every_cited_code_has_its_line() -> None:
    known = set(_codes())
    results = [
        f"{name} cites {code}"
        for name, text in _texts().items()
        for code in sorted(set(_CODE.findall(text)) - known - NO_CODES.get(name, set()))
    ]
    assert results == []


def test_every_line_names_its_test_or_says_there_is_none() -> None:
    words = ("before", "after", "served", "Not proved by a test yet", "–")
    results = [
        code
        for code, row in _codes().items()
        if not _TEST.search(row[-1]) and not row[-1].startswith(words)
    ]
    assert results == []


@cache
def _of_the_suite(file: str) -> set[str]:
    """The tests of a file that `make test` runs, at least in part."""
    return {
        node.name
        for node in nodes_of(ROOT / file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and "pytest.mark.slow" not in map(ast.unparse, node.decorator_list)
        and count_of(f"{file}::{node.name}", 1, times(), proofs())
    }


def test_every_line_has_a_test_in_the_suite() -> None:
    """What only another lane proves is broken unnoticed for a day."""
    results = []
    for code, row in _codes().items():
        cited = _TEST.findall(row[-1])
        if cited and not any(
            function in _of_the_suite(file) if function else _of_the_suite(file)
            for file, function in cited
        ):
            results.append(code)
    assert results == []


def test_no_code_is_left_out() -> None:
    wanted = {f"{letter}{n}" for letter, last in (("P", 28), ("F", 39), ("G", 12), ("I", 25))
              for n in range(1, last + 1)}  # fmt: skip
    wanted |= {"F14a", "F15a", "P29", "P40", *(f"P{n}" for n in range(31, 37))}
    assert {code for code in _codes() if code[0] != "W"} == wanted


@cache
def _functions(file: str) -> set[str]:
    return {
        node.name
        for node in nodes_of(ROOT / file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_named_in_a_document_exists() -> None:
    results = []
    for path in _files(".md"):
        for file, function in _TEST.findall(path.read_text()):
            if not (ROOT / file).is_file():
                results.append(f"{path.name}: {file}")
            elif function and function not in _functions(file):
                results.append(f"{path.name}: {file}::{function}")
    assert results == []


def _places(name: str, cited: str) -> Iterator[Path]:
    yield ROOT / cited
    yield (ROOT / name).parent / cited


@cache
def _headings(document: Path) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE))


def test_every_cited_document_exists() -> None:
    results = [
        f"{name} cites {cited}"
        for name, text in _texts().items()
        for cited in sorted(set(_DOCUMENT.findall(text)))
        if not any(place.is_file() for place in _places(name, cited))
    ]
    assert results == []


def test_every_cited_section_exists() -> None:
    """By its heading: a number would have to be counted again with each new section."""
    results = []
    for name, text in _texts().items():
        for cited, heading in _SECTION.findall(text):
            documents = [place for place in _places(name, cited) if place.is_file()]
            if not any(heading in _headings(document) for document in documents):
                results.append(f'{name} cites {cited}, "{heading}"')
        for match in _NUMBERED.finditer(text):
            if not match[1] or not list((ROOT / "docs/adr").glob(f"{int(match[1]):04}-*.md")):
                results.append(f"{name} cites {match[0]}")
    assert results == []


def test_every_file_that_contributing_names_exists() -> None:
    """It is short on purpose: what a reader looks for is found by `ls`."""
    text = CONTRIBUTING.read_text()
    assert len(text.encode()) <= 10_000
    matches = re.findall(r"`(\w[\w.-]*/[\w./-]+)`", text)
    assert [file for file in matches if not (ROOT / file).exists()] == []
