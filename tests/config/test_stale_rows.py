"""A write decides by the rows as they are, not by the objects that its caller read before. With an
object whose row others have changed since, it does the same as with one that is read anew."""

import copy
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final, get_type_hints

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from accounts.members.invitations import Offer
from accounts.models import AuditEvent
from lib import clock
from tests.config.test_arguments import _rows_of, _stopped
from tests.config.test_writes import _WRITTEN, _bank
from tests.config.writes import BEFORE, WRITES
from tests.config.writes.behind import BEHIND, BESIDES, MORE, NOW, REMOVABLE
from tests.config.writes.world import World, world

__all__ = ["_bank", "_stopped", "world"]

CALLS: Final = {**WRITES, **MORE}

# Their message shows a budget as their caller has seen it. They decide nothing by it.
SHOWN: Final = {
    "billing.limits.budget_alerts.send_test",
    "billing.limits.budget_increases.ask_for_more",
}


def _models_of(name: str) -> Iterator[type[Model]]:
    """The models whose rows a write is given."""
    module, _, function = name.partition(" ")[0].rpartition(".")
    write = getattr(importlib.import_module(module), function)
    for argument, one in get_type_hints(write).items():
        if argument != "return" and isinstance(one, type) and issubclass(one, Model):
            yield one
    yield from BESIDES.get(name, ())


CASES: Final = [
    (name, one) for name in CALLS if name not in SHOWN for one in dict.fromkeys(_models_of(name))
]


@dataclass
class Change:
    """What happens to the row of each argument of one model, before a write gets it; `changed` are
    the rows to which it has happened."""

    model: type[Model]
    values: Mapping[str, Any]
    anew: bool
    changed: list[Any]

    def __call__(self, argument: Any) -> Any:
        if isinstance(argument, Offer):
            return replace(argument, custom_role=self(argument.custom_role))
        if type(argument) is not self.model:
            return argument
        rows = self.model._base_manager.filter(pk=argument.pk)
        if rows.update(**self.values):
            self.changed.append(argument.pk)
        return rows.get() if self.anew else argument


def _make(
    patch: pytest.MonkeyPatch, world: World, name: str, given: Callable[[Any], Any]
) -> tuple[str, Mapping[str, list[str]]]:
    """Make a write with what `given` returns of each of its arguments; nothing of it stays. Return
    its refusal, or what it returned, and the rows that it left."""
    write, own = CALLS[name], copy.deepcopy(world)
    with transaction.atomic(), patch.context() as replaced:
        if name in BEFORE:
            BEFORE[name](own)
        _replace(replaced, name, given)
        with CaptureQueriesContext(connection) as made:
            try:
                with transaction.atomic():
                    said = _text(write(own))
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
        tables = {table for query in made for _, table in _WRITTEN.findall(query["sql"])}
        left = {table: _rows_of(table) for table in sorted(tables)}
        transaction.set_rollback(True)
    return said, left


def _replace(patch: pytest.MonkeyPatch, name: str, given: Callable[[Any], Any]) -> None:
    """Let the first call of a write, wherever its caller has it from, get other arguments."""
    module, _, function = name.partition(" ")[0].rpartition(".")
    names = CALLS[name].__globals__
    homes = [one for one in names.values() if isinstance(one, ModuleType)]
    begun = False

    def replaced(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal begun
            if begun:
                return real(*args, **kwargs)
            begun = True
            return real(*map(given, args), **{key: given(one) for key, one in kwargs.items()})

        return call

    for home in dict.fromkeys([*homes, importlib.import_module(module)]):
        if callable(real := getattr(home, function, None)):
            patch.setattr(home, function, replaced(real))
    if function in names:
        patch.setitem(names, function, replaced(names[function]))


def _text(returned: Any) -> str:
    """What a write returned; of a row, what differs not each time."""
    if not isinstance(returned, Model):
        return type(returned).__name__
    fields = {one.attname: getattr(returned, one.attname) for one in returned._meta.concrete_fields}
    plain = {key: one for key, one in fields.items() if type(one) in (bool, int, str)}
    return str({key: one for key, one in plain.items() if not key.endswith("id")})


@pytest.mark.parametrize(("name", "model"), CASES)
def test_write_decides_by_the_row_as_it_is(
    monkeypatch: pytest.MonkeyPatch, world: World, name: str, model: type[Model]
) -> None:
    differing = []
    for changes in BEHIND[model]:
        values = {key: clock.now() if one is NOW else one for key, one in changes.items()}
        of_stale, of_fresh = (Change(model, values, anew, []) for anew in (False, True))
        stale = _make(monkeypatch, world, name, of_stale)
        fresh = _make(monkeypatch, world, name, of_fresh)
        assert of_stale.changed, stale
        assert of_fresh.changed, fresh
        if stale != fresh:
            differing.append((changes, *_different(stale, fresh)))
    assert differing == []


def _different(
    stale: tuple[str, Mapping[str, list[str]]], fresh: tuple[str, Mapping[str, list[str]]]
) -> list[object]:
    said = [one[0] for one in (stale, fresh) if stale[0] != fresh[0]]
    tables = sorted(stale[1].keys() | fresh[1].keys())
    left = [[one[1].get(table) for one in (stale, fresh)] for table in tables]
    return [
        *said,
        *(table for table, (one, other) in zip(tables, left, strict=True) if one != other),
    ]


@dataclass
class Removal:
    """What others do to a row before a write gets it: they delete it. `events` is how long the
    audit trail is then."""

    model: type[Model]
    events: int = -1

    def __call__(self, argument: Any) -> Any:
        if isinstance(argument, Offer):
            self(argument.custom_role)
        elif type(argument) is self.model:
            self.model._base_manager.filter(pk=argument.pk).delete()
            self.events = AuditEvent.objects.count()
        return argument


@pytest.mark.parametrize(("name", "model"), [one for one in CASES if one[1] in REMOVABLE])
def test_write_of_a_row_that_is_gone_records_nothing(
    monkeypatch: pytest.MonkeyPatch, world: World, name: str, model: type[Model]
) -> None:
    """Whoever comes second is refused, or has nothing to do."""
    gone = Removal(model)
    said, left = _make(monkeypatch, world, name, gone)
    assert gone.events > 0, said
    assert said.partition(": ")[0] in {"NoneType", "Http404"} or "Refused: " in said
    assert len(left.get("accounts_auditevent", [])) <= gone.events
