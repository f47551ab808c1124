"""An optional number is compared with None, never asked whether it is true: 0 is a wait, a price, a
limit and a count like any other, and none of them means that there is no number."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from tests.house.sources import FUNCTIONS, Scope, modules, name_of, read_scope, scopes
from tests.house.test_units import unit_of

_NUMBERS: Final = frozenset({"int", "float", "Decimal", "Fraction", "timedelta", "Nano"})
_WRAPPERS: Final = frozenset({"Final", "ClassVar", "Annotated"})
_SERIES: Final = frozenset(
    {"list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Iterator", "Collection"}
)
_COLUMNS: Final = re.compile(r"(?:Integer|Decimal|Float|Duration)Field$")


def is_optional_number(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript) and name_of(annotation.value) in _WRAPPERS:
        inner = annotation.slice
        annotation = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
    members = list(_members(annotation))
    return len(members) > 1 and None in members and bool(_NUMBERS & set(members))


def _members(annotation: ast.expr | None) -> Iterator[str | None]:
    """The types of a union, by their names; None for None."""
    if isinstance(annotation, ast.BinOp):
        yield from _members(annotation.left)
        yield from _members(annotation.right)
    elif isinstance(annotation, ast.Constant):
        yield None if annotation.value is None else str(annotation.value)
    elif isinstance(annotation, ast.expr):
        yield name_of(annotation)


@cache
def _declared() -> tuple[frozenset[str], frozenset[str]]:
    """The names of attributes, and those of functions and methods, that are an optional number
    wherever a class or module has them."""
    attributes: dict[str, Counter[bool]] = defaultdict(Counter)
    functions: dict[str, Counter[bool]] = defaultdict(Counter)
    for scope in scopes():
        for node in scope.nodes:
            if isinstance(node, ast.ClassDef):
                for one in node.body:
                    if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                        attributes[one.target.id][is_optional_number(one.annotation)] += 1
                    elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                        attributes[one.targets[0].id][_is_nullable_column(one.value)] += 1
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                attributes[node.target.attr][is_optional_number(node.annotation)] += 1
            elif isinstance(node, FUNCTIONS):
                is_property = any(
                    isinstance(one, ast.Name) and one.id in ("property", "cached_property")
                    for one in node.decorator_list
                )
                kinds = attributes if is_property else functions
                kinds[node.name][is_optional_number(node.returns)] += 1
                if node.name == "__init__":
                    for name, optional in _assigned_parameters(node):
                        attributes[name][optional] += 1
    # A name that is an optional number in some places and another thing in others is not judged.
    return (
        frozenset(name for name, kinds in attributes.items() if kinds[True] and not kinds[False]),
        frozenset(name for name, kinds in functions.items() if kinds[True] and not kinds[False]),
    )


def _assigned_parameters(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[str, bool]]:
    """The attributes that are given a parameter, and whether it is an optional number."""
    annotated = {one.arg: is_optional_number(one.annotation) for one in _arguments(node)}
    for one in ast.walk(node):
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Name):
            for target in one.targets:
                if isinstance(target, ast.Attribute) and one.value.id in annotated:
                    yield target.attr, annotated[one.value.id]


def _is_nullable_column(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call) or not _COLUMNS.search(ast.unparse(value.func)):
        return False
    return any(
        one.arg == "null" and isinstance(one.value, ast.Constant) and one.value.value is True
        for one in value.keywords
    )


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


@cache
def _members_by_class() -> Mapping[str, frozenset[str]]:
    """The attributes of each class that are an optional number, but of classes that share a
    name."""
    classes: dict[str, list[frozenset[str]]] = defaultdict(list)
    for scope in scopes():
        if isinstance(scope.node, ast.ClassDef):
            classes[scope.node.name].append(frozenset(_optional_members(scope.node)))
    return {name: same[0] for name, same in classes.items() if len(same) == 1 and same[0]}


def _optional_members(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            if is_optional_number(one.annotation):
                yield one.target.id
        elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            if _is_nullable_column(one.value):
                yield one.targets[0].id
        elif (
            isinstance(one, FUNCTIONS)
            and any(
                name_of(decorator) in ("property", "cached_property")
                for decorator in one.decorator_list
            )
            and is_optional_number(one.returns)
        ):
            yield one.name


@cache
def _settings() -> frozenset[str]:
    """The settings of operators that are an optional number."""
    _, functions = _declared()
    (module,) = (one for one in modules() if one.path == "config/settings.py")
    return frozenset(
        node.targets[0].id
        for node in module.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and name_of(node.value.func) in functions
    )


@cache
def _results() -> Mapping[str, ast.expr]:
    """What functions return, by their names, where all of a name return the same."""
    returned: dict[str, dict[str, ast.expr]] = defaultdict(dict)
    for scope in scopes():
        if isinstance(scope.node, FUNCTIONS):
            annotation = scope.node.returns or ast.Constant(None)
            returned[scope.node.name][ast.unparse(annotation)] = annotation
    return {name: next(iter(same.values())) for name, same in returned.items() if len(same) == 1}


def _class_of(annotation: ast.expr | None) -> str:
    """The class of a value that may be None, "" for any other."""
    names = {name for name in _members(annotation) if name}
    return names.pop() if len(names) == 1 else ""


def _element_of(annotation: ast.expr | None) -> str:
    """The class of the elements of a list or another series, "" of anything else."""
    if not isinstance(annotation, ast.Subscript) or name_of(annotation.value) not in _SERIES:
        return ""
    inner = annotation.slice
    return _class_of(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)


def _classes(scope: Scope) -> Iterator[tuple[str, str]]:
    """The names of a scope and their classes: of parameters, of what is made or returned by a
    function of the product, and of what is taken from a series of it."""
    annotations = dict[str, ast.expr | None]()
    if isinstance(scope.node, FUNCTIONS):
        annotations = {one.arg: one.annotation for one in _arguments(scope.node)}
        yield from ((name, _class_of(annotation)) for name, annotation in annotations.items())
        if "." in scope.name:
            yield "self", scope.name.split(".")[-2]
    for node in scope.nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, _class_of(node.annotation)
        elif isinstance(node, ast.Assign | ast.NamedExpr):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Call):
                called = name_of(value.func)
                is_class = called in _members_by_class()
                yield target.id, called if is_class else _class_of(_results().get(called))
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            taken = node.iter
            annotation = annotations.get(taken.id) if isinstance(taken, ast.Name) else None
            if isinstance(taken, ast.Call):
                annotation = _results().get(name_of(taken.func))
            if isinstance(node.target, ast.Name):
                yield node.target.id, _element_of(annotation)


def _is_optional(node: ast.expr, here: Mapping[str, bool]) -> bool:
    """Whether an expression is an optional number."""
    attributes, functions = _declared()
    if isinstance(node, ast.NamedExpr):
        return _is_optional(node.value, here)
    if isinstance(node, ast.Await):
        return _is_optional(node.value, here)
    if isinstance(node, ast.Name):
        return here.get(node.id, False)
    if isinstance(node, ast.Attribute):
        if name_of(node.value) == "settings" and node.attr in _settings():
            return True
        return node.attr in attributes or here.get(ast.unparse(node), False)
    if isinstance(node, ast.Call):
        return name_of(node.func) in functions
    return False


def _names(scope: Scope) -> Mapping[str, bool]:
    """The names of a scope, and whether each is an optional number."""
    kinds, node = dict[str, bool](), scope.node
    for name, class_ in _classes(scope):
        members = _members_by_class().get(class_, ())
        kinds |= {f"{name}.{member}": True for member in members}
    if isinstance(node, FUNCTIONS):
        kinds |= {one.arg: is_optional_number(one.annotation) for one in _arguments(node)}
    for _ in range(2):
        for node in scope.nodes:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                kinds[node.target.id] = is_optional_number(node.annotation)
            elif isinstance(node, ast.Assign):
                kinds |= dict.fromkeys(_assigned(node.targets[0], node.value, kinds), True)
            elif isinstance(node, ast.NamedExpr) and _is_optional(node.value, kinds):
                kinds[node.target.id] = True
    return kinds


def _assigned(target: ast.expr, value: ast.expr, here: Mapping[str, bool]) -> Iterator[str]:
    """The names that an assignment makes an optional number."""
    if isinstance(target, ast.Name):
        is_none = isinstance(value, ast.Constant) and value.value is None
        if _is_optional(value, here) or (is_none and unit_of(target.id)):
            yield target.id
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, its, here)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Call | ast.Await):
        called = value.value if isinstance(value, ast.Await) else value
        parts = _tuples().get(name_of(called.func), ()) if isinstance(called, ast.Call) else ()
        for one, optional in zip(target.elts, parts, strict=False):
            if optional and isinstance(one, ast.Name):
                yield one.id


@cache
def _tuples() -> Mapping[str, Sequence[bool]]:
    """The functions that return a tuple, and which of its elements are an optional number."""
    found = dict[str, list[bool]]()
    for scope in scopes():
        for node in scope.nodes:
            if not isinstance(node, FUNCTIONS) or not isinstance(node.returns, ast.Subscript):
                continue
            parts = node.returns.slice
            if name_of(node.returns.value) == "tuple" and isinstance(parts, ast.Tuple):
                found[node.name] = [is_optional_number(one) for one in parts.elts]
    return found


def _asked(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that a node asks whether they are true."""
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield from _parts(node.test)
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield from _parts(test)
    elif isinstance(node, ast.BoolOp):
        # Where 0 stands for none, `or 0` takes it for itself.
        values = node.values[:-2] if _is_or_zero(node) else node.values[:-1]
        for value in values:
            yield from _parts(value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _parts(node.operand)
    elif isinstance(node, ast.Call) and name_of(node.func) == "bool":
        yield from node.args
    elif isinstance(node, ast.Call) and name_of(node.func) in ("any", "all") and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.GeneratorExp | ast.ListComp):
            yield from _parts(argument.elt)
        elif isinstance(argument, ast.Tuple | ast.List | ast.Set):
            yield from argument.elts
    elif isinstance(node, ast.match_case) and node.guard is not None:
        yield from _parts(node.guard)


