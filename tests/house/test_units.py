"""A number has the unit that its name ends with (`wait_ms`, `charge_nano`), and keeps it: what has
another unit is not assigned to it, passed for it, added to it, compared with it or returned as it,
unless it is converted by the factor between the two."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Final

import pytest

from tests.house.sources import FUNCTIONS, Scope, name_of, read_scope, scopes

# How many of the least one a unit is. Units of different groups are never converted.
_TIMES: Final = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "minutes": 60 * 10**9, "hours": 3600 * 10**9,
    "days": 86_400 * 10**9,
}  # fmt: skip
_MONEY: Final = {"nano": 1, "usd": 10**9}
_SHARES: Final = {"ppm": 1, "percent": 10**4}
_GROUPS: Final = (_TIMES, _MONEY, _SHARES, {"bytes": 1}, {"tokens": 1})
_UNITS: Final = {unit for group in _GROUPS for unit in group}
# What may follow a unit in a name.
_BOUNDS: Final = frozenset({"max", "min"})
_SAME_UNIT: Final = frozenset(
    {"min", "max", "sum", "abs", "round", "int", "float", "ceil", "floor"}
)


def unit_of(name: str) -> str:
    """The unit that a name ends with, "" for none."""
    parts = name.lower().split("_")
    while len(parts) > 1 and parts[-1] in _BOUNDS:
        parts.pop()
    last = parts[-1] if len(parts) > 1 else ""
    # A rate is in units of something else.
    return last if last in _UNITS and "per" not in parts else ""


def units(node: ast.expr | None) -> set[str]:
    """The units that an expression has, as far as its names say."""
    if isinstance(node, ast.Name | ast.Attribute):
        return {unit_of(name_of(node))} - {""}
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return {unit_of(key.value)} - {""}
        return set()
    if isinstance(node, ast.IfExp):
        return units(node.body) | units(node.orelse)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return set().union(*map(units, node.values))
    if isinstance(node, ast.NamedExpr | ast.Await | ast.Starred):
        return units(node.value)
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        return units(node.operand)
    if isinstance(node, ast.Call):
        name = name_of(node.func)
        if name in _SAME_UNIT:
            return set().union(*map(units, node.args))
        if name.startswith("parse_"):
            # It is called by what it reads, and returns something else.
            return set()
        return {unit_of(name)} - {""}
    if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
        return units(node.elt)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Add | ast.Sub):
            return units(node.left) | units(node.right)
        return _converted(node)
    return set()


def _converted(node: ast.BinOp) -> set[str]:
    """The unit of a product or quotient with a constant: the one that the factor leads to."""
    factor, other = _number(node.right), node.left
    if factor is None and isinstance(node.op, ast.Mult):
        factor, other = _number(node.left), node.right
    if not factor:
        return set()
    if isinstance(node.op, ast.Div | ast.FloorDiv):
        factor = 1 / factor
    elif not isinstance(node.op, ast.Mult):
        return set()
    found = set[str]()
    for unit in units(other):
        group = next(group for group in _GROUPS if unit in group)
        size = group[unit] / factor
        into = next((one for one, other_size in group.items() if other_size == size), "")
        if into:
            found.add(into)
        elif len(group) > 1:
            is_larger = 1 / _ANY_FACTOR < factor < _ANY_FACTOR
            found.add(unit if is_larger else f"{unit} times {factor}")
    return found


# By smaller factors a number is made larger or smaller, not converted.
_ANY_FACTOR: Final = 100


def _number(node: ast.expr) -> Fraction | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Pow):
        left, right = _number(node.left), _number(node.right)
        if left is not None and right is not None:
            return left * right if isinstance(node.op, ast.Mult) else left ** int(right)
    return None


@cache
def parameters() -> Mapping[str, Sequence[str]]:
    """The positional parameters of each function and class whose name stands for these alone."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for scope in scopes():
        for node in scope.nodes:
            if isinstance(node, FUNCTIONS):
                names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
                if names[:1] in (["self"], ["cls"]):
                    names = names[1:]
                if node.name != "__init__":
                    found[node.name].add(tuple(names))
            elif isinstance(node, ast.ClassDef):
                found[node.name].add(tuple(_fields(node)))
    return {name: next(iter(ways)) for name, ways in found.items() if len(ways) == 1}


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            yield from (arg.arg for arg in one.args.args[1:])
            return
    for one in node.body:
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
            continue
        if name_of(getattr(one.annotation, "value", one.annotation)) != "ClassVar":
            yield one.target.id


