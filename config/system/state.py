"""The installation's state besides its background jobs, for operators: when something is slow, and
before an update."""

import datetime as dt
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection

from accounts.mail_server.current_server import mail_is_set_up
from accounts.models import AuditCheck
from billing.models import BooksWalk
from config.jobs.queues import Queue, read_queues
from config.jobs.runs import job_states, last_backup
from config.jobs.schedule import BACKUP_TASK
from config.models import ProcessReport
from config.processes.processes import is_busy, read_processes
from config.version import VERSION, commit
from content.sinks.sinks import ContentBacklog, used_content_sinks
from gateway.settings.installation import backup_every_hours
from lib import clock
from lib.database.code_migrations import pending_migrations
from lib.extensions.installed import Installed, installed
from lib.network import trust
from notify.deliveries import deliveries
from usage.books import findings, full_walk
from usage.filters.visibility import Period
from usage.models import BooksCheck
from usage.months.detached import detached_within, names_of
from usage.records import partitions
from usage.sinks.sinks import used_sinks
from usage.sinks.usage_sink import Backlog

FREE_PERCENT_MIN: Final = 10
"""Less free space is reported: docs/promises.md, "State when something is gone"."""
SKEW_MAX: Final = dt.timedelta(seconds=2)


class Disk(NamedTuple):
    """The disk of the spool of the answering process."""

    free_bytes: int
    total_bytes: int

    @property
    def low(self) -> bool:
        return self.free_bytes * 100 < self.total_bytes * FREE_PERCENT_MIN


class Partitions(NamedTuple):
    """The last month with its own partitions, by its first day. `overflowed` means that rows are
    outside these partitions."""

    until: dt.date | None
    overflowed: bool

    @property
    def behind(self) -> bool:
        coming = (clock.now().date().replace(day=1) + dt.timedelta(days=31)).replace(day=1)
        return self.overflowed or self.until is None or self.until < coming


class Checked(NamedTuple):
    """The time of the last check, and the number of problems. `unfinished` means that a part could
    not be checked; `aside` that checks wait for a worker of the database's version."""

    at: dt.datetime
    problems: int
    unfinished: bool = False
    aside: bool = False


class Backup(NamedTuple):
    """The last good backup with its size; if the last attempt failed, its error. `took` is how long
    the last attempt took."""

    made_at: dt.datetime | None
    error: str
    every_hours: int
    late: bool
    bytes: int | None = None
    took: dt.timedelta | None = None


class Emails(NamedTuple):
    """Whether a mail server is configured, how many emails failed for good in the last days, and
    the error and time of the last failure."""

    server: bool
    unsent: int
    error: str
    at: dt.datetime | None


class SinkState(NamedTuple):
    """A sink of usage by its name and title, and what is not sent to it yet."""

    name: str
    title: Any
    backlog: Backlog


class ContentSinkState(NamedTuple):
    """A sink of the content log by its name and title, and what is not sent to it yet."""

    name: str
    title: Any
    backlog: ContentBacklog


class SystemState(NamedTuple):
    """The whole state. `clock_skew` is how far the database's clock is ahead of this process's."""

    version: str
    commit: str
    python: str
    postgres: str
    pending_migrations: list[str]
    partitions: Partitions
    database_bytes: int
    disk: Disk
    clock_skew: dt.timedelta
    queues: list[Queue]
    backup: Backup
    books: Checked | None
    trail: Checked | None
    whole_at: dt.datetime | None
    open_findings: int
    sinks: list[SinkState]
    content_sinks: list[ContentSinkState]
    emails: Emails
    authorities: Sequence[trust.Authority]
    processes: list[ProcessReport]
    extensions: Sequence[Installed]

    @property
    def clock_off(self) -> bool:
        return abs(self.clock_skew) > SKEW_MAX


def system_state() -> SystemState:
    """Return the current state, as seen from this process."""
    database_bytes, skew, postgres = _database()
    return SystemState(
        version=VERSION,
        commit=commit(),
        python=platform.python_version(),
        postgres=postgres,
        pending_migrations=pending_migrations(),
        partitions=Partitions(partitions.partitioned_until(), partitions.has_rows_outside()),
        database_bytes=database_bytes,
        disk=_disk(settings.SPOOL_DIR),
        clock_skew=skew,
        queues=read_queues(),
        backup=read_backup(),
        books=_books(),
        trail=_trail(),
        whole_at=full_walk.complete_at(),
        open_findings=findings.open_count(),
        sinks=[SinkState(sink.name, sink.title, sink.backlog()) for sink in used_sinks()],
        content_sinks=[
            ContentSinkState(sink.name, sink.title, sink.backlog()) for sink in used_content_sinks()
        ],
        emails=Emails(mail_is_set_up(), *deliveries.unsent_letters()),
        authorities=trust.own_authorities(),
        processes=read_processes(),
        extensions=installed(),
    )


