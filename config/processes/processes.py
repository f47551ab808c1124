"""The processes of the installation: each reports itself every few seconds, and is listed while it
does (docs/adr/0014).

A scrape of `/metrics` reaches one process, which answers for all. So the reports are rows.
"""

import datetime as dt
import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Final, Literal, NamedTuple

from django.db import DatabaseError, connection
from django.db.models.functions import Now

from config.models import ProcessReport
from config.version import VERSION

Role = Literal["web", "worker", "scheduler"]
EVERY_S: Final = 10.0
ALIVE_FOR: Final = dt.timedelta(minutes=2)
"""A process that has not reported for this long is not listed."""
BUSY_CPU_PERCENT: Final = 80
BUSY_LAG_MS: Final = 50
"""From these figures on a web process has too much to do; if they stay, add one. The alert rule
WeirWebProcessesBusy has the same."""

_FIELDS: Final = (
    "role", "version", "started_at", "cpu_ms", "cpu_percent", "resident_bytes", "open_fds",
    "max_fds", "connections", "in_flight", "loop_lag_us",
)  # fmt: skip
# One statement without a transaction around it, which `bulk_create` begins.
_REPORT: Final = f"""
    INSERT INTO config_processreport (host, pid, reported_at, {", ".join(_FIELDS)})
    VALUES (%(host)s, %(pid)s, statement_timestamp(),
            {", ".join(f"%({name})s" for name in _FIELDS)})
    ON CONFLICT (host, pid) DO UPDATE SET reported_at = excluded.reported_at,
        {", ".join(f"{name} = excluded.{name}" for name in _FIELDS)}"""  # noqa: S608 - constants
_PROC: Final = Path("/proc")


class Measures(NamedTuple):
    """What the operating system knows of this process. `cpu_s` is the user and system time since
    the start, `started_at` is in seconds since the epoch. None stands for what is unknown: without
    /proc, as on macOS, only the CPU time and the limit are known."""

    cpu_s: float
    resident_bytes: int | None
    open_fds: int | None
    max_fds: int | None
    started_at: float | None


def read_measures(proc: Path = _PROC) -> Measures:
    """Measure this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = None if soft == resource.RLIM_INFINITY else soft
    if not (proc / "self/stat").exists():
        return Measures(time.process_time(), None, None, limit, None)
    resident_pages = int((proc / "self/statm").read_text().split()[1])
    return Measures(
        cpu_s=time.process_time(),
        resident_bytes=resident_pages * resource.getpagesize(),
        # One less, for the descriptor that reads the folder.
        open_fds=len(os.listdir(proc / "self/fd")) - 1,
        max_fds=limit,
        started_at=_started_at(proc),
    )


def _started_at(proc: Path) -> float:
    # The second field is the command's name, which may contain spaces and brackets; the time is
    # the 22nd field, in ticks since the machine started (proc_pid_stat(5)).
    fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19])
    lines = (proc / "stat").read_text().splitlines()
    booted_at = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return booted_at + ticks / os.sysconf("SC_CLK_TCK")


class WebLoad(NamedTuple):
    """The figures of a web process: its connections, those on which a response is awaited or sent,
    and the mean delay of its event loop since the last report."""

    connections: int
    in_flight: int
    loop_lag_s: float | None


class Reporter:
    """Writes the row of this process."""

    def __init__(self, role: Role) -> None:
        self._role = role
        # The CPU time at the last report, and when that was.
        self._last: tuple[float, float] | None = None

    def report(self, load: WebLoad | None = None) -> None:
        """Report this process. Raises DatabaseError."""
        measures, now = read_measures(), time.monotonic()
        first, percent = self._last is None, None
        if self._last is not None:
            cpu_s, at = self._last
            percent = round(100 * (measures.cpu_s - cpu_s) / (now - at))
        self._last = measures.cpu_s, now
        lag_s = load.loop_lag_s if load else None
        started_at = measures.started_at
        values: dict[str, str | int | dt.datetime | None] = {
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "role": self._role,
            "version": VERSION,
            "started_at": None
            if started_at is None
            else dt.datetime.fromtimestamp(started_at, dt.UTC),
            "cpu_ms": round(measures.cpu_s * 1000),
            "cpu_percent": percent,
            "resident_bytes": measures.resident_bytes,
            "open_fds": measures.open_fds,
            "max_fds": measures.max_fds,
            "connections": load.connections if load else None,
            "in_flight": load.in_flight if load else None,
            "loop_lag_us": None if lag_s is None else round(lag_s * 1_000_000),
        }
        with connection.cursor() as cursor:
            cursor.execute(_REPORT, values)
        if first:
            # Delete reports only here, so that there are never more rows of dead processes than
            # starts.
            ProcessReport.objects.filter(reported_at__lt=Now() - ALIVE_FOR).delete()


class Reporting(threading.Thread):
    """Reports a process that runs no event loop, until stopped."""

    def __init__(self, role: Role) -> None:
        super().__init__(name="reporting", daemon=True)
        self._reporter = Reporter(role)
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            report_or_wait(self._reporter)
            self._stop_asked.wait(EVERY_S)

    def stop(self) -> None:
        self._stop_asked.set()
        # A database that does not answer must not keep the process.
        self.join(1.0)


def report_or_wait(reporter: Reporter) -> None:
    """Report this process. While the database is away, nothing is reported or logged, because the
    other parts log that."""
    try:
        reporter.report()
    except DatabaseError:
        return
    finally:
        connection.close()


def read_processes() -> list[ProcessReport]:
    """Return the reports of the processes that run, by role and name."""
    fresh = ProcessReport.objects.filter(reported_at__gt=Now() - ALIVE_FOR)
    return list(fresh.order_by("role", "host", "pid"))


def is_busy(process: ProcessReport) -> bool:
    """Return whether this is a web process that had too much to do when it last reported."""
    return process.role == "web" and (
        (process.cpu_percent or 0) >= BUSY_CPU_PERCENT
        or (process.loop_lag_us or 0) >= BUSY_LAG_MS * 1000
    )
