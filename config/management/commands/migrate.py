"""`manage.py migrate` for an installation that is in use: it never waits long for a lock, and takes
a third of Django's time (`_render_less`).

A statement that waits for a table lock makes all later statements wait, even reads. So a migration
that does not get its lock within a moment is rolled back and tried again, and requests proceed in
between.
"""

from typing import Any, Final

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.migrations.state import ProjectState
from psycopg.errors import LockNotAvailable

from lib.database.code_migrations import half_applied, newer_version
from lib.database.table_locks import LOCK_WAIT_MS

TRIES: Final = 30
OLDER_VERSION: Final = (
    "Web processes, workers and schedulers of this version work with the database as it is: start "
    "them without this step, or update Weir."
)
"""What to do if a newer version has migrated the database."""

ModelKey = tuple[str, str]


class Command(migrate.Command):
    """Django's command with a limit on the wait for locks."""

    def handle(self, *args: Any, **options: Any) -> None:
        if problem := half_applied():
            raise CommandError(problem)
        if problem := newer_version():
            raise CommandError(f"{problem} {OLDER_VERSION}")
        _render_less()
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


def _render_less() -> None:
    """Let the migrations of this process render only the models that refer to a changed model.

    Django renders a changed model again with all models related to it in any direction. Most of our
    models lead to an organisation, so nearly all are rendered for each added field: ten of the
    twelve seconds that a new installation's tables took. A class refers to others only by its
    relations and bases.
    """
    ProjectState._find_reload_model = _models_leading_to  # type: ignore[attr-defined]


def _models_leading_to(
    state: ProjectState, app_label: str, model_name: str, _direct: bool = False
) -> set[ModelKey]:
    """Return the model and each model that refers to it by relations or inheritance, also
    indirectly."""
    sources: set[ModelKey] = set()
    waiting = [(app_label, model_name)]
    while waiting:
        key = waiting.pop()
        if key not in sources:
            sources.add(key)
            waiting += _leading_to(state, key)
    return sources


def _leading_to(state: ProjectState, key: ModelKey) -> list[ModelKey]:
    try:
        model = state.apps.get_model(*key)
    except LookupError:
        return []
    relations = [
        field.related_model
        for field in model._meta.get_fields(include_hidden=True)
        if field.auto_created and not field.concrete
    ]
    subclasses = [one for one in model.__subclasses__() if one._meta.apps is state.apps]
    return [
        (one._meta.app_label, one._meta.model_name)
        for one in [*relations, *subclasses]
        if not isinstance(one, str)
    ]
