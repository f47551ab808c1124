"""The backups that Weir makes by itself (W83): when they are due, one at a time, and told of when
they fail."""

import datetime as dt
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from config.jobs.job_alarms import watch
from config.jobs.schedule import BACKUP_TASK, WATCH
from config.models import JobRun
from config.system import scheduled_backups
from config.system.backups import BackupError, read_manifest
from config.system.scheduled_backups import (
    BackupFailed,
    back_up_when_due,
    file_name,
    last_due,
    scheduled_keep_days,
)
from config.tasks import back_up
from gateway.health.traffic import count_new_records
from gateway.models import InstallationSetting
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

JOB = "config.tasks.back_up"
PAGE = "/admin/settings/backups"
FORM = {
    "backup_every_hours": "24",
    "backup_hour": "3",
    "backup_folder": "backups/nightly",
    "backup_keep": "2",
}
outside_transactions = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "backups"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("now", "every_hours", "hour", "due"),
    [
        ("2026-11-25T10:00", 24, 3, "2026-11-25T03:00"),
        ("2026-11-25T02:59", 24, 3, "2026-11-24T03:00"),
        ("2026-11-25T03:00", 24, 3, "2026-11-25T03:00"),
        ("2026-11-25T10:00", 6, 3, "2026-11-25T09:00"),
        ("2026-11-25T02:00", 12, 3, "2026-11-24T15:00"),
        ("2026-11-25T10:00", 168, 3, "2026-11-23T03:00"),
        ("2026-11-23T02:00", 168, 3, "2026-11-16T03:00"),
    ],
)
def test_due_times_of_a_backup(now: str, every_hours: int, hour: int, due: str) -> None:
    assert last_due(at(now), every_hours, hour) == at(due)


DUE = at("2026-11-25T03:00")
EARLIER, LATER = DUE - dt.timedelta(hours=5), DUE + dt.timedelta(minutes=30)


@pytest.mark.parametrize("good_at", [None, EARLIER, DUE, LATER])
@pytest.mark.parametrize("began_at", [None, EARLIER, DUE, LATER])
def test_a_backup_is_due_until_one_has_ended_well(
    monkeypatch: pytest.MonkeyPatch, good_at: dt.datetime | None, began_at: dt.datetime | None
) -> None:
    """W83: what was only begun, or had ended before it was due, is no backup; one that failed is
    tried again after an hour, and until then the job fails too."""
    schedule = InstallationSetting(backup_every_hours=24, backup_hour=DUE.hour)
    for error, minutes in product(("", "BackupError"), (0, 59, 60, 90)):
        now = max((began_at or DUE) + dt.timedelta(minutes=minutes), DUE)
        run = JobRun(task=BACKUP_TASK, began_at=began_at, good_at=good_at, error=error)
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        monkeypatch.setattr(scheduled_backups, "last_backup", lambda run=run: run)
        made = began_at is not None and good_at in (DUE, LATER)
        early = began_at is not None and now - began_at < dt.timedelta(hours=1)
        if error and early and not made:
            with pytest.raises(BackupFailed):
                scheduled_backups._is_due(schedule)
        else:
            assert scheduled_backups._is_due(schedule) is not made


@outside_transactions
def test_remains_of_a_killed_backup_are_deleted(people: Cast, folder: Path) -> None:
    """P36: they are dumps with personal data that no page lists. One that grows stays."""
    folder.mkdir()
    killed, growing, other = (
        folder / name
        for name in (
            ".weir-2026-11-24T03-00-00Z.zip.17.part",
            ".weir-2026-11-25T03-00-00Z.zip.18.part",
            ".mine.zip.19.part",
        )
    )
    for file in (killed, growing, other):
        file.write_bytes(b"PK")
    for file in (killed, other):
        long_ago = clock.now().timestamp() - 3600
        os.utime(file, (long_ago, long_ago))
    save_settings(SYSTEM, backup_every_hours=24)
    back_up_when_due()
    (made,) = folder.glob("weir-*.zip")
    assert set(folder.iterdir()) == {made, growing, other}


@outside_transactions
def test_due_backup_is_made_once(people: Cast, folder: Path) -> None:
    back_up_when_due()
    assert not folder.exists()
    save_settings(SYSTEM, backup_every_hours=24)
    back_up()
    back_up()
    (file,) = folder.iterdir()
    assert read_manifest(file).migrations
    assert file.stat().st_mode & 0o777 == 0o600
    run = JobRun.objects.get(task=BACKUP_TASK)
    assert run.bytes == file.stat().st_size
    page = squeezed(signed_in(people.dora).get("/admin/health?open=checks").content.decode())
    assert "Last backup ·" in page
    assert "took " in page
    shown = signed_in(people.dora).get("/api/v1/system").json()
    assert shown["backup_bytes"] == run.bytes
    assert shown["backup_every_hours"] == 24


