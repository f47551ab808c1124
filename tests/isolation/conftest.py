"""The world that each part of the matrix is played on."""

from types import SimpleNamespace
from typing import Any

import pytest

from config import views
from tests.isolation.world import World, build


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.BANK_ACCOUNT = "DE02 1203 0000 0000 2020 51"
    return build()


@pytest.fixture
def bare_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error pages without the navigation, which costs more than the rest of a refusal: for what the
    suite draws. The slow lane looks at them as they are."""
    monkeypatch.setattr(views, "guards", SimpleNamespace(visitor=lambda request: None))
