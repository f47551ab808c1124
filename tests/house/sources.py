"""The product's code, parsed once for all tests that read it: each function with what it holds."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from tests.house.parsed import tree_of, uncollected
from tests.house.test_style import ROOMS, ROOT

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES: Final = (*FUNCTIONS, ast.ClassDef)
# Nothing is in them that a test looks for, and most nodes are such.
_LEAVES: Final = frozenset(
    {ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del, ast.alias, ast.arg, ast.Pass}
)


class Scope(NamedTuple):
    """A function, class or module: its file, its name (`Class.method`, "" of a module), the nodes
    in it but names, constants and what its own functions and classes hold, and those scopes."""

    path: str
    name: str
    node: ast.AST
    nodes: Sequence[ast.AST]
    inner: "Sequence[Scope]"


@cache
def trees() -> Sequence[tuple[str, ast.Module]]:
    paths = [path for room in (*ROOMS, "stack") for path in sorted((ROOT / room).rglob("*.py"))]
    return [
        (str(path.relative_to(ROOT)), tree_of(path))
        for path in paths
        if "migrations" not in path.parts
    ]


@cache
def modules() -> Sequence[Scope]:
    """Each module with its scopes in it."""
    parsed = trees()
    with uncollected():
        return [read_scope(path, "", tree) for path, tree in parsed]


def scopes() -> Iterator[Scope]:
    waiting = list(modules())
    while waiting:
        scope = waiting.pop()
        yield scope
        waiting.extend(scope.inner)


def read_scope(path: str, name: str, node: ast.AST) -> Scope:
    """A scope with those in it."""
    nodes, inner, waiting = [], [], [node]
    while waiting:
        for value in vars(waiting.pop()).values():
            for one in value if type(value) is list else (value,):
                if not isinstance(one, ast.AST) or type(one) in _LEAVES:
                    continue
                nodes.append(one)
                if isinstance(one, _SCOPES):
                    inner.append(read_scope(path, f"{name}.{one.name}".lstrip("."), one))
                else:
                    waiting.append(one)
    return Scope(path, name, node, nodes, inner)


def name_of(node: ast.AST | None) -> str:
    """The last name of an expression, "" if it has none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
