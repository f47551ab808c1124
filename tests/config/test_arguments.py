"""Each optional argument of a write arrives: what it gives is in a row, an event or a fact
afterwards, and differs from what is there without it and with another value."""

import datetime as dt
import importlib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from lib import clock
from tests.config.test_writes import _WRITTEN, ROOT, _audited_and_silent
from tests.config.writes.arguments import ARGUMENTS, TRIED_IN, WITHIN
from tests.config.writes.world import World, world

__all__ = ["world"]

CASES: Final = [(name, argument) for name, one in ARGUMENTS.items() for argument in one.values]
# What differs each time: ids and secrets; of an instant, that it is now.
_IDS: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9A-HJKMNP-TV-Z]{26}|\\x[0-9a-f]+"
    r'|(?<=_id": )\d+|(?<="budget": )"?\d+"?|(?<="last4": ")\w+'
)
_OTHER: Final = {
    "account_ids", "digest", "id", "last4", "object_id", "password", "prefix", "request_id",
    "sealed", "session",
}  # fmt: skip
_INSTANT: Final = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+(\+00:00|Z)?")
_NOW_S: Final = 3600


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends in some days ends at the same instant each time."""
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)


def _left_by(name: str, world: World, given: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """The rows of the tables that a write writes to, as it leaves them; nothing of it stays."""
    with transaction.atomic():
        with CaptureQueriesContext(connection) as made:
            ARGUMENTS[name].call(world, **given)
        tables = {table for query in made for _, table in _WRITTEN.findall(query["sql"])}
        rows = {table: _rows_of(table) for table in sorted(tables)}
        transaction.set_rollback(True)
    return rows


def _rows_of(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
        rows = [json.loads(text) for (text,) in cursor.fetchall()]
    texts = (
        json.dumps({name: value for name, value in row.items() if name not in _OTHER})
        for row in rows
    )
    return sorted(_INSTANT.sub(_instant, _IDS.sub("§", text)) for text in texts)


def _instant(match: re.Match[str]) -> str:
    at = dt.datetime.fromisoformat(match[0].replace("Z", "+00:00"))
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return "now" if abs((at - clock.now()).total_seconds()) < _NOW_S else at.isoformat()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_argument_is_seen_afterwards(world: World, name: str) -> None:
    given = {
        argument: values(world) if callable(values) else values
        for argument, values in ARGUMENTS[name].values.items()
    }
    without = _left_by(name, world, {})
    assert without == _left_by(name, world, {}), "the write itself differs from time to time"
    unseen = []
    for argument, values in given.items():
        left = [without]
        for value in values:
            left.append(_left_by(name, world, {argument: value}))
            if left[-1] in left[:-1]:
                unseen.append((argument, value))
    assert unseen == []


def test_every_optional_argument_has_values() -> None:
    optional = set()
    for name in _audited_and_silent()[0]:
        module, _, function = name.rpartition(".")
        found = inspect.signature(getattr(importlib.import_module(module), function)).parameters
        optional |= {f"{name} {one.name}" for one in found.values() if one.default is not one.empty}
    assert {*map(" ".join, CASES)} | TRIED_IN.keys() | WITHIN.keys() == optional
    for name, path in TRIED_IN.items():
        write, argument = name.rpartition(".")[2].split(" ")
        text = (ROOT / path).read_text()
        assert {write, argument} <= {*re.findall(r"\w+", text)}, name
