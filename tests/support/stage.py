"""What many tests begin with, made once for several of them.

    @scene
    def people() -> Cast:
        return assemble()

is a fixture. Who asks for it finds in the database what it makes; what a test writes is rolled back
to that, which stands in a transaction around the test's own. now() is there when the scene was
made, which is why an old one is made again. Whoever asks for no scene, or commits, finds the
database without one.
"""

import copy
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import translation
from pytest_django.fixtures import validate_django_db
from pytest_django.plugin import DjangoDbBlocker

# How far the clock of the database may stay behind; a slow test bears as much.
AGE_MAX_S: Final = 2.0
_COMMITTING: Final = {"transactional_db", "live_server", "django_db_reset_sequences"}
_Maker = Callable[[], Any]


class Stage:
    """The scene that stands, if one does."""

    def __init__(self) -> None:
        self._blocker: DjangoDbBlocker | None = None
        self._transaction: transaction.Atomic | None = None
        self._maker: _Maker | None = None
        self._made: Any = None
        self._since = 0.0

    def open(self, blocker: DjangoDbBlocker) -> None:
        """The database is there."""
        self._blocker = blocker

    def set_for(self, item: pytest.Item) -> None:
        """Let the test find its scene, or none."""
        maker = _maker_for(item)
        if maker is not self._maker or time.monotonic() - self._since > AGE_MAX_S:
            self.clear()
        if maker is not None and self._transaction is None and self._blocker is not None:
            with self._blocker.unblock(), translation.override(settings.LANGUAGE_CODE):
                self._set(maker)

    def copy(self, maker: _Maker) -> Any:
        """The scene, for a test that may change it; made for it alone where none can stand."""
        return copy.deepcopy(self._made) if maker is self._maker else maker()

    def is_around(self, block: transaction.Atomic) -> bool:
        """Whether a transaction is the one in which the scene stands."""
        return block is self._transaction

    def clear(self) -> None:
        if self._transaction is not None and self._blocker is not None:
            with self._blocker.unblock():
                transaction.set_rollback(True)
                self._transaction.__exit__(None, None, None)
        self._transaction = self._maker = self._made = None

    def _set(self, maker: _Maker) -> None:
        self._transaction = transaction.atomic()
        self._transaction.__enter__()
        try:
            self._made = maker()
            # Nothing of it is left to be checked at the end of each test.
            connection.check_constraints()
        except BaseException:
            self.clear()
            raise
        self._maker, self._since = maker, time.monotonic()


stage: Final = Stage()


def scene(maker: _Maker) -> Any:
    """A fixture of the name of the function, which is what makes it."""

    def copied_stage(db: None) -> Any:
        return stage.copy(maker)

    copied_stage.scene = maker  # type: ignore[attr-defined]
    return pytest.fixture(name=maker.__name__)(copied_stage)


def _maker_for(item: pytest.Item) -> _Maker | None:
    info = getattr(item, "_fixtureinfo", None)
    if info is None or _commits(item):
        return None
    makers = (getattr(last.func, "scene", None) for *_, last in info.name2fixturedefs.values())
    return next(filter(None, makers), None)


def _commits(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    return (marker is not None and any(validate_django_db(marker)[:2])) or bool(
        _COMMITTING.intersection(getattr(item, "fixturenames", ()))
    )
