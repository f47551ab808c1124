"""Names say what a thing is or what a function does, not what became of it.

The words below are participles and verbs that named values of every kind: `found` was a row, a
list, the match of a regular expression and a document. They are forbidden as names of functions,
classes, parameters and variables, with or without an underscore in front, and as the first word of
a function's name. Fields of classes are not looked at: they are columns of the database, members of
the API and of other programs' formats, which are data and not ours to name.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.house.parsed import tree_of

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = (
    "extensions", "config", "playground", "reference", "relay", "gateway", "usage", "billing",
    "content", "notify", "accounts", "outbox", "lib", "stack", "deploy", "docs", "tools", "static",
)  # fmt: skip
BANNED: Final = frozenset(
    {
        "found", "told", "made", "shown", "stated", "said", "stands", "standing", "heard", "given",
        "let_go",
    }
)  # fmt: skip


class _Named:
    """The names that a file gives, each with its line."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: list[tuple[str, int]] = []
        self.classes: list[tuple[str, int]] = []
        self.values: list[tuple[str, int]] = []
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.functions.append((node.name, node.lineno))
                case ast.ClassDef():
                    self.classes.append((node.name, node.lineno))
                case ast.arg():
                    self.values.append((node.arg, node.lineno))
                case ast.Name(ctx=ast.Store()):
                    self.values.append((node.id, node.lineno))
                case ast.ExceptHandler(name=str(name)):
                    self.values.append((name, node.lineno))


def _fields(tree: ast.Module) -> set[int]:
    """The lines of the fields of classes."""
    return {
        field.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, (ast.Assign, ast.AnnAssign))
    }


@cache
def _files() -> tuple[Path, ...]:
    return tuple(
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    )


def _violations(tree: ast.Module) -> Iterator[str]:
    names, fields = _Named(tree), _fields(tree)
    for name, line in names.functions:
        first = name.strip("_").split("_")[0]
        if first in BANNED or name.strip("_") in BANNED:
            yield f"{line}: function {name}"
    for name, line in names.classes:
        if name.strip("_").lower() in BANNED:
            yield f"{line}: class {name}"
    for name, line in names.values:
        if name.strip("_") in BANNED and line not in fields:
            yield f"{line}: {name}"


@pytest.mark.parametrize(
    "text",
    [
        "def _found():\n    pass",
        "def told_apart(names):\n    pass",
        "class Standing:\n    pass",
        "def read(stated):\n    pass",
        "made = 1",
        "values = [said for said in ()]",
        "with x as shown:\n    pass",
    ],
)
def test_each_kind_of_name_is_checked(text: str) -> None:
    assert list(_violations(ast.parse(text)))


def test_fields_and_other_words_are_free() -> None:
    field = "class Order(models.Model):\n    told = models.JSONField()"
    assert not list(_violations(ast.parse(f"{field}\nnot_found = 1\nfounder = 2")))


def test_names_say_what_a_thing_is() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{violation}"
        for path in _files()
        if re.search("|".join(BANNED), path.read_text())
        for violation in _violations(tree_of(path))
    ]
    assert not wrong, "\n".join(wrong)
