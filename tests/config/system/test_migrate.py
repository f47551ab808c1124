"""A migration waits for no lock for long: behind it everybody would wait who comes later."""

from collections.abc import Iterator
from os import environ
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command, get_commands
from django.core.management.commands import migrate as djangos
from django.db import connection

from config.management.commands import migrate
from lib.database.table_locks import LOCK_WAIT_MS
from relay.database import database

pytestmark = pytest.mark.django_db(transaction=True)


class InTheWay:
    """Somebody who reads a table, and a migration that wants it for itself."""

    def __init__(self) -> None:
        self.tries = 0
        self.ends_after = migrate.TRIES
        self._reader = psycopg.connect(
            environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]
        )
        self._reader.execute("SELECT FROM accounts_epoch")

    def migrate(self, *_: Any, **__: Any) -> None:
        self.tries += 1
        if self.tries > self.ends_after:
            # The lock is released when this returns; of a closed connection it is a little later.
            self._reader.rollback()
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN LOCK TABLE accounts_epoch; END $$")

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InTheWay]:
    """It is gone before the database is emptied, which would wait for it."""
    in_the_way = InTheWay()
    monkeypatch.setattr(migrate, "LOCK_WAIT_MS", 10)
    monkeypatch.setattr(djangos.Command, "handle", in_the_way.migrate)
    try:
        yield in_the_way
    finally:
        in_the_way.close()


def lock_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return str(cursor.fetchone()[0])


def test_migration_of_a_busy_table_gives_way_and_retries(reader: InTheWay) -> None:
    reader.ends_after = migrate.TRIES - 1
    call_command("migrate", verbosity=0)
    assert reader.tries == migrate.TRIES
    assert lock_timeout() == "0"


def test_table_that_stays_busy_is_reported(reader: InTheWay) -> None:
    with pytest.raises(CommandError, match="run migrate again later"):
        call_command("migrate", verbosity=0)
    assert reader.tries == migrate.TRIES
    assert lock_timeout() == "0"


def test_requests_wait_over_twice_as_long_as_table_changes() -> None:
    """P10: no request is refused for a migration, a new month, or one that moves to a file."""
    assert int(database.SESSION["lock_timeout"]) > 2 * LOCK_WAIT_MS


def test_command_is_the_installations_own() -> None:
    assert get_commands()["migrate"] == "config"
