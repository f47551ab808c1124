"""What each route and each operation needs: one line for each, in the file of the room that answers
it, which the matrix compares with what it answers to everybody. A route without a line fails the
build.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Final

from tests.isolation.table import (
    accounts,
    billing,
    config,
    content,
    gateway,
    notify,
    playground,
    reference,
    usage,
)
from tests.isolation.table.route import Route

__all__ = ["OPERATIONS", "PAGES", "Route"]


def _joined(*rooms: Mapping[str, Route]) -> dict[str, Route]:
    """The lines of all rooms; a route has one in one of them."""
    lines = list(chain.from_iterable(room.items() for room in rooms))
    joined = dict(lines)
    assert len(joined) == len(lines), "a route has two lines"
    return joined


PAGES: Final = _joined(
    accounts.PAGES,
    notify.PAGES,
    billing.PAGES,
    content.PAGES,
    usage.PAGES,
    gateway.PAGES,
    reference.PAGES,
    playground.PAGES,
    config.PAGES,
)
OPERATIONS: Final = _joined(
    accounts.OPERATIONS,
    notify.OPERATIONS,
    billing.OPERATIONS,
    content.OPERATIONS,
    usage.OPERATIONS,
    gateway.OPERATIONS,
    playground.OPERATIONS,
    config.OPERATIONS,
)
