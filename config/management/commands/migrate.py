"""`manage.py migrate` for an installation that is in use: it never waits long for a lock, and takes
a third of Django's time (config/system/migration_state.py).

A statement that waits for a table lock makes all later statements wait, even reads. So a migration
that does not get its lock within a moment is rolled back and tried again, and requests proceed in
between.
"""

from typing import Any, Final

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

from config.system.migration_state import render_less
from lib.database.code_migrations import half_applied
from lib.database.table_locks import LOCK_WAIT_MS

TRIES: Final = 30


class Command(migrate.Command):
    """Django's command with a limit on the wait for locks."""

    def handle(self, *args: Any, **options: Any) -> None:
        if problem := half_applied():
            raise CommandError(problem)
        render_less()
        connection = connections[options["database"]]
        for attempt in range(1, TRIES + 1):
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                if attempt == TRIES:
                    raise CommandError(
                        "A table is in use for longer than a migration waits, as it is during a "
                        "backup. What was applied stays; run migrate again later."
                    ) from error
            else:
                return
            finally:
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")