def _is_or_zero(node: ast.BoolOp) -> bool:
    last = node.values[-1]
    return isinstance(node.op, ast.Or) and isinstance(last, ast.Constant) and last.value == 0


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp):
        if not _is_or_zero(test):
            yield from _parts(test.values[-1])
    elif not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield test


def asked_for_truth() -> Counter[str]:
    """Where an optional number is asked whether it is true, and which."""
    found = Counter[str]()
    waiting: list[tuple[Scope, Mapping[str, bool]]] = [(one, {}) for one in modules()]
    while waiting:
        scope, outer = waiting.pop()
        here = {**outer, **_names(scope)}
        waiting += [(inner, here) for inner in scope.inner]
        for node in scope.nodes:
            for one in _asked(node):
                if _is_optional(one, here):
                    found[f"{scope.path}:{scope.name} {ast.unparse(one)}"] += 1
    return found


_EXCEPTIONS: Final[Mapping[str, str]] = {
    "billing/credits/codes.py:_give batch.credit_days": "credit lives for a day at least",
    "billing/prices/rate_changes.py:RateChange.permille self.before": "it is divided by",
    "billing/prices/second_person.py:fell_by_more_than_half change.before": "nothing is below 0",
    "dialects/anthropic/request/encode.py:_RequestWriter.__init__ upstream.output_cap": (
        "an answer has a token at least, others are refused"
    ),
    "dialects/anthropic/request/encode.py:_RequestWriter.__init__ upstream.output_max": (
        "a model writes a token at least"
    ),
    "dialects/media/images.py:read _in_series(body)": "a series has a picture at least",
    "dialects/media/veo.py:read seconds": "a video has a second at least, others are refused",
    "dialects/media/video_generations.py:read seconds": "as above",
    "dialects/media/videos.py:read seconds": "as above",
    "extensions/kling/dialect.py:read seconds": "as above",
    "extensions/midjourney/dialect.py:_percent value": "an empty text is 0 too",
    "extensions/suno/dialect.py:_percent value": "an empty text is 0 too",
    "gateway/channels/passthrough/passthrough.py:_check_value rule.value_micros_max": (
        "a limit of 0 is refused as none is: nothing could be charged"
    ),
    "playground/panel/parameters.py:parameters_of model.output_max": (
        "a model writes a token at least"
    ),
    "relay/realtime/conversation.py:Conversation.note_settings settings.heard_bytes_ms": (
        "no sound has 0 bytes for a millisecond, by which is divided"
    ),
    "relay/realtime/conversation.py:Conversation.note_settings settings.said_bytes_ms": "as above",
    "relay/realtime/output_limit.py:OutputLimit.fit_settings settings.output_max": (
        "an answer has a token at least, and providers refuse others"
    ),
    "relay/routing/routing.py:_estimate model.output_max": "a model writes a token at least",
    "relay/routing/routing.py:_unseen_tokens model.context_max": "a model reads a token at least",
    "stack/ports.py:choose_port next_free(host, PORT)": "0 is no port that is searched",
    "stack/ports.py:open_port next_free(host, port + 1)": "0 is no port that is searched",
    "usage/breakdowns/explorer.py:times_of timed_ms": "it is divided by",
    "usage/exports/views.py:_progress export.total": "of no rows there is no part",
    "usage/log/receipt_context.py:_attempt attempt.end_ms": "an attempt begins at 0 or later",
    "usage/log/receipt_context.py:_attempt attempt.ttft_ms": "as above",
    "usage/requests/words.py:moved_text before": "it is divided by, and none was returned before",
    # Every request costs 0 or more, so that this minimum is none.
    "usage/filter_bar/filter_bar.py:_log_fields scope.min_cost_nano": "a minimum of 0 is none",
    "extensions/clickhouse/figures.py:_others scope.min_cost_nano": "as above",
    "usage/filters/filters.py:UsageFilter._parameters self.scope.min_cost_nano": "as above",
    "usage/filters/visibility.py:where_of scope.min_cost_nano": "as above",
    "usage/requests/log.py:_running scope.min_cost_nano": "as above",
    "usage/requests/narrowing.py:_narrow_sums scope.min_cost_nano": "as above",
}
"""Where 0 means the same as none, or cannot be, and why."""
_AGAIN: Final = ("relay/routing/routing.py:_estimate model.output_max",)
"""Which of them are asked twice in a function."""


