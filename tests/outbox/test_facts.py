"""A fact is told if, and only if, it was committed."""

import ast
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest
from django.db import transaction

from notify.events.kinds import KINDS
from outbox.facts import put
from outbox.models import Fact
from tests.house.parsed import tree_of

ROOT = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
def test_no_fact_is_sent_outside_its_transaction() -> None:
    with pytest.raises(RuntimeError):
        put("webhook.tested", None)
    with transaction.atomic():
        put("webhook.tested", None)
        transaction.set_rollback(True)
    assert not Fact.objects.exists()


def test_every_fact_kind_is_known_and_every_email_has_its_texts() -> None:
    put_kinds = {
        kind
        for room in ("accounts", "notify", "billing", "usage", "gateway", "playground", "config")
        for path in (ROOT / room).rglob("*.py")
        if "put(" in path.read_text()
        for kind in _kinds_put(tree_of(path))
    }
    assert {"webhook.tested", "topup.paid", "jobs.resumed"} <= put_kinds
    assert put_kinds <= set(KINDS)
    for kind in KINDS.values():
        if kind.roles or kind.operators:
            name = f"templates/notify/letters/{kind.name.replace('.', '_')}.txt"
            assert (ROOT / name).exists(), name


def _kinds_put(module: ast.Module) -> Iterator[str]:
    """The kinds that a file names where it puts a fact, or where it calls a function of its own
    that puts one of the kind that it is given first."""
    calls = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
    ]
    ids = {call.args[0].id for call in _calls_of({"put"}, calls) if type(call.args[0]) is ast.Name}
    handing_on = {
        node.name
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg in ids
    }
    for call in _calls_of({"put"} | handing_on, calls):
        kind = call.args[0]
        if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
            yield kind.value


def _calls_of(names: Collection[str], calls: Iterable[ast.Call]) -> Iterator[ast.Call]:
    return (call for call in calls if isinstance(call.func, ast.Name) and call.func.id in names)
