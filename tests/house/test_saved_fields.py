"""What a function sets on a row is what it saves: `save(update_fields=…)` leaves out nothing that
was set, which would be lost, and names nothing that was not, which would undo another's write."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.house.sources import FUNCTIONS, Scope, modules, scopes

# What a method changes in the value of a field.
_CHANGING: Final = frozenset({"append", "extend", "pop", "remove", "update", "clear", "setdefault"})
_SETTERS: Final[Mapping[str, str]] = {
    "set_password": "password",
    "set_unusable_password": "password",
}


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement assigns, adds to or deletes."""
    if isinstance(node, ast.Assign):
        waiting = list(node.targets)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        waiting = [node.target]
    elif isinstance(node, ast.Delete):
        waiting = list(node.targets)
    else:
        return
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Tuple | ast.List):
            waiting += one.elts
        elif isinstance(one, ast.Subscript):
            waiting.append(one.value)
        else:
            yield one


def row_fields(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The fields that a statement sets or whose value it changes, each with the name of its
    row."""
    for one in _targets(node):
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            yield one.value.id, one.attr
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    method, row = node.func.attr, node.func.value
    if isinstance(row, ast.Name) and method in _SETTERS:
        yield row.id, _SETTERS[method]
    elif isinstance(row, ast.Attribute) and isinstance(row.value, ast.Name) and method in _CHANGING:
        yield row.value.id, row.attr


def set_fields(scope: Scope) -> Mapping[str, set[str]]:
    """The fields that a function sets, by the name of the row."""
    fields = defaultdict[str, set[str]](set)
    for node in scope.nodes:
        for row, field in row_fields(node):
            fields[row].add(field)
    return fields


def saved_fields(
    scope: Scope, constants: Mapping[str, Sequence[str]]
) -> Mapping[str, set[str] | None]:
    """The fields that a function saves, by the name of the row; None if it saves all of them, or
    those that it was asked to change."""
    fields = dict[str, set[str] | None]()
    for node in scope.nodes:
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute)
            or node.func.attr != "save"
            or not isinstance(row := node.func.value, ast.Name)
        ):
            continue
        named = next((one.value for one in node.keywords if one.arg == "update_fields"), None)
        names = None if named is None else _texts(named, constants)
        known = fields.get(row.id, set())
        fields[row.id] = None if names is None or known is None else known | names
    return fields


def _texts(node: ast.expr, constants: Mapping[str, Sequence[str]]) -> set[str] | None:
    """The names in a list or constant, None if some are not written there."""
    if isinstance(node, ast.Name) and node.id in constants:
        return set(constants[node.id])
    if isinstance(node, ast.List | ast.Tuple) and all(
        isinstance(one, ast.Constant) for one in node.elts
    ):
        return {str(one.value) for one in node.elts if isinstance(one, ast.Constant)}
    return None


def constants_of(module: Scope) -> Mapping[str, Sequence[str]]:
    """The lists of names at the top of a module."""
    lists = dict[str, Sequence[str]]()
    for node in module.nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            texts = _texts(node.value, {})
            if texts:
                lists[node.target.id] = sorted(texts)
    return lists


def differences() -> dict[str, str]:
    """Where what is set and what is saved differ, and in which fields: `-` if a field that is set
    is not saved, `+` if one is saved that is not set."""
    constants = {module.path: constants_of(module) for module in modules()}
    found = dict[str, str]()
    for scope in scopes():
        if not isinstance(scope.node, FUNCTIONS):
            continue
        given = set_fields(scope)
        for row, saved in saved_fields(scope, constants[scope.path]).items():
            if saved is None or saved == given.get(row, set()):
                continue
            lost, extra = given.get(row, set()) - saved, saved - given.get(row, set())
            words = [f"-{name}" for name in sorted(lost)] + [f"+{name}" for name in sorted(extra)]
            found[f"{scope.path}:{scope.name} {row}"] = " ".join(words)
    return found


_ELSEWHERE: Final[Mapping[str, str]] = {
    # `update_fields` is the list of these.
    "content/rules/log_rules.py:change_rule locked": (
        "+callers_may_opt_out +ends_at +keep +redact +retention_hours +share_percent"
    ),
    "accounts/keys/keys.py:rotate_key locked": "+digest +last4 +prefix",  # set by `_give`
    # Set by `sign_on_connections.confirm`.
    "accounts/single_sign_on/single_sign_on.py:confirm_domains locked": (
        "+confirmed_client_id +confirmed_domains +confirmed_issuer"
    ),
    "accounts/single_sign_on/single_sign_on.py:unconfirm_domains locked": (
        "+confirmed_client_id +confirmed_domains +confirmed_issuer"
    ),
}
"""What another function sets on a row, before it is saved here."""


def test_fields_that_are_set_are_saved() -> None:
    """A field that is set and not saved has its new value until the row is read again."""
    assert differences() == _ELSEWHERE


def test_saves_are_read() -> None:
    rows = [row for scope in scopes() for row in saved_fields(scope, {}).values() if row]
    assert len(rows) > 80