def _meetings(node: ast.AST, function: str) -> Iterator[tuple[str, set[str], ast.expr | None]]:
    """Where a unit meets an expression: what has the unit, the unit, and the expression."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
        if not isinstance(node, ast.AugAssign) or isinstance(node.op, ast.Add | ast.Sub):
            yield from _assigned(node.target, node.value)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg:
                yield keyword.arg, {unit_of(keyword.arg)}, keyword.value
        names = parameters().get(name_of(node.func), ())
        if not any(isinstance(one, ast.Starred) for one in node.args):
            for name, value in zip(names, node.args, strict=False):
                yield name, {unit_of(name)}, value
        if name_of(node.func) in _SAME_UNIT and len(node.args) > 1:
            for value in node.args[1:]:
                yield ast.unparse(node.args[0]), units(node.args[0]), value
    elif isinstance(node, ast.Compare):
        for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
            yield ast.unparse(left), units(left), right
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield ast.unparse(node.left), units(node.left), node.right
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, {unit_of(key.value)}, value
    elif isinstance(node, ast.Return) and function:
        yield function, {unit_of(function)}, node.value
    elif isinstance(node, (*FUNCTIONS, ast.Lambda)):
        positional = [*node.args.posonlyargs, *node.args.args]
        for arg, default in zip(reversed(positional), reversed(node.args.defaults), strict=False):
            yield arg.arg, {unit_of(arg.arg)}, default
        for arg, kw_default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            yield arg.arg, {unit_of(arg.arg)}, kw_default


def _assigned(
    target: ast.expr, value: ast.expr | None
) -> Iterator[tuple[str, set[str], ast.expr | None]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, its)
    else:
        yield ast.unparse(target), units(target), value


def mixed() -> Iterator[str]:
    for scope in scopes():
        yield from mixed_in(scope)


def mixed_in(scope: Scope) -> Iterator[str]:
    """Where a unit meets another one in a scope."""
    function = scope.name.rpartition(".")[2]
    for node in scope.nodes:
        if type(node) in _MEETING:
            for what, its, value in _meetings(node, function):
                known = its - {""}
                if known and value is not None and units(value) - known:
                    yield f"{scope.path}:{scope.name} {what} = {ast.unparse(value)}"


_MEETING: Final = frozenset(
    {
        ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign, ast.Call, ast.Compare, ast.BinOp,
        ast.Dict, ast.Return, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda,
    }
)  # fmt: skip

_EXCEPTIONS: Final[Mapping[str, str]] = {
    "relay/answers/abandoned.py:drain_limit text_bytes_max = text_bytes + _TOKENS_MAX": (
        "more than any answer has, of bytes too"
    ),
    "relay/answers/abandoned.py:drain_limit text_bytes = _TOKENS_MAX": "as above",
    "relay/hold_sizes/rules.py:text_tokens_max text_tokens_max = text_bytes": (
        "each token has a byte at least"
    ),
}
"""Where one unit stands for another, and why."""


def test_units_are_not_mixed() -> None:
    """Convert by the factor between the two (`wait_ms / 1000`), or name what the number is."""
    assert sorted(mixed()) == sorted(_EXCEPTIONS)


@pytest.mark.parametrize(
    ("code", "is_mixed"),
    [
        ("wait_s = full.wait_ms", True),
        ("wait_s = inf if full.wait_ms is None else full.wait_ms", True),
        ("wait_s = full.wait_ms / 1000", False),
        ("wait_s = full.wait_ms * 1000", True),
        ("wait_s = full.wait_ms * 2", True),
        ("wait_ms = int(wait_s * 1000)", False),
        ("f(idle_s=config.idle_ms_max)", True),
        ("if left_ms < wait_s: pass", True),
        ("deadline_s = now_s + wait_ms", True),
        ("wait_s, at_ms = wait_ms, at_ms", True),
        ("wait_s = min(1, wait_ms)", True),
        ("def wait_s(): return self.wait_ms", True),
        ("def f(wait_s=WAIT_MS): pass", True),
        ('row = {"charge_nano": charge_usd}', True),
        ("size_bytes = 4 * text_tokens", False),
        ("size_bytes = text_tokens", True),
        ("rate = tokens / wait_s", False),
    ],
)
def test_a_mixed_unit_is_noticed(code: str, is_mixed: bool) -> None:
    found = [
        one
        for scope in [read_scope("", "", ast.parse(code))]
        for inner in (scope, *scope.inner)
        for one in mixed_in(inner)
    ]
    assert bool(found) == is_mixed