@outside_transactions
def test_oldest_backups_are_deleted_and_other_files_stay(folder: Path) -> None:
    folder.mkdir()
    old = [folder / file_name(clock.now() - dt.timedelta(days=days)) for days in (1, 2, 3)]
    for file in (*old, folder / "weir-by-hand.zip"):
        file.write_bytes(b"")
    save_settings(SYSTEM, backup_every_hours=24, backup_keep=2)
    back_up_when_due()
    names = sorted(file.name for file in folder.iterdir())
    assert len(names) == 3
    assert names[0] == old[0].name
    assert names[-1] == "weir-by-hand.zip"
    assert scheduled_keep_days() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("every_hours", "keep", "days"), [(24, 2, 2), (6, 1, 1), (6, 5, 2), (12, 3, 2)]
)
def test_backups_are_kept_for_whole_days(every_hours: int, keep: int, days: int) -> None:
    """The page of an erasure promises it: never too early."""
    save_settings(SYSTEM, backup_every_hours=every_hours, backup_keep=keep)
    assert scheduled_keep_days() == days


@outside_transactions
def test_failed_backup_is_reported_and_retried(people: Cast, folder: Path) -> None:
    folder.write_text("no folder")
    save_settings(SYSTEM, backup_every_hours=24)
    watch()
    with pytest.raises(BackupError, match="cannot be made"):
        back_up()
    # It is not tried again at once, and the job does not count as done meanwhile.
    with pytest.raises(BackupFailed):
        back_up()
    page = squeezed(signed_in(people.dora).get(PAGE).content.decode())
    assert "Failed: BackupError" in page
    late = clock.now() - dt.timedelta(minutes=15)
    JobRun.objects.filter(task=JOB).update(expected_at=late, good_at=None)
    JobRun.objects.filter(task=WATCH.task).update(good_at=clock.now() - dt.timedelta(seconds=6))
    watch()
    assert "- Make backups (config.tasks.back_up): " in mail.outbox[0].body
    folder.unlink()
    hour_ago = clock.now() - dt.timedelta(hours=1)
    JobRun.objects.filter(task=BACKUP_TASK).update(began_at=hour_ago)
    back_up()
    assert len(list(folder.iterdir())) == 1


@outside_transactions
@pytest.mark.parametrize(("place", "step"), [(os, "fsync"), (Path, "rename")])
def test_backup_that_cannot_be_kept_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: object, step: str
) -> None:
    """A network disk may report only after the last byte that it is full. The backup is not
    recorded as made, and is tried again after an hour."""

    def fail(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    save_settings(SYSTEM, backup_every_hours=24)
    with monkeypatch.context() as patched:
        patched.setattr(place, step, fail)
        with pytest.raises(BackupError, match="cannot be written: Disk quota exceeded"):
            back_up()
    assert list(folder.iterdir()) == []
    run = JobRun.objects.get(task=BACKUP_TASK)
    assert (run.error, run.good_at, run.bytes) == ("BackupError", None, None)
    assert not AuditEvent.objects.filter(action="backup.made").exists()
    with pytest.raises(BackupFailed):
        back_up()
    hour_ago = clock.now() - dt.timedelta(hours=1)
    JobRun.objects.filter(task=BACKUP_TASK).update(began_at=hour_ago)
    back_up()
    assert len(list(folder.iterdir())) == 1


@outside_transactions
def test_two_workers_make_one(folder: Path) -> None:
    save_settings(SYSTEM, backup_every_hours=24)
    errors: list[Exception] = []

    def work() -> None:
        try:
            back_up_when_due()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list(folder.iterdir())) == 1


@outside_transactions
def test_traffic_is_counted_while_a_backup_runs() -> None:
    """Neither job takes the other for itself: limits and status pages stay up to date."""

    def count() -> bool:
        try:
            return count_new_records()
        finally:
            connection.close()

    with scheduled_backups._alone() as alone, ThreadPoolExecutor(1) as pool:
        assert alone
        assert pool.submit(count).result()


@pytest.mark.django_db
def test_the_schedule_is_set_on_the_page(people: Cast, folder: Path) -> None:
    dora = signed_in(people.dora)
    assert dora.post(PAGE, FORM).status_code == 303
    shown = dora.get("/api/v1/settings").json()
    assert {name: str(shown[name]) for name in FORM} == FORM
    for path in ("../x", "/etc", "secrets", "backups/..", "backups/A b"):
        answer = dora.post(PAGE, {**FORM, "backup_folder": path})
        assert answer.status_code == 422, path
    assert dora.get("/api/v1/settings/changes").json()["items"][0]["in_force"] is True
    assert signed_in(people.alice).get(PAGE).status_code == 404


@pytest.mark.django_db
def test_the_environment_wins_and_the_page_says_so(
    people: Cast, folder: Path, settings: Any
) -> None:
    save_settings(SYSTEM, backup_every_hours=24)
    settings.BACKUP_EVERY_HOURS = 48
    back_up_when_due()
    assert not folder.exists()
    page = signed_in(people.dora).get(PAGE).content.decode()
    assert page.count("Set by BACKUP_EVERY_HOURS in the environment.") == 4
    assert scheduled_keep_days() == 0
