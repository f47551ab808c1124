"""P12: what a colleague has is shown to nobody but who may see it: every page and operation, the
palette with words and without, the audit trail and exports."""

import inspect
from collections.abc import Collection, Iterator
from typing import Final

import pytest

from accounts.roles.rules import LEAD_ACTIONS
from config.shell import command_palette
from tests.isolation.cells import FAULTS, Cell, ask, expected, is_operators, methods, page_routes
from tests.isolation.colleagues import (
    MEMBERS,
    OTHERS,
    RELATIONS,
    ROWS,
    build,
    leaks_in,
    models_of_people,
    shown_in,
    word,
)
from tests.isolation.table import OPERATIONS, PAGES, Route
from tests.isolation.who import Who
from tests.isolation.world import World
from tests.support import cast
from tests.support.stage import scene
from usage.exports import exports
from usage.models import Export
from usage.requests.columns import REQUESTS

pytestmark = pytest.mark.django_db


def test_every_model_that_names_a_person_has_a_row() -> None:
    """A new one gets a row, or a reason why nobody has to be kept from it."""
    named = models_of_people() | {"billing.Budget"}
    assert named == {name.partition(" ")[0] for name in ROWS} | OTHERS.keys()
    assert not ROWS.keys() & OTHERS.keys()


# Everybody who may open it sees what is their own there, or what is everybody's.
_ALIKE: Final = ("playground.", "prompts.", "models.", "signed in")
# What the installation is made of names nobody but operators.
_MACHINERY: Final = ("channels.", "models.", "prices.", "codes.")


def asked() -> Iterator[Cell]:
    """Each page and operation that only reads, by those who see least of those who may open it: one
    who sees their own, and one who sees a team."""
    for name, route in (PAGES | OPERATIONS).items():
        of_operators = name in PAGES and is_operators(name)
        skipped = ("public", *(_MACHINERY if of_operators else ()))
        if "GET" not in methods(name) or route.guard.startswith(skipped) or _is_stream(name):
            continue
        opened = [
            cell
            for role in (("operator",) if of_operators else MEMBERS)
            for cell in _first(name, role)
        ]
        few = [cell for cell in opened if cell.who.role in _least(route)]
        yield from opened[:1] if route.guard.startswith(_ALIKE) or not few else few


def _least(route: Route) -> Collection[str]:
    """Who sees least: their own, a team's by their role, and a list of it by leading the team."""
    leads = route.guard in LEAD_ACTIONS and route.kind is None
    return ("developer", "limited admin", "lead") if leads else ("developer", "limited admin")


def _is_stream(name: str) -> bool:
    return name in PAGES and inspect.iscoroutinefunction(page_routes()[name][1])


def _first(name: str, role: str) -> list[Cell]:
    """The cell of one's own object, or else of an object that one may see."""
    route = (PAGES | OPERATIONS)[name]
    wheres = route.kind.wheres if route.kind else ("none",)
    cells = [Cell(name, "GET", Who(role), where) for where in wheres if where != "missing"]
    opened = [cell for cell in cells if expected(cell) == "in"]
    return opened[:1]


@scene
def company() -> World:
    return build()


@pytest.mark.parametrize("role", MEMBERS)
def test_the_palette_finds_nothing_of_colleagues(company: World, role: str) -> None:
    """Without words, with the words of a kind, and with all that stands in an object."""
    actor = cast.actor(company.people[role, "active"], company.acme)
    faults = []
    for words in ("", "keys z", *(f"z{row.name}" for row in ROWS.values())):
        text = str(command_palette.search(actor, words))
        faults += [f"{words!r}: it shows {leak}" for leak in leaks_in(company, Who(role), text)]
    assert faults == []


@pytest.mark.parametrize("form", ["csv", "jsonl", "focus"])
def test_exports_hold_nothing_of_colleagues(company: World, form: str) -> None:
    """The worker reads as the person who asked for the file."""
    columns = ",".join(column.name for column in REQUESTS.columns)
    query = "" if form == "focus" else f"cols={columns}"
    asked_for = {}
    Export.objects.all().delete()
    for role in MEMBERS:
        actor = cast.actor(company.people[role, "active"], company.acme)
        asked_for[role] = actor, exports.start_export(actor, form, query, "en")
    while exports.make_next():
        pass
    for role, (actor, export) in asked_for.items():
        export.refresh_from_db()
        text = b"".join(exports.pieces(actor, export)).decode()
        seen = [row for row in ROWS.values() if row.name == "request"]
        shown = {relation for relation in RELATIONS if word(seen[0], relation) in text}
        wanted = {relation for relation in RELATIONS if seen[0].seen.by(Who(role), relation)}
        assert (role, shown) == (role, wanted)
        assert [*leaks_in(company, Who(role), text)] == []


@pytest.mark.usefixtures("bare")
def test_pages_and_operations_show_nothing_of_colleagues(company: World) -> None:
    faults, shown = [], set[str]()
    for cell in asked():
        answer = ask(company, cell)
        if answer.status >= 400 and answer.status != 409:
            faults.append(f"{cell}: {answer.status} {FAULTS}, which shows nothing")
        faults += [f"{cell}: it shows {leak}" for leak in leaks_in(company, cell.who, answer.text)]
        shown |= shown_in(company, answer.text)
    assert not faults, "\n".join(faults)
    # Each kind is read by somebody who may: the words stand where they are looked for. Of sign-ins
    # and files a page shows what they are, not the text that says whose. A kept text is opened by
    # sending a reason, which the test of the matrix does.
    unread = {"passkey", "signin", "file", "kepttext"}
    assert {row.name for row in ROWS.values()} - shown <= unread
