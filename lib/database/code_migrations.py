"""The migrations of this code, and of the database that it works on."""

import pkgutil
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

LAST_BEFORE_SQUASH: Final = "884c6a2988cdaabe46df4f43a8217f7e857976fa"
"""The commit whose migrations were squashed into one for each room."""


@cache
def code_migrations() -> tuple[tuple[str, str], ...]:
    """Return the migrations of this code by reading file names only."""
    return tuple(
        (app.label, module.name)
        for app in apps.get_app_configs()
        if Path(app.path).parent == settings.BASE_DIR
        for module in pkgutil.iter_modules([str(Path(app.path) / "migrations")])
    )


def is_applied() -> bool:
    """Return whether the database has every migration of every application, ours or not."""
    names = {
        (app.label, module.name)
        for app in apps.get_app_configs()
        for module in pkgutil.iter_modules([str(Path(app.path) / "migrations")])
    }
    return names <= set(MigrationRecorder(connection).applied_migrations())


def pending_migrations() -> list[str]:
    """Return the migrations that the database has not applied, as ``room.name``."""
    return _pending(MigrationRecorder(connection).applied_migrations())


def _pending(applied: Collection[tuple[str, str]]) -> list[str]:
    return [f"{app}.{name}" for app, name in code_migrations() if (app, name) not in applied]


def schema_difference() -> str:
    """Describe how the database's migrations differ from this code's; "" if they do not. Only names
    are read, because each step of the checks calls this."""
    applied = set(MigrationRecorder(connection).migration_qs.values_list("app", "name"))
    missing, unknown = len(_pending(applied)), len(_newer(applied))
    if missing:
        return f"the database lacks {missing} migrations of this version"
    return f"the database has {unknown} migrations of a newer version" if unknown else ""


def newer_migrations() -> list[str]:
    """Return the migrations that the database has from a newer version, as ``room.name``."""
    return _newer(MigrationRecorder(connection).applied_migrations())


def newer_version() -> str:
    """Describe the migrations that the database has from a newer version; "" if it has none. This
    version must then not prepare the database: it would put back older policies and prices."""
    newer = newer_migrations()
    if not newer:
        return ""
    return (
        f"The database was written by a newer Weir: it has {len(newer)} changes that this version "
        f"does not know, such as {newer[0]}. Nothing was changed."
    )


def _newer(applied: Collection[tuple[str, str]]) -> list[str]:
    ours = set(code_migrations())
    loaded = {app for app, _ in ours}
    newest = {app: max(_last_of(name) for of, name in ours if of == app) for app in loaded}
    return [
        f"{app}.{name}"
        for app, name in applied
        if app in loaded and (app, name) not in ours and name > newest[app]
    ]


def _last_of(name: str) -> str:
    """Return the name of the last migration that a squashed migration replaces. The database still
    records these migrations, although their files are gone."""
    return name.rpartition("_squashed_")[2]


def half_applied() -> str:
    """Describe a squashed migration that cannot be applied, because the database has only some of
    the migrations that it replaces. Return "" if there is none. Django skips such a migration
    silently."""
    applied = MigrationRecorder(connection).applied_migrations()
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for room, squashed in loader.replacements.items():
        missing = [of for of in squashed.replaces if of not in applied]
        if missing and len(missing) < len(squashed.replaces):
            return (
                f"The database has {len(squashed.replaces) - len(missing)} of the "
                f"{len(squashed.replaces)} migrations of {room[0]} that {room[1]} replaces: "
                f"{missing[0][1]} is missing. Nothing was changed. Update to the commit "
                f"{LAST_BEFORE_SQUASH[:8]} first and migrate there; then update to this version."
            )
    return ""
