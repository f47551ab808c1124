"""What each button of a page is answered, and each operation that changes something, and the rows
that it leaves. `presses_*.txt` has it, a file for each room that answers:

    == raise_approve of raise as owner: 204
    > amount 20, period month
    HX-Trigger: {"toast": {"text": "Approved"}}
    raise_approve: updates usage_raise §: state "open" → "approved"
    <h2> what the answer says and its page does not
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from lib import clock
from tests.config.writes.written import Beginning, chosen
from tests.house.offers import Outcome, Press, body_of, noting_tables
from tests.house.outlines.outline import outline_of, plain
from tests.house.outlines.pages import FOLDER, IS_FILE, room_of
from tests.isolation.cells import Cell, stay
from tests.isolation.world import World

ROWS_MAX: Final = 20
"""Of more rows that a press leaves, so many are written."""
_VALUE_MAX: Final = 100
_TOKEN: Final = "csrfmiddlewaretoken"
_NANO: Final = re.compile(r"\b(\w+_nano) \d+")
_NUMBER: Final = re.compile(r"(?<=\buser:)\d+|(?<=^id \")\d+|(?<=\"id\": \")\d+")
_TOOK: Final = re.compile(r"(?<=\"ms\": )\d+|(?<=^total_ms )\d+")
# What a balance is and how often its budgets changed depends on what was pressed before.
_COUNTED: Final = re.compile(r"\b(balance_nano|guards) (-?\d+) → (-?\d+)")
_SIDE: Final = re.compile("◷[-+]")
# Each table has it.
_ONCE: Final = frozenset({"table_preference"})
# It compares every price of a library, and these change with it.
_LEFT_OUT: Final = frozenset({"price_compare"})


class Presses:
    """What was pressed so far, and what came of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._beginning = Beginning.now(world)
        self._files = defaultdict[str, list[str]](list)
        self._name = ""
        self._seen = set[tuple[str, str]]()

    def begin(self, press: Press) -> None:
        """What is left from now on is left by this press."""
        self._name = press.name

    def left(self, tables: Collection[str], began: dt.datetime) -> Sequence[str]:
        """What the press left that wrote to these tables and began then."""
        both = self._beginning.left(self._name, tables, began)
        lines = chosen(((_stable(one), _stable(other)) for one, other in both), self._known)
        more = len(lines) - ROWS_MAX
        return lines if more <= 0 else [*lines[:ROWS_MAX], f"{self._name}: and {more} more"]

    def add(
        self, cell: Cell, press: Press, page: str, outcome: Outcome, data: Mapping[str, Any]
    ) -> None:
        """A press of a page that said this, and what came of it. What each table has
        is added once."""
        button = press.button.get("name", "")
        if press.name in _LEFT_OUT or (press.name, button) in self._seen:
            return
        if press.name in _ONCE:
            self._seen.add((press.name, button))
        sent = [f"{name} {_said(name, value)}" for name, value in data.items() if name != _TOKEN]
        shown = {*outline_of(page)}
        lines = [] if outcome.text.startswith(IS_FILE) else outline_of(body_of(outcome.text))
        self._files[f"presses_{room_of(cell)}.txt"] += [
            f"== {press.name} of {press.page} as {cell.who.role}: {outcome.status}",
            *([plain(f"> {', '.join(sent)}")] if sent else []),
            *map(plain, outcome.beside),
            *outcome.left,
            *(line for line in lines if line not in shown),
        ]

    def ask(self, cell: Cell) -> None:
        """An operation that changes something, and what came of it."""
        self._name, began, written = cell.name, clock.now(), set[str]()
        with transaction.atomic():
            with noting_tables(written):
                came = stay(self._world, cell)
            left = self.left(written, began)
            transaction.set_rollback(True)
        lines = [] if came.body.startswith(IS_FILE) else outline_of(came.body)
        self._files["presses_api.txt"] += [
            f"== {cell.name} as {cell.who.role}: {came.status}", *left, *map(_stable, lines)
        ]  # fmt: skip

    def said(self) -> Iterator[tuple[str, list[str]]]:
        """The file of each room, and its lines. Whether a time is past may depend on the day."""
        for name, lines in self._files.items():
            yield name, [_SIDE.sub("◷", line) for line in lines]

    @cached_property
    def _known(self) -> Collection[str]:
        files = FOLDER.glob("presses_*.txt")
        return {line for file in files for line in file.read_text().splitlines()}


def _stable(line: str) -> str:
    """A line of a row without what is different each time: what a window of a budget has seen
    depends on the day."""
    if "billing_budgetwindow" in line:
        line = _NANO.sub(r"\1 §", line)
    line = _COUNTED.sub(lambda one: f"{one[1]} {int(one[3]) - int(one[2]):+d}", line)
    return _TOOK.sub("§", _NUMBER.sub("§", plain(line)))


def _said(name: str, value: Any) -> str:
    if name == "id":
        return "§"
    if isinstance(value, SimpleUploadedFile):
        return f"the file {value.name}"
    text = " + ".join(map(str, value)) if isinstance(value, list) else str(value)
    return plain(" ".join(text.split()))[:_VALUE_MAX]
