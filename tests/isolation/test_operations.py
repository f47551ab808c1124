"""P12: every operation of the management API, asked for by everybody, for what is theirs, what is
not and what is missing."""

import pytest

from tests.house.test_access import operations
from tests.isolation.cells import cells, draw, faults_of
from tests.isolation.table import OPERATIONS
from tests.isolation.world import World

pytestmark = pytest.mark.django_db


def test_every_operation_has_a_line_in_the_table() -> None:
    """A new operation gets one: which action it asks for, and which object its address names."""
    assert OPERATIONS.keys() == {name for name, _ in operations()}


def test_operations_show_nobody_what_is_not_theirs(world: World) -> None:
    """In the suite a draw of the cells, see `Cell.facts`."""
    everything = [cell for name in OPERATIONS for cell in cells(name)]
    faults = [fault for cell in draw(everything) for fault in faults_of(world, cell)]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("noun", sorted({name.split("/")[1] for name in OPERATIONS}))
def test_every_cell_of_every_operation(world: World, noun: str) -> None:
    names = [name for name in OPERATIONS if name.split("/")[1] == noun]
    everything = (cell for name in names for cell in cells(name))
    faults = [fault for cell in everything for fault in faults_of(world, cell)]
    assert not faults, "\n".join(faults)
