"""The migrations of this code."""

import pkgutil
from functools import cache
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder


@cache
def code_migrations() -> tuple[tuple[str, str], ...]:
    """What the database of this code has applied, by the names of the files alone."""
    return tuple(
        (app.label, module.name)
        for app in apps.get_app_configs()
        if Path(app.path).parent == settings.BASE_DIR
        for module in pkgutil.iter_modules([str(Path(app.path) / "migrations")])
    )


def pending_migrations() -> list[str]:
    """Those that the database has not applied, as ``room.name``."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [f"{app}.{name}" for app, name in code_migrations() if (app, name) not in applied]
