"""A file can be picked up with little else: of each room, how much code a median file needs."""

import io
import tokenize
from functools import cache
from pathlib import Path
from statistics import median_high

import grimp
import pytest

from tests.house.test_style import ROOMS, ROOT

# Lines of code that a median file of the room needs: its own, and those of everything that it
# imports, directly or not. Lower a bound when a room needs less; do not raise one.
MEDIAN_MAX = {
    "extensions": 4_450,
    "config": 6_000,
    "playground": 6_800,
    "reference": 400,
    "relay": 9_600,
    "gateway": 4_600,
    "usage": 3_800,
    "billing": 1_200,
    "content": 3_000,
    "notify": 3_050,
    "accounts": 2_300,
    "outbox": 200,
    "dialects": 2_100,
    "lib": 100,
}
_BLANK = frozenset({tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER})
_STARTS = _BLANK | {tokenize.NEWLINE, None}
_NO_CODE = _BLANK | {tokenize.NEWLINE, tokenize.COMMENT}


def code_lines(text: str) -> int:
    """The lines that are not blank, nor a comment or docstring."""
    lines: set[int] = set()
    before: int | None = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and before in _STARTS
        if not is_docstring and token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type != tokenize.COMMENT:
            before = token.type
    return len(lines)


@cache
def needed_lines() -> dict[str, list[int]]:
    """For each room, the lines that each of its files needs."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    modules = {name for name in graph.modules if ".migrations" not in name}
    sizes = {name: code_lines(_file_of(name).read_text()) for name in modules}
    results: dict[str, list[int]] = {room: [] for room in ROOMS}
    for name in modules:
        if sizes[name]:
            needed = {name, *graph.find_upstream_modules(name)}
            lines = sum(sizes[other] for other in needed & modules)
            results[name.partition(".")[0]].append(lines)
    return results


def _file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_blanks_comments_and_docstrings_are_not_code() -> None:
    text = '"""A file."""\n\nA = """\none\n"""\n\n\n'
    text += 'def f():\n    """Return."""\n    # Why.\n    return A\n'
    assert code_lines(text) == 5


@pytest.mark.parametrize("room", ROOMS)
def test_a_median_file_needs_little_else(room: str) -> None:
    assert median_high(needed_lines()[room]) <= MEDIAN_MAX[room]
