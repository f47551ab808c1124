"""The commands of the processes that run background jobs."""

import sys

from stack.origin import ROOT

_CELERY = [
    *(sys.executable, "-W", "ignore:You're running the worker with superuser"),
    # Celery looks for the application in its working folder first.
    *("-m", "celery", "--workdir", str(ROOT), "--app", "config.celery", "--quiet"),
]
SCHEDULER = [*_CELERY, "beat", "--loglevel", "WARNING", "--pidfile="]


def worker_command(concurrency: int, *, schedules: bool = False) -> list[str]:
    """Return the command of a worker; with `schedules` it includes the scheduler."""
    command = [
        *(*_CELERY, "worker", "--pool", "threads"),
        *("--concurrency", str(concurrency), "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    return [*command, "--with-beat"] if schedules else command
