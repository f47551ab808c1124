"""Usage as pages and API see it: rows that are there, summed up."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from accounts.models import Key
from lib import clock
from tests.support import cast
from tests.support.lock_order import wallets_locked_first
from tests.support.statement_forms import form
from tests.usage.rows import credit
from usage.rollups.rollups import replace_all

__all__ = ["form"]


@pytest.fixture
def key(people: cast.Cast) -> Key:
    """bob's key, with money behind it."""
    created, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(created)
    return created


@pytest.fixture
def sum_up() -> Callable[[], None]:
    """Sum all records inside the test's own transaction."""

    def summed() -> None:
        with connection.cursor() as cursor:
            replace_all(cursor, clock.now())

    return summed


@pytest.fixture(autouse=True)
def _wallets_locked_first() -> Iterator[None]:
    with wallets_locked_first():
        yield
