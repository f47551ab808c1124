"""Python files, each parsed once for all tests of a process."""

import ast
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@contextmanager
def uncollected() -> Iterator[None]:
    """While millions of nodes are made, and none of them is garbage, the collector would look at
    all of them again and again, for three quarters of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@cache
def tree_of(path: Path) -> ast.Module:
    with uncollected():
        return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> Sequence[ast.AST]:
    """Every node of a file, in the order of `ast.walk`."""
    with uncollected():
        return list(ast.walk(tree_of(path)))
