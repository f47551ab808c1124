"""The backups that Weir makes itself, according to the installation's settings.

A failed backup is tried again after an hour. Until then the job fails too, so that operators are
told, as of every failing background job, and told again once a backup succeeds.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection

from config.jobs.runs import last_backup, record_run
from config.jobs.schedule import BACKUP_TASK
from config.system.backups import BackupError, back_up
from gateway.models import InstallationSetting
from gateway.settings.installation import installation_settings
from lib import clock
from lib.database.advisory_locks import AdvisoryLock

RETRY_AFTER: Final = dt.timedelta(hours=1)
# Weeks are counted from this Monday.
_FIRST: Final = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
_NAME: Final = re.compile(r"weir-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.zip")
_PART: Final = re.compile(rf"\.{_NAME.pattern}\.\d+\.part")
_SILENT: Final = dt.timedelta(minutes=10)


class BackupFailed(Exception):
    """The last backup failed, and it is too early to try again."""


def file_name(at: dt.datetime) -> str:
    """Return the file name of a backup made at that time."""
    return f"weir-{at:%Y-%m-%dT%H-%M-%SZ}.zip"


def last_due(now: dt.datetime, every_hours: int, hour: int) -> dt.datetime:
    """Return when the last backup was due: daily ones at `hour` (UTC), weekly ones on Mondays."""
    first, step = _FIRST + dt.timedelta(hours=hour), dt.timedelta(hours=every_hours)
    return first + (now - first) // step * step


def back_up_when_due() -> None:
    """Make the backup if it is due, and delete the oldest ones. Raises BackupError and
    BackupFailed."""
    schedule = installation_settings()
    if settings.BACKUP_EVERY_HOURS is not None or not schedule.backup_every_hours:
        return
    with _alone() as alone:
        if alone and _is_due(schedule):
            _make(schedule)


def scheduled_keep_days() -> int:
    """Return for how many days Weir keeps the backups that it makes; 0 if it makes none."""
    schedule = installation_settings()
    if settings.BACKUP_EVERY_HOURS is not None:
        return 0
    return math.ceil(schedule.backup_keep * schedule.backup_every_hours / 24)


def _is_due(schedule: InstallationSetting) -> bool:
    """Return whether a backup must be made now. Raises BackupFailed if it is too early to try
    again."""
    now, run = clock.now(), last_backup()
    due_at = last_due(now, schedule.backup_every_hours, schedule.backup_hour)
    if run is None or run.began_at is None:
        return True
    if run.good_at is not None and run.good_at >= due_at:
        return False
    if run.error and now - run.began_at < RETRY_AFTER:
        raise BackupFailed(run.error)
    return True


def _make(schedule: InstallationSetting) -> None:
    folder = settings.DATA_DIR / schedule.backup_folder
    # A failure before the dump begins is also a failed backup.
    with record_run(BACKUP_TASK):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BackupError(f"{folder} cannot be made: {error.strerror}.") from error
        _drop_remains(folder)
        back_up(folder / file_name(clock.now()))
    _drop_oldest(folder, schedule.backup_keep)


def _drop_remains(folder: Path) -> None:
    """Delete what backups left that were killed. One that an operator makes in this folder at the
    same time still grows, so it stays."""
    silent_since = (clock.now() - _SILENT).timestamp()
    for file in folder.iterdir():
        if _PART.fullmatch(file.name):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < silent_since:
                    file.unlink()


def _drop_oldest(folder: Path, keep: int) -> None:
    """Delete all but the newest backups; other files stay."""
    backups = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    for file in backups[:-keep]:
        file.unlink(missing_ok=True)


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the backup lock, which may outlast a transaction. Yield False if another process holds
    it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({AdvisoryLock.SCHEDULED_BACKUP})")
        (held,) = cursor.fetchone()
    try:
        yield held
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock({AdvisoryLock.SCHEDULED_BACKUP})")
