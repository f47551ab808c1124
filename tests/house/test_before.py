"""What is kept as it was before a change is read before anything changes it: an audit event, an
alert or a page that compares it with what follows would else compare a thing with itself."""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import pytest

from tests.house.sources import FUNCTIONS, Scope, modules, name_of, read_scope
from tests.house.test_saved_fields import row_fields

_FORMER: Final = re.compile(r"^(?:before|earlier|former|previous|prior|old|was)(?:_|$)|_before$")
_ANY: Final = "*"


class Change(NamedTuple):
    """A line of a function that sets a field of a row."""

    line: int
    row: str
    field: str


Changed = Mapping[str, Mapping[int, frozenset[str]]]
"""Of each function of a module, the fields that it sets of each of its parameters."""


def _functions(module: Scope) -> Iterator[Scope]:
    waiting = [module]
    while waiting:
        scope = waiting.pop()
        waiting.extend(scope.inner)
        if isinstance(scope.node, FUNCTIONS):
            yield scope


def _changed_by(module: Scope) -> Changed:
    changed = dict[str, Mapping[int, frozenset[str]]]()
    for scope in _functions(module):
        if isinstance(scope.node, FUNCTIONS):
            names = [one.arg for one in (*scope.node.args.posonlyargs, *scope.node.args.args)]
            fields = [(names.index(row), field) for _, row, field in _sets(scope) if row in names]
            if fields:
                changed[scope.node.name] = {
                    place: frozenset(field for at, field in fields if at == place)
                    for place, _ in fields
                }
    return changed


def _sets(scope: Scope) -> Iterator[Change]:
    for node in scope.nodes:
        for row, field in row_fields(node):
            yield Change(node.lineno, row, field)  # type: ignore[attr-defined]


def _changes(scope: Scope, changed: Changed) -> Iterator[Change]:
    """What a function changes itself, or by a function of its module."""
    yield from _sets(scope)
    for node in scope.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for place, fields in changed.get(node.func.id, {}).items():
                if place < len(node.args) and isinstance(row := node.args[place], ast.Name):
                    yield from (Change(node.lineno, row.id, field) for field in fields)


def _kept(scope: Scope) -> Iterator[tuple[str, Change]]:
    """The names under which a function keeps what was, each with a field that it reads for it."""
    for node in scope.nodes:
        if not isinstance(node, ast.Assign) or not _FORMER.search(name := name_of(node.targets[0])):
            continue
        for one in ast.walk(node.value):
            if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
                yield name, Change(node.lineno, one.value.id, one.attr)
            elif isinstance(one, ast.Call):
                for row in one.args:
                    if isinstance(row, ast.Name):
                        yield name, Change(node.lineno, row.id, _ANY)


def late(module: Scope) -> Iterator[str]:
    """Where a function keeps as former what it has changed before."""
    changed = _changed_by(module)
    for scope in _functions(module):
        kept = list(_kept(scope))
        if not kept:
            continue
        changes = list(_changes(scope, changed))
        for name, read in kept:
            for change in changes:
                if (
                    change.line < read.line
                    and change.row == read.row
                    and read.field in (change.field, _ANY)
                ):
                    yield f"{scope.path}:{scope.name} {name}, {read.row}.{change.field}"


def test_what_was_is_read_before_it_is_changed() -> None:
    assert sorted({one for module in modules() for one in late(module)}) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["before = row.state", "row.state = 1"],
        ["before = facts(row)", "change(row)"],
        ["before = dict(values=row.values)", "row.values['a'] = 1"],
        ["row.other = 1", "before = row.state", "row.state = 1"],
    ],
)
def test_lines_in_the_wrong_order_are_recognised(lines: list[str]) -> None:
    helpers = "def change(row):\n    row.state = 2\n"

    def read(lines: list[str]) -> list[str]:
        text = helpers + "\n    ".join(["def write(row):", *lines])
        return list(late(read_scope("m.py", "", ast.parse(text))))

    assert read(lines) == []
    swapped = [*lines[:-2], lines[-1], lines[-2]]
    assert len(read(swapped)) == 1