def _database() -> tuple[int, dt.timedelta, str]:
    with connection.cursor() as cursor:
        asked_at = clock.now()
        cursor.execute("SELECT clock_timestamp()")
        (database_now,) = cursor.fetchone()
        between = asked_at + (clock.now() - asked_at) / 2
        cursor.execute("SELECT pg_database_size(current_database())")
        (octets,) = cursor.fetchone()
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    # The rest of the text is the name of the builder.
    return octets, database_now - between, version.split()[0]


def _disk(folder: Path) -> Disk:
    """Measure the folder, or the existing folder in which it will be created."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    return Disk(usage.free, usage.total)


def read_backup() -> Backup:
    """Return the known facts of the last backup."""
    run = last_backup()
    late = any(state.late for state in job_states() if state.job.task == BACKUP_TASK)
    every_hours = backup_every_hours()
    if run is None:
        return Backup(None, "", every_hours, late)
    took = run.ended_at - run.began_at if run.began_at and run.ended_at else None
    return Backup(run.good_at, run.error, every_hours, late, run.bytes, took)


def _books() -> Checked | None:
    check = BooksCheck.objects.first()
    unfinished = BooksWalk.objects.exclude(unfinished=[]).exists()
    return (
        None
        if check is None
        else Checked(check.ran_at, len(check.broken), unfinished, check.aside_since is not None)
    )


def _trail() -> Checked | None:
    check = AuditCheck.objects.first()
    return None if check is None else Checked(check.checked_at, int(bool(check.problem)))


def _ms(time: dt.timedelta | None) -> int | None:
    return None if time is None else time // dt.timedelta(milliseconds=1)


def serialize_state(state: SystemState) -> dict[str, Any]:
    """Return the state in the form of the management API."""
    clickhouse = next((one.backlog for one in state.sinks if one.name == "clickhouse"), None)
    return {
        "version": state.version,
        "commit": state.commit,
        "python": state.python,
        "postgres": state.postgres,
        "pending_migrations": state.pending_migrations,
        "partitions_until": state.partitions.until,
        "partitions_behind": state.partitions.behind,
        "database_bytes": state.database_bytes,
        "disk_free_bytes": state.disk.free_bytes,
        "disk_total_bytes": state.disk.total_bytes,
        "clock_skew_ms": round(state.clock_skew / dt.timedelta(milliseconds=1)),
        "queues": [
            {"name": queue.name, "length": queue.length, "oldest_s": round(queue.oldest_s)}
            for queue in state.queues
        ],
        "last_backup_at": state.backup.made_at,
        "backup_every_hours": state.backup.every_hours or None,
        "backup_late": state.backup.late,
        "backup_error": state.backup.error,
        "backup_bytes": state.backup.bytes,
        "backup_ms": _ms(state.backup.took),
        "detached_months": names_of(detached_within(Period())),
        "ledger_checked_at": state.books.at if state.books else None,
        "ledger_walked_at": state.whole_at,
        "ledger_checks_waiting": bool(state.books and state.books.aside),
        "open_findings": state.open_findings,
        "ledger_problems": state.books.problems if state.books else 0,
        "ledger_check_unfinished": bool(state.books and state.books.unfinished),
        "audit_log_checked_at": state.trail.at if state.trail else None,
        "audit_log_problems": state.trail.problems if state.trail else 0,
        "clickhouse_waiting": clickhouse.waiting if clickhouse else None,
        "clickhouse_complete_to": clickhouse.complete_to if clickhouse else None,
        "clickhouse_error": clickhouse.error if clickhouse else "",
        "usage_sinks": [{"name": one.name, **one.backlog._asdict()} for one in state.sinks],
        "content_sinks": [
            {"name": one.name, **one.backlog._asdict()} for one in state.content_sinks
        ],
        "mail_server": state.emails.server,
        "emails_unsent": state.emails.unsent,
        "emails_error": state.emails.error,
        "own_authorities": [
            {"name": one.name, "ends_at": one.ends_at} for one in state.authorities
        ],
        "processes": [_serialize_process(report) for report in state.processes],
        "extensions": [
            {"name": one.name, "version": one.version, "state": one.state, "error": one.error}
            for one in state.extensions
        ],
    }


def _serialize_process(report: ProcessReport) -> dict[str, Any]:
    lag_us = report.loop_lag_us
    return {
        "role": report.role,
        "host": report.host,
        "pid": report.pid,
        "version": report.version,
        "busy": is_busy(report),
        "started_at": report.started_at,
        "reported_at": report.reported_at,
        "cpu_percent": report.cpu_percent,
        "memory_bytes": report.resident_bytes,
        "open_files": report.open_fds,
        "open_files_max": report.max_fds,
        "connections": report.connections,
        "requests_in_flight": report.in_flight,
        "loop_lag_ms": None if lag_us is None else round(lag_us / 1000),
    }
