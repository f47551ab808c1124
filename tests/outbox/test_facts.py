"""A fact is told if, and only if, it was committed."""

import ast
from pathlib import Path

import pytest
from django.db import transaction

from notify.kinds import KINDS
from outbox.facts import put
from outbox.models import Fact

ROOT = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_told_outside_of_its_transaction() -> None:
    with pytest.raises(RuntimeError):
        put("webhook.tested", None)
    with transaction.atomic():
        put("webhook.tested", None)
        transaction.set_rollback(True)
    assert not Fact.objects.exists()


def test_every_kind_that_is_put_is_known_and_every_letter_has_its_texts() -> None:
    put_kinds = {
        node.args[0].value
        for room in ("accounts", "notify", "billing", "usage", "gateway")
        for text in map(Path.read_text, (ROOT / room).rglob("*.py"))
        if "put(" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "put"
        and isinstance(node.args[0], ast.Constant)
    }
    assert "webhook.tested" in put_kinds
    assert put_kinds <= set(KINDS)
    for kind in KINDS.values():
        if kind.roles or kind.operators:
            for part in ("subject", "message"):
                name = f"templates/notify/{kind.name.replace('.', '_')}_{part}.txt"
                assert (ROOT / name).exists(), name
