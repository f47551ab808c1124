"""A list takes as many statements for many rows as for few, in the API and on pages."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from lib.refusal import Refused
from tests.isolation.cells import Cell, ask, cells, expected
from tests.isolation.kinds import KINDS
from tests.isolation.table import OPERATIONS
from tests.isolation.test_pages import plain_pages
from tests.isolation.world import World

pytestmark = pytest.mark.django_db

MORE = 3
VALUE = r"(?:'[^']*'|\b\d+\b)(?:::\w+)?"
# The values of a statement, and those of a list of any length.
VALUES = re.compile(rf"{VALUE}(?:, {VALUE})*")
# The time of a session's last use is written at most once a minute.
BESIDE = ("usersessions_usersession",)


def lists(names: Iterable[str]) -> list[Cell]:
    """Each address that names no object, as asked by who sees the most there."""
    granted: dict[str, Cell] = {}
    for name in names:
        for cell in cells(name):
            at_most = cell.who.role in ("owner", "operator") and cell.where == "none"
            here = (cell.who.carrier, cell.who.standing) == ("session", "active")
            if cell.method == "GET" and at_most and here and expected(cell) == "in":
                granted.setdefault(name, cell)
    return list(granted.values())


def statements(world: World, cell: Cell) -> Counter[str]:
    """How often each statement is sent, whatever its values."""
    connection.queries_log.clear()
    with CaptureQueriesContext(connection) as captured:
        ask(world, cell)
    texts = (VALUES.sub("?", query["sql"]) for query in captured.captured_queries)
    return Counter(text for text in texts if not any(table in text for table in BESIDE))


def add_rows(world: World) -> int:
    """Make more of each kind, in the team of whoever asks and in the installation."""
    added = 0
    for kind in KINDS:
        for _ in range(MORE):
            for where in {"colleague", "there"}.intersection(kind.wheres):
                # Of some only one can have a name.
                with suppress(Refused, IntegrityError), transaction.atomic():
                    kind.make(world, world.places[where])
                    added += 1
    return added


@pytest.mark.parametrize("of", ["operations", "pages"])
def test_more_rows_take_no_more_statements(world: World, of: str) -> None:
    asked = lists(OPERATIONS if of == "operations" else plain_pages())
    # What this process reads once is read beside many rows; few find it there.
    more = beside_more_rows(world, asked)
    few = {cell: statements(world, cell) for cell in asked}
    again = beside_more_rows(world, [cell for cell in asked if grown(few[cell], more[cell])])
    faults = [
        f"{cell}: {times} × {text[:300]}"
        for cell in again
        for text, times in grown(few[cell], again[cell]).items()
    ]
    assert not faults, "\n".join(faults)


def beside_more_rows(world: World, asked: Sequence[Cell]) -> dict[Cell, Counter[str]]:
    """What each sends while there are more rows, which do not stay."""
    if not asked:
        return {}
    with transaction.atomic():
        assert add_rows(world) > MORE * len(KINDS) / 2
        sent = {cell: statements(world, cell) for cell in asked}
        transaction.set_rollback(True)
    return sent


def grown(few: Counter[str], more: Counter[str]) -> dict[str, int]:
    """The statements that are sent again for each of more rows."""
    return {text: times for text, times in (more - few).items() if times >= MORE}
