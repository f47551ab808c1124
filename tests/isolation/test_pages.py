"""P12: every page, asked for by everybody, for what is theirs, what is not and what is missing."""

import inspect

import pytest

from tests.house.asked import first_cells
from tests.isolation.cells import PARTS, Cell, cells, draw, expected, faults_of_all, page_routes
from tests.isolation.table import PAGES
from tests.isolation.world import World

pytestmark = pytest.mark.django_db


def plain_pages() -> list[str]:
    """The pages whose view is no coroutine: those are tried in `test_streams.py`."""
    return [name for name in PAGES if not inspect.iscoroutinefunction(page_routes()[name][1])]


def granted_pages() -> list[Cell]:
    """What is asked of them elsewhere."""
    return [cell for cell in first_cells() if cell.is_page and expected(cell) == "in"]


def test_every_page_has_a_line_in_the_table() -> None:
    """A new page gets one: which action its guard asks for, and which object its address names."""
    assert PAGES.keys() == page_routes().keys()


def test_table_matches_the_guards() -> None:
    plain = {"signed-in": "signed in", "public": "public"}
    guards = {
        name: plain.get(view.access_class) or view.access_class.partition(":")[2]
        for name, (_, view) in page_routes().items()
    }
    assert guards == {name: route.guard for name, route in PAGES.items()}


@pytest.mark.usefixtures("bare")
def test_pages_show_only_permitted_data(world: World) -> None:
    """In the suite a draw of the cells, see `Cell.facts`, beside those that `test_answers.py` asks
    the same of. No page looks at a key: those who come by one are tried at one page."""
    everything = [
        cell
        for name in plain_pages()
        for cell in cells(name)
        if cell.who.carrier == "session" or name == "home"
    ]
    faults = list(faults_of_all(world, draw(everything, granted_pages())))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.usefixtures("bare")
def test_every_cell_of_every_page(world: World, part: int) -> None:
    everything = (cell for name in plain_pages()[part::PARTS] for cell in cells(name))
    faults = list(faults_of_all(world, everything))
    assert not faults, "\n".join(faults)
