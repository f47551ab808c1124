"""Who finds rows by their state, and by which: what is over, off, deleted or decided stays out of
sight, and comes into it, where the code says so.

A state that is left out of a condition shows a budget that was switched off, or a chat that was
deleted, to everybody who asks there; each place would need a neighbour of its own. So
`states_read.txt` has each function with the states that it asks for. Whoever adds or drops one says
so there, and looks at what it is for."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from django.apps import apps
from django.db import models

from tests.house.parsed import nodes_of
from tests.house.test_style import ROOMS, ROOT

_ASKS: Final = ("filter", "exclude", "get", "Q")


def states() -> frozenset[str]:
    """The columns that say what became of a row: switches, instants that may be missing, states."""
    fields = (
        field
        for model in apps.get_models()
        if model.__module__.partition(".")[0] in ROOMS
        for field in model._meta.concrete_fields
    )
    return frozenset(
        field.name
        for field in fields
        if isinstance(field, models.BooleanField)
        or (isinstance(field, models.DateTimeField) and field.null)
        or field.name == "state"
    )


def places(known: frozenset[str]) -> Iterator[str]:
    """Each function that asks for states, and what it asks."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            if "migrations" in path.parts or not any(f"{one}(" in text for one in _ASKS):
                continue
            for function in nodes_of(path):
                of_ours = isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
                if of_ours and (asked := [*_asked_in(function, known)]):
                    name = getattr(function, "name", "")
                    yield f"{path.relative_to(ROOT)} {name}: {', '.join(asked)}"


def _asked_in(function: ast.AST, known: frozenset[str]) -> Iterator[str]:
    for call in ast.walk(function):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        for one in call.keywords if name in _ASKS else ():
            if known.intersection(str(one.arg).split("__")):
                not_ = "not " if name == "exclude" else ""
                yield f"{not_}{one.arg}={ast.unparse(one.value)}"


def test_every_place_asks_for_the_states_of_its_row() -> None:
    listed = Path(__file__).with_name("states_read.txt").read_text().splitlines()
    assert list(places(states())) == listed


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("rows.filter(enabled=True, name=name)", ["enabled=True"]),
        ("rows.exclude(key__revoked_at=None)", ["not key__revoked_at=None"]),
        ("Q(enabled=True) | Q(name=name)", ["enabled=True"]),
        ("rows.update(enabled=True)", []),
    ],
)
def test_state_is_recognised(code: str, asked: list[str]) -> None:
    assert list(_asked_in(ast.parse(code), frozenset({"enabled", "revoked_at"}))) == asked
