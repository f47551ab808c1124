"""What a function was called with, it passes on.

An optional argument that is left out of a call changes nothing in the types, and whoever gave it
gets the default: imported codes without their expiry, a background response without the options of
its request. So each call of ours is looked at in the code: where a function has an argument, or
copies another object's attributes by their names, what it calls gets the same one, or a row below
says why not.
"""

import ast
import importlib
import inspect
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from django.db.models import NOT_PROVIDED, Model

from tests.house.sources import trees
from tests.house.test_style import ROOMS, ROOT

# What has the same name and is something else, by what is called and its argument.
ANOTHER: Final = {
    "message_of model": "the message of a rate limit does not name the model",
    "Reason member": "only a missing name says which member it would stand in",
    "RequestFault model": "only the message of an unknown model names it",
    "RequestFault size": "only the message of a body that is too large names its size",
    "CallFailed body": "the body is the answer's, not what was sent",
    "Target model": "the content type depends on no model",
    "Target stream": "it is passed beside the target, or is what the path of a client says",
}
# What leaves an argument out on purpose: the function, what it calls, the argument.
LEFT_OUT: Final = {
    "_check_today -> Span to_at": "its first field is its beginning, and it is open to the end",
    "_customer_rates -> PriceKey channel": "what customers pay does not depend on the channel",
    "_customer_rates -> PriceKey hours": "the price of the whole day",
    "_customer_rates -> PriceKey kind": "what customers pay is a charge, which is the default",
    "_hold -> HoldRequest guarded": "it is split below into what is included and what is not",
    "_import -> Conversation.objects.create leaf": "its messages come after it",
    "_key -> Terms closed": "a team in which the member has no terms closes nothing",
    "_keys -> PriceKey channel": "the sale price is one for all channels",
    "_program -> Actor ends_at": "a model key cannot outlive its secret: it makes nothing",
    "_organisation -> Member closed": "the account is closed by its keys",
    "_priced_line -> Line rate_ppm": "tax is added once to all lines",
    "_priced_line -> Line text": "a line of usage is described by its model and meter",
    "_settle_hit -> Ending kind": "a stored answer is no failure",
    "_settle_hit -> Ending message": "as above",
    "_settle_hit -> Ending meters": "no provider measured anything",
    "_settle_hit -> Ending own_nano": "no own key is used",
    "_reachable_models -> Channel enabled": "only its provider and address are asked for",
    "_reachable_models -> Channel priority": "only its provider and address are asked for",
    "_reachable_models -> Channel weight": "only its provider and address are asked for",
    "_strip_quantity -> Line rate_ppm": "tax is added once to all lines",
    "_strip_quantity -> Line text": "a line of usage is described by its model and meter",
    "_add_column_once -> TurnForm conversation": "the conversation is locked and passed beside it",
    "alert -> Alert last": "an own key is the only one",
    "alert -> Alert what": "an own key has no number",
    "actor_of_key -> Actor ends_at": "a model key cannot outlive its secret: it makes nothing",
    "app_qr -> second_factor.MFAAdapter request": "the adapter reads only settings",
    "change_service_account -> ServiceAccount disabled": "it stands for the role alone",
    "edit_answer -> Message.objects.create deleted_at": "a new version is not deleted",
    "edit_answer -> Message.objects.create parts": "a person's text has none of the model's parts",
    "edit_answer -> Message.objects.create reasoning": "a person's text has no reasoning",
    "edit_answer -> Message.objects.create request_id": "no request made it",
    "edit_answer -> Message.objects.create run": "no run made it",
    "edit_answer -> Message.objects.create state": "it is whole",
    "end_run -> Message.objects.create parts": "the parts are those of the first choice",
    "explore -> _sums timed": "totals show no durations",
    "fail -> error_event code": "the code of the connection is no code of an error",
    "build_charge_rule -> ChargeRule seconds": "only a drained answer is read for some seconds",
    "create_policy -> Policy budgets": "`_set_budgets` sets them",
    "count -> Bill unknown": "nothing of it is charged until it was reviewed",
    "fetch -> self._run limit": "it stands in the text already",
    "pace_of -> Pace days": "only a date is some days away",
    "preview_sent -> SentPreview body": "of a refused request nothing is sent",
    "preview_sent -> SentPreview headers": "of a refused request nothing is sent",
    "propose_note -> Invoice.objects.create net_nano": "its line has the amount",
    "read_invocation -> Invocation headers": "without a row the headers mean nothing",
    "value -> self.value line": "each item has its own line",
    "read_members -> Quantities wire": "of what cannot be read nothing is counted",
    "read_page -> read_page position": "the first page, where there is nothing beyond",
    "receivers -> actor_of_member key": "the key that is passed on, not one that acts",
    "request_approval -> _finish reason": "the reason of the new request, not of the old one",
    "request_approval -> decide reason": "the reason of the new request, not of the old one",
    "result -> Quantities parts": "without flags there are no parts",
    "save_mail_server -> MailServer sender": "its fields are set below, one by one",
    "save_mail_server -> MailServer username": "its fields are set below, one by one",
    "set_credit_line -> post actor": "the line's own event names who changed it",
}
# The parts of a statement that hold statements.
_BLOCKS: Final = ("body", "orelse", "handlers", "finalbody", "cases")


