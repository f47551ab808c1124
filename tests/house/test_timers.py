"""Every timer and task has a row that says when it begins, what cancels it and when it fires (F8,
F9): what nobody cancels cuts somebody else's answer."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.house.parsed import nodes_of, tree_of
from tests.house.test_style import ROOMS, ROOT
from tests.house.timers import TASKS, TIMERS, Task, Timer
from tests.relay import test_moved_clock

_TIMERS: Final = frozenset({"call_later", "call_at"})
_TASKS: Final = frozenset(
    {"create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe", "start_soon"}
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Started(NamedTuple):
    """How many a place starts, and the functions of its file that cancel what holds them."""

    times: int
    cancelled_by: frozenset[str]


@cache
def started() -> Mapping[tuple[str, bool], Started]:
    """What each place starts, timers and tasks apart."""
    found: dict[tuple[str, bool], Started] = {}
    for room in (*ROOMS, "stack"):
        for path in sorted((ROOT / room).rglob("*.py")):
            source = path.read_text()
            if any(name in source for name in _TIMERS | _TASKS):
                for key, by in _started_in(path):
                    before = found.get(key, Started(0, frozenset()))
                    found[key] = Started(before.times + 1, before.cancelled_by | by)
    return found


def _started_in(path: Path) -> Iterator[tuple[tuple[str, bool], frozenset[str]]]:
    """Each start of a file: its place, whether it is a timer, and what cancels it."""
    tree = tree_of(path)
    parents = {child: node for node in nodes_of(path) for child in ast.iter_child_nodes(node)}
    cancels = _cancels(tree, parents)
    for node in nodes_of(path):
        name = _name(node)
        if isinstance(node, ast.Attribute | ast.Name) and name in _TIMERS | _TASKS:
            place = f"{path.relative_to(ROOT)}:{_function_of(node, parents)}"
            holders = _holders(node, parents)
            by = frozenset[str]().union(*(cancels.get(one, frozenset()) for one in holders))
            yield (place, name in _TIMERS), by


def _function_of(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> str:
    names = []
    while node in parents:
        node = parents[node]
        if isinstance(node, _FUNCTIONS):
            names.append(node.name)
    return ".".join(reversed(names))


def _holders(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> set[str]:
    """The names that hold what is started: those that it is assigned to, and the collections that
    it is added to."""
    while not isinstance(node, ast.stmt):
        node = parents[node]
    held = set[str]()
    if isinstance(node, ast.Assign | ast.AnnAssign):
        held |= {_name(target) for target in _targets(node)}
    elif isinstance(node, ast.Expr):
        held |= _added_to(node)
    function = parents[node]
    while not isinstance(function, _FUNCTIONS):
        function = parents[function]
    for other in ast.walk(function):
        if isinstance(other, ast.Expr) and held & {_name(one) for one in _arguments(other)}:
            held |= _added_to(other)
        elif isinstance(other, ast.Assign) and _name(other.value) in held:
            held |= {_name(target) for target in other.targets}
    return held


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _arguments(node: ast.Expr) -> list[ast.expr]:
    return node.value.args if isinstance(node.value, ast.Call) else []


def _added_to(node: ast.Expr) -> set[str]:
    called = node.value.func if isinstance(node.value, ast.Call) else None
    is_added = isinstance(called, ast.Attribute) and called.attr in ("add", "append")
    return {_name(called.value)} if is_added else set()  # type: ignore[union-attr]


def _cancels(tree: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> Mapping[str, frozenset[str]]:
    """The functions that cancel what a name holds, also one after the other of a collection."""
    cancelled: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == "cancel":
            held = _name(called.value)
            for name in [*_looped_over(node, held, parents)] or [held]:
                cancelled.setdefault(name, set()).add(_function_of(node, parents))
    return {name: frozenset(functions) for name, functions in cancelled.items()}


def _looped_over(node: ast.AST, name: str, parents: Mapping[ast.AST, ast.AST]) -> Iterator[str]:
    """What a loop whose variable has that name goes over, also by way of another variable."""
    collections = set[str]()
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.For) and _name(node.target) == name:
            collections |= {_name(one) for one in ast.walk(node.iter)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for other in ast.walk(node):
                if isinstance(other, ast.Assign) and _name(other.targets[0]) in collections:
                    collections |= {_name(one) for one in ast.walk(other.value)}
            break
    yield from collections - {""}


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def places(*, timers: bool) -> Mapping[str, Started]:
    return {place: one for (place, is_timer), one in started().items() if is_timer == timers}


def test_every_timer_and_task_has_a_row() -> None:
    """A new one gets one, in `tests/house/timers.py`."""
    assert {place: one.times for place, one in places(timers=True).items()} == {
        place: row.times for place, row in TIMERS.items()
    }
    assert {place: one.times for place, one in places(timers=False).items()} == {
        place: row.times for place, row in TASKS.items()
    }


def test_each_timer_is_cancelled_as_its_row_says() -> None:
    found = {**places(timers=True), **places(timers=False)}
    rows: dict[str, Timer | Task] = {**TIMERS, **TASKS}
    both = TIMERS.keys() & TASKS.keys()
    wrong = {
        place: one.cancelled_by
        for place, one in found.items()
        if place not in both and one.cancelled_by != frozenset(rows[place].cancelled_by)
    }
    assert (wrong, both) == ({}, {"relay/downstream/downstream.py:KeepAlive._look"})


def test_each_timer_runs_under_a_moved_clock() -> None:
    """Or ends nothing that anybody waits for."""
    named = {
        name for row in TIMERS.values() if not isinstance(row.moved, str) for name in row.moved
    }
    assert named == {name for name in vars(test_moved_clock) if name.startswith("test_")}
