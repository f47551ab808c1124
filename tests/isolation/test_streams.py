"""P12: the pages whose views are coroutines, asked for by those whom a scope, a place or an ended
standing sets apart. They read in threads of their own, so that what is made here is committed."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.isolation.building import build
from tests.isolation.cells import Cell, cells, draw, expected, leaks_in, page_routes, stay
from tests.isolation.table import PAGES
from tests.isolation.world import World

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("owner", "viewer", "limited developer", "custom auditor", "operator", "no role")


@pytest.fixture
def world(db: None, settings: Any) -> World:
    """Committed, so that it is made for each test."""
    settings.BANK_ACCOUNT = "DE02 1203 0000 0000 2020 51"
    return build()


def asked(cell: Cell) -> bool:
    """Those by sessions; nobody is suspended, for that would stay."""
    who = cell.who
    return who.role in ROLES and who.carrier == "session" and who.standing != "suspended"


def stream_cells() -> list[Cell]:
    names = [name for name in PAGES if inspect.iscoroutinefunction(page_routes()[name][1])]
    return [cell for name in names for cell in cells(name) if asked(cell)]


def faults_in(world: World, drawn: Sequence[Cell]) -> Iterator[str]:
    for cell in drawn:
        answer, wanted = stay(world, cell), expected(cell)
        if answer.outcome != wanted:
            yield f"{cell}: {answer.outcome} ({answer.status}), not {wanted}"
        yield from (f"{cell}: it shows {word}" for word in leaks_in(cell, answer.text))


@pytest.mark.usefixtures("bare_errors")
def test_streams_show_only_permitted_data(world: World) -> None:
    """In the suite a draw of the cells, see `Cell.facts`."""
    faults = list(faults_in(world, draw(stream_cells())))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
def test_every_cell_of_every_stream(world: World) -> None:
    faults = list(faults_in(world, stream_cells()))
    assert not faults, "\n".join(faults)
