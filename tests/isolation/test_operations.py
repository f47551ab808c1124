"""P12: every operation of the management API, asked for by everybody, for what is theirs, what is
not and what is missing."""

import pytest

from tests.house.asked import first_cells
from tests.house.test_access import operations
from tests.isolation.cells import PARTS, cells, draw, expected, faults_of_all
from tests.isolation.kinds.accounts import MEMBER
from tests.isolation.table import OPERATIONS
from tests.isolation.world import World

pytestmark = pytest.mark.django_db


def test_every_operation_has_a_line_in_the_table() -> None:
    """A new operation gets one: which action it asks for, and which object its address names."""
    assert OPERATIONS.keys() == {name for name, _ in operations()}


def test_operations_show_only_permitted_data(world: World) -> None:
    """In the suite a draw of the cells, see `Cell.facts`, beside those that `test_answers.py` asks
    the same of."""
    everything = [cell for name in OPERATIONS for cell in cells(name)]
    asked = [cell for cell in first_cells() if not cell.is_page and expected(cell) == "in"]
    faults = list(faults_of_all(world, draw(everything, asked)))
    assert not faults, "\n".join(faults)


def test_former_and_invited_members_are_seen_only_from_here(world: World) -> None:
    """Every operation on a member who left another organisation (the colleague), and on one whom it
    has invited (of the team Side), by everybody who may manage members."""
    of_members = [name for name, route in OPERATIONS.items() if route.kind is MEMBER]
    everything = [
        cell
        for name in of_members
        for cell in cells(name)
        if cell.who.role in ("owner", "admin")
        and (cell.who.carrier, cell.who.standing) == ("session", "active")
        and cell.where in ("colleague", "side")
    ]
    assert {cell.where for cell in everything} == {"colleague", "side"}
    faults = list(faults_of_all(world, everything))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_cell_of_every_operation(world: World, part: int) -> None:
    everything = (cell for name in list(OPERATIONS)[part::PARTS] for cell in cells(name))
    faults = list(faults_of_all(world, everything))
    assert not faults, "\n".join(faults)
