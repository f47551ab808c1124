"""The world that each part of the matrix is played on."""

from typing import Any

import pytest

from tests.isolation.building import build
from tests.isolation.world import World


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.BANK_ACCOUNT = "DE02 1203 0000 0000 2020 51"
    return build()
