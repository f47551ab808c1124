"""The backups that Weir makes by itself, as the settings of the installation say.

A backup that fails is tried again after an hour. Meanwhile the job fails as well, so that operators
are told of it as of every background job that does not succeed, and again when one was made.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
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

RETRY_AFTER: Final = dt.timedelta(hours=1)
_LOCK: Final = 8113072028
# A Monday, from which weeks are counted.
_FIRST: Final = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
_NAME: Final = re.compile(r"weir-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.zip")


class BackupFailed(Exception):
    """The last backup failed, and is not tried again yet."""


def file_name(at: dt.datetime) -> str:
    """Return the name of a backup that is made at that time."""
    return f"weir-{at:%Y-%m-%dT%H-%M-%SZ}.zip"


def last_due(now: dt.datetime, every_hours: int, hour: int) -> dt.datetime:
    """Return when the last backup was due: each day has one at `hour` (UTC), a week its Monday."""
    first, step = _FIRST + dt.timedelta(hours=hour), dt.timedelta(hours=every_hours)
    return first + (now - first) // step * step


def back_up_when_due() -> None:
    """Make the backup that is due, and delete the oldest. Raises BackupError, BackupFailed."""
    schedule = installation_settings()
    if settings.BACKUP_EVERY_HOURS is not None or not schedule.backup_every_hours:
        return
    with _alone() as alone:
        if alone and _is_due(schedule):
            _make(schedule)


def scheduled_keep_days() -> int:
    """Return for how many days Weir keeps the backups that it makes; 0 where it makes none."""
    schedule = installation_settings()
    if settings.BACKUP_EVERY_HOURS is not None:
        return 0
    return math.ceil(schedule.backup_keep * schedule.backup_every_hours / 24)


def _is_due(schedule: InstallationSetting) -> bool:
    """Return whether to make one now. Raises BackupFailed where it is too early to try again."""
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
    # What fails before the dump begins is a failed backup, too.
    with record_run(BACKUP_TASK):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BackupError(f"{folder} cannot be made: {error.strerror}.") from error
        back_up(folder / file_name(clock.now()))
    _drop_oldest(folder, schedule.backup_keep)


def _drop_oldest(folder: Path, keep: int) -> None:
    """Delete all but the newest backups; other files stay."""
    made = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    for file in made[:-keep]:
        file.unlink(missing_ok=True)


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the lock of backups, for longer than a transaction; False = another process has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        (held,) = cursor.fetchone()
    try:
        yield held
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
