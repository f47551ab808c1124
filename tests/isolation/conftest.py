"""The world that each part of the matrix is played on."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.conf import settings
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.isolation.building import build
from tests.isolation.world import World
from tests.support.shell import bare_pages


@pytest.fixture(scope="module")
def built_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once for a file, in a transaction around those of its tests."""
    with (
        django_db_blocker.unblock(),
        transaction.atomic(),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(settings, "BANK_ACCOUNT", "DE02 1203 0000 0000 2020 51", raising=False)
        yield build()
        transaction.set_rollback(True)


@pytest.fixture
def world(built_world: World, db: None) -> World:
    """What a test makes besides ends with it."""
    return replace(built_world, ids=dict(built_world.ids))


@pytest.fixture
def bare() -> Iterator[None]:
    """What is asked here is asked of the menu in `tests/house/test_answers.py`."""
    with bare_pages():
        yield
