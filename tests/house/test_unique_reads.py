"""What is read or made as the only row with its values is the only one, because a constraint says
so. Without one, two requests at once make two rows, and every later read fails."""

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from django.apps import apps
from django.db import models

from tests.house.sources import name_of, trees

_SINGLE: Final = frozenset({"get", "get_or_create", "update_or_create"})
_NOT_COMPARED: Final = frozenset({"defaults", "create_defaults"})


class Read(NamedTuple):
    """A call that expects one row at most: its file, the model, and the fields that it compares;
    None where they are not written out."""

    path: str
    model: str
    fields: frozenset[str] | None


# Single for another reason than a constraint on the fields that the code writes out.
CLEARED: Final = {
    ("billing/prices/prices.py", "Price"): "by all fields of its key, which are `price_once`",
    ("billing/balances/credit_line.py", "Account"): "opened in its organisation's currency alone",
    (
        "accounts/keys/keys.py",
        "Key",
    ): "the playground's name is no other key's: `live_key_name_once`",
}


def _reads() -> Iterator[Read]:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node.func) in _SINGLE:
                yield from _read(path, node)


def _read(path: str, call: ast.Call) -> Iterator[Read]:
    """The read of a call that begins with `Model.objects`."""
    fields: set[str | None] = set()
    node: ast.AST = call
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call):
            if name_of(node.func) in {*_SINGLE, "filter"}:
                fields |= {keyword.arg for keyword in node.keywords} - _NOT_COMPARED
            node = node.func
        elif node.attr == "objects":
            named = frozenset(field for field in fields if field is not None)
            yield Read(path, name_of(node.value), named if None not in fields else None)
            return
        else:
            node = node.value


def _keys(model: type[models.Model]) -> Iterator[set[str]]:
    """Sets of fields of whose values the model has one row at most."""
    meta = model._meta
    yield {field.name for field in meta.pk_fields}
    yield from ({field.name} for field in meta.fields if field.unique)
    yield from map(set, meta.unique_together)
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields:
            partly = constraint.condition
            yield {*constraint.fields, *(partly.referenced_base_fields if partly else ())}
        elif isinstance(constraint, models.CheckConstraint) and constraint.condition == models.Q(
            id=1
        ):
            yield set()  # one row at all


def _is_single(read: Read, model: type[models.Model]) -> bool:
    names = {field.attname: field.name for field in model._meta.fields}
    names["pk"] = model._meta.pk.name
    fields = {names.get(field, field) for field in read.fields or ()}
    return any(key <= fields for key in _keys(model))


def test_one_row_is_read_by_what_a_constraint_covers() -> None:
    reads = list(_reads())
    by_name: dict[str, list[type[models.Model]]] = {}
    for model in apps.get_models():
        by_name.setdefault(model.__name__, []).append(model)
    doubled = {
        (read.path, read.model)
        for read in reads
        if not any(_is_single(read, model) for model in by_name.get(read.model, ()))
    }
    assert doubled == CLEARED.keys()
    # The test reads what it is about.
    assert {"Preset", "SavedView", "Key", "BooksWalk"} <= {read.model for read in reads}


def test_read_without_a_constraint_is_found() -> None:
    (tree,) = ast.parse("Preset.objects.select_for_update().get_or_create(user=one, name=two)").body
    assert isinstance(tree, ast.Expr)
    assert isinstance(tree.value, ast.Call)
    (read,) = _read("a.py", tree.value)
    assert read == Read("a.py", "Preset", frozenset({"user", "name"}))
    preset = apps.get_model("playground", "Preset")
    assert not _is_single(read, preset)
    assert _is_single(read._replace(fields=frozenset({"user_id", "name", "organisation"})), preset)
