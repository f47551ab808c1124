"""The statements that delete or change several rows at once, as they stand in the code, with the
conditions that their functions give them."""

import ast
import copy
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.house.parsed import nodes_of
from tests.house.test_style import ROOMS, ROOT

_VERBS: Final = ("delete", "update")
_VERB: Final = re.compile(r"\.(delete|update)\(")
# A row by its key is that row: there is no neighbour.
_KEYS: Final = frozenset({"id", "pk"})


def statements() -> Iterator[str]:
    """Each statement: the file, the function, the rows and what is done to them."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            if {"migrations", "demo_data.py"} & {*path.parts} or not _VERB.search(text):
                continue
            where = path.relative_to(ROOT)
            for function in nodes_of(path):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    for one in _statements_in(function):
                        yield f"{where} {function.name}: {one}"


def _statements_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    local = _local_rows(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in _VERBS:
            rows = _Inline(local).visit(copy.deepcopy(node.func.value))
            if any(not _is_by_key(one) for one in _conditions(rows)):
                yield f"{ast.unparse(rows)}.{node.func.attr}"


def _conditions(rows: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(rows):
        func = node.func if isinstance(node, ast.Call) else None
        if isinstance(func, ast.Attribute) and func.attr in ("filter", "exclude"):
            yield node  # type: ignore[misc]


def _is_by_key(call: ast.Call) -> bool:
    return not call.args and {str(one.arg) for one in call.keywords} <= _KEYS


def _local_rows(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Mapping[str, ast.expr]:
    """The names that a function gives to rows and conditions, once."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
    texts = ("Q(", ".filter(", ".exclude(", ".objects")
    one = (".first()", ".get(", ".create(", "get_or_create(")
    return {
        name: found[0]
        for name, found in values.items()
        if len(found) == 1
        and any(text in ast.unparse(found[0]) for text in texts)
        and not any(text in ast.unparse(found[0]) for text in one)
    }


class _Inline(ast.NodeTransformer):
    def __init__(self, local: Mapping[str, ast.expr], depth: int = 4) -> None:
        self._local, self._depth = local, depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._local.get(node.id) if self._depth else None
        if value is None:
            return node
        inner: ast.expr = _Inline(self._local, self._depth - 1).visit(copy.deepcopy(value))
        return inner


def conditions_of(statement: str) -> int:
    """How many conditions a statement has."""
    (rows,) = ast.parse(statement.split(": ", 1)[1]).body
    calls = list(_conditions(rows))
    return sum(len(call.args) + len(call.keywords) for call in calls)
