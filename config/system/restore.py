"""Restore a backup into an empty database: checks, import, and repairs. The format is in
`config/system/backups.py`.

The restore is all or nothing. Afterwards the state is as if all processes had been killed at the
instant of the backup: requests in flight are resolved, and sessions and links are closed.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.secrets import sealing
from accounts.secrets.key_ring import seal_key
from accounts.sessions import sessions
from billing.holds import unsettled_holds
from billing.seals import seals
from config.jobs import runs as job_runs
from config.system.backups import BackupError, Manifest, copy_dump, read_manifest
from lib import clock, vault
from lib.database import postgres_tools
from usage.records import unsettled_attempts
from usage.rollups import rollups

_NAMED_MAX: Final = 3


class Restored(NamedTuple):
    """The repairs: the sessions that were ended, and the requests that were in flight."""

    manifest: Manifest
    sessions: int
    requests: int


def restore(path: Path, step: Callable[[str], object]) -> Restored:
    """Restore a backup into an empty database. `step` is called with the name of each step. Raises
    BackupError, and VaultError or ConfigurationError for other secrets; then nothing is changed."""
    step("checking the file")
    manifest = read_manifest(path)
    check_version(manifest)
    check_secrets_of(manifest)
    check_empty()
    step("restoring the database")
    _restore_database(path, manifest)
    step("applying migrations")
    call_command("migrate", interactive=False, verbosity=0)
    step("ending what was in flight")
    return reconcile(manifest)


def check_version(manifest: Manifest) -> None:
    """Raise BackupError if a newer version made the backup."""
    known = MigrationLoader(None, ignore_no_migrations=True)
    names = {f"{app}.{name}" for app, name in known.disk_migrations}
    names |= {
        f"{app}.{name}"
        for migration in known.disk_migrations.values()
        for app, name in migration.replaces
    }
    newer = [name for name in manifest.migrations if name not in names]
    if newer:
        some = ", ".join(newer[:_NAMED_MAX])
        raise BackupError(
            f"The backup was made by a newer version: this one does not know {some}. "
            "Restore it with the version that made it, or a newer one."
        )


def check_secrets_of(manifest: Manifest) -> None:
    """Raise VaultError or ConfigurationError if this process has other secrets."""
    kept = base64.b64decode(manifest.secret_check)
    vault.check_secrets(sealing.kek(), sealing.pepper(), kept, manifest.kek_ids)


def check_empty() -> None:
    """Raise BackupError if the database has a table."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    if tables:
        name = connection.settings_dict["NAME"]
        raise BackupError(
            f"The database {name} is not empty: it has {len(tables)} tables, such as {tables[0]}. "
            "Restore into a new database: create one, and name it in DATABASE_URL."
        )


def _restore_database(path: Path, manifest: Manifest) -> None:
    with connection.cursor() as cursor:
        server = cursor.connection.info.server_version // 10_000
        login = postgres_tools.login_of(cursor.connection)
    try:
        tool = postgres_tools.find_tool("pg_restore", max(server, manifest.postgres), login)
        with postgres_tools.restore_stream(tool, login) as stream:
            copy_dump(path, stream)
    except postgres_tools.ToolError as error:
        raise BackupError(str(error)) from error


def reconcile(manifest: Manifest) -> Restored:
    """Update everything that depends on the time since the backup. Running it again is safe."""
    ended = sessions.end_all()
    unsettled_holds.suspect_all()
    resolved = unsettled_attempts.resolve_due()
    rollups.roll_up()
    job_runs.expect_from_now()
    run = job_runs.note_backup(manifest.made_at)
    made_at = clock.rfc3339(manifest.made_at)
    audit.record(SYSTEM, None, "backup.restored", run, of=made_at)
    seals.seal_all(seal_key())
    return Restored(manifest, ended, resolved)