def function_calls() -> Iterator[tuple[str, Any, ast.Call, Mapping[str, Any], Any]]:
    """Each call in our code: where it is, the function that makes it, the names there, and what is
    called."""
    for path, tree in _files():
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for function, of_class in _functions_in(tree, ""):
            names = ChainMap({"self": vars(module).get(of_class)}, vars(module))
            for call in _calls_in(function):
                where = f"{path.relative_to(ROOT)}:{call.lineno}"
                yield where, function, call, names, _value_of(call.func, names)


def _files() -> Iterator[tuple[Path, ast.Module]]:
    for name, tree in trees():
        path = ROOT / name
        if path.name not in ("__init__.py", "asgi.py") and name.split("/")[0] in ROOMS:
            yield path, tree


def _functions_in(node: ast.AST, of_class: str) -> Iterator[tuple[Any, str]]:
    for inner in (one for part in _BLOCKS for one in getattr(node, part, ())):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner, of_class
        yield from _functions_in(inner, inner.name if isinstance(inner, ast.ClassDef) else of_class)


def _calls_in(function: ast.FunctionDef) -> Iterator[ast.Call]:
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.Call):
            yield node
        left.extend(ast.iter_child_nodes(node))


def _value_of(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """What a name stands for; of `Row.objects.create` the row, whose fields it takes."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr in ("create", "update_or_create", "get_or_create"):
        row = node.value.value if isinstance(node.value, ast.Attribute) else node.value
        value = _value_of(row, names)
        return value if inspect.isclass(value) and issubclass(value, Model) else None
    owner = _value_of(node.value, names)
    of_ours = inspect.ismodule(owner) or inspect.isclass(owner)
    return getattr(owner, node.attr, None) if of_ours else None


@cache
def _arguments_of(callee: Any) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The names that stand by their place, and the optional ones with their annotation."""
    if inspect.isclass(callee) and issubclass(callee, Model):
        return (), {
            field.name: ""
            for field in callee._meta.concrete_fields
            if not field.primary_key and (field.null or field.default is not NOT_PROVIDED)
        }
    try:
        found = list(inspect.signature(callee).parameters.values())
    except (TypeError, ValueError):
        return (), {}
    found = [one for one in found if one.name not in ("self", "cls")]
    optional = {
        one.name: str(getattr(one.annotation, "__name__", one.annotation))
        for one in found
        if one.default is not one.empty
    }
    return tuple(one.name for one in found), optional


def left_out(callee: Any, call: ast.Call) -> Mapping[str, str]:
    """The optional arguments that a call does not pass."""
    module = str(getattr(callee, "__module__", "") or "")
    spread = any(one.arg is None for one in call.keywords)
    if spread or any(isinstance(one, ast.Starred) for one in call.args):
        return {}
    if not callable(callee) or module.partition(".")[0] not in ROOMS:
        return {}
    places, optional = _arguments_of(callee)
    defaults = [one.value for one in call.keywords if str(one.arg).endswith("defaults")]
    keys = (key for one in defaults if isinstance(one, ast.Dict) for key in one.keys)
    passed = {*places[: len(call.args)], *(one.arg for one in call.keywords)}
    passed |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    if any(not isinstance(one, ast.Dict) for one in defaults):
        return {}
    return {name: text for name, text in optional.items() if name not in passed}


@cache
def _set_after(function: ast.FunctionDef) -> frozenset[str]:
    """The attributes that a function sets itself, on what it has made."""
    nodes = (one for one in ast.walk(function) if isinstance(one, ast.Attribute))
    return frozenset(one.attr for one in nodes if isinstance(one.ctx, ast.Store))


def _parameters_of(function: ast.FunctionDef) -> dict[str, ast.expr | None]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {one.arg: one.annotation for one in every}


def faults() -> Iterator[tuple[str, str, str]]:
    """What is not passed on: where, which row of LEFT_OUT and which of ANOTHER would say why."""
    for where, function, call, names, callee in function_calls():
        missing = set(left_out(callee, call))
        if not missing or not (missing := missing - _set_after(function)):
            continue
        parameters = _parameters_of(function)
        of_others = {
            name: source
            for source, copied in _copied(call).items()
            if len(copied) > 1
            for name in _attributes_of(parameters.get(source), names)
        }
        for name in sorted(missing):
            if name in parameters or name in of_others:
                of = ast.unparse(call.func)
                yield where, f"{function.name} -> {of} {name}", f"{of.split('.')[-1]} {name}"


def _copied(call: ast.Call) -> Mapping[str, list[str]]:
    """What a call takes from another object under the name that it has there."""
    copied: dict[str, list[str]] = {}
    for one in call.keywords:
        if isinstance(one.value, ast.Attribute) and one.value.attr == one.arg:
            copied.setdefault(ast.unparse(one.value.value), []).append(one.arg)
    return copied


def _attributes_of(annotation: ast.expr | None, names: Mapping[str, Any]) -> set[str]:
    value = _value_of(annotation, names) if annotation is not None else None
    if not inspect.isclass(value):
        return set()
    slots = getattr(value, "__slots__", ())
    return {*getattr(value, "__annotations__", {}), *slots, *vars(value)}


def test_optional_arguments_are_passed_on() -> None:
    found = list(faults())
    wrong = [
        f"{where}: {row}"
        for where, row, other in found
        if row not in LEFT_OUT and other not in ANOTHER
    ]
    assert wrong == []
    assert LEFT_OUT.keys() <= {row for _, row, _ in found}
    assert ANOTHER.keys() <= {other for *_, other in found}


@pytest.mark.parametrize(
    ("inside", "called", "missing"),
    [
        ("def make(name, ends_at): row(name)", "row", ["ends_at"]),
        ("def make(name, ends_at): row(name, ends_at)", "row", []),
        ("def make(name, ends_at): row(name, ends_at=ends_at)", "row", []),
        ("def make(name, **rest): row(name, **rest)", "row", []),
    ],
)
def test_left_out_argument_is_recognised(inside: str, called: str, missing: list[str]) -> None:
    (function,) = ast.parse(inside).body
    assert isinstance(function, ast.FunctionDef)
    (call,) = _calls_in(function)

    def row(name: str, ends_at: object = None) -> None: ...

    row.__module__ = "lib.anything"
    assert list(left_out(row, call)) == missing
