"""What is emptied after an await may have been filled during it: who collects while a write runs
loses what came meanwhile, unless only what was written is dropped."""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from tests.house.sources import Scope, scopes

_EMPTYING: Final = frozenset({"clear"})


def emptied_after_waiting(scope: Scope) -> Iterator[str]:
    """The attributes of an async function that are read, awaited upon, and then emptied."""
    if not isinstance(scope.node, ast.AsyncFunctionDef):
        return
    waits = [
        node.lineno
        for node in scope.nodes
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    reads: dict[str, list[int]] = {}
    emptied: dict[str, list[int]] = {}
    for node in scope.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            reads.setdefault(ast.unparse(node), []).append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _EMPTYING and not node.args:
                emptied.setdefault(ast.unparse(node.func.value), []).append(node.lineno)
        elif isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(node.targets[0].elts, node.value.elts, strict=False))
            for target, value in pairs:
                if isinstance(target, ast.Attribute) and _is_empty(value):
                    emptied.setdefault(ast.unparse(target), []).append(node.lineno)
    for name, lines in emptied.items():
        for line in lines:
            before = [one for one in reads.get(name, ()) if one < line]
            if any(first <= wait <= line for first in before for wait in waits):
                yield f"{scope.path}:{scope.name} {name}"
                break


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Constant) and value.value in (b"", "", 0)


_NOTHING_COMES: Final[Mapping[str, str]] = {
    "relay/content_log/content_log.py:ContentLog.stop self._sent": (
        "a process that stops; the connection to the writer is closed before"
    ),
    "relay/content_log/content_log.py:ContentLog.stop self._waiting": (
        "a process that stops takes no more entries"
    ),
    "relay/content_log/entry_writer.py:EntryWriter._data_key self._data_keys": (
        "one task fills it, and is here"
    ),
    "relay/load/load.py:Load._watch_crowd self._crowded": "an event; the loop looks at the load",
    "relay/front/refresher.py:Refresher.poll self._changed": (
        "an event; what is read after it is newer than what set it"
    ),
    "relay/front/lifespan.py:Lifespan.stop self._tasks": "nothing starts while a process stops",
    "relay/answers/stream.py:StreamChunks.pass_first self.pieces": (
        "no chunk is taken before this function returns"
    ),
    "relay/answers/background.py:BackgroundAnswer.begin self._unwritten": (
        "nothing is added before it has begun"
    ),
}
"""Why nothing comes while they wait."""


def test_nothing_is_lost_that_comes_during_a_wait() -> None:
    """Drop what was written (`del waiting[:taken]`), or write down why nothing can come."""
    found = sorted(one for scope in scopes() for one in emptied_after_waiting(scope))
    assert found == sorted(_NOTHING_COMES)