def test_optional_numbers_are_compared_with_none() -> None:
    """`x or 0` may be: it takes 0 for itself. Else write `is None`, or why 0 is the same here."""
    assert asked_for_truth() == Counter([*_EXCEPTIONS, *_AGAIN])


def test_declarations_are_read() -> None:
    attributes, functions = _declared()
    assert attributes >= {"retry_after_ms", "max_cost_nano", "min_cost_nano"}
    assert len(functions) > 20
    assert _settings() >= {"AUDIT_RETENTION_DAYS", "TASK_RESULT_DAYS"}
    assert _members_by_class()["LateUsage"] >= {"charge_nano", "total_nano", "cost_nano"}


def test_members_are_known_by_the_class_of_their_object() -> None:
    """Of a name that others declare as a number that always is there."""
    (scope,) = read_scope(
        "m.py",
        "",
        ast.parse(
            "def f(late: LateUsage, all: Sequence[LateUsage], hold: HoldResolved) -> None:\n"
            "    read = list_unposted(1)\n"
            "    if late.cost_nano or [one for one in all if one.cost_nano] or hold.hold_nano:\n"
            "        return\n"
            "    for made in list_unposted(1):\n"
            "        made.cost_nano or 5\n"
        ),
    ).inner
    here = _names(scope)
    asked = {ast.unparse(one) for node in scope.nodes for one in _asked(node)}
    assert asked >= {"late.cost_nano", "one.cost_nano", "made.cost_nano"}
    assert {one for one in asked if here.get(one)} == {
        "late.cost_nano", "one.cost_nano", "made.cost_nano",
    }  # fmt: skip
