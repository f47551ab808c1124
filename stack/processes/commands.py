"""The commands of the processes: a web process, behind a proxy with the options of docker-
compose.yml, and those that run background jobs."""

import sys

from stack.origin import ROOT


def server_options(host: str, port: int, *options: str) -> list[str]:
    """Return uvicorn's options: those of every web process, and `options`."""
    return [
        *("--app-dir", str(ROOT), "config.asgi:application"),
        *(f"--host={host}", f"--port={port}"),
        "--loop=config.server.event_loop:EventLoop",
        "--http=config.server.protocol:Protocol",
        "--lifespan=on",
        "--no-server-header",
        "--no-access-log",
        "--log-level=warning",
        *options,
    ]


def web_command(host: str, port: int, proxies: str) -> list[str]:
    """Return the command behind a proxy. Headers with a client's address are accepted from the
    networks in `proxies`."""
    options = server_options(
        host,
        port,
        # Longer than the proxy keeps an idle connection.
        "--timeout-keep-alive=75",
        # Longer than the relay drains, shorter than the supervisor waits before it kills the
        # process.
        "--timeout-graceful-shutdown=630",
        "--proxy-headers",
        f"--forwarded-allow-ips={proxies}",
    )
    return [sys.executable, "-m", "uvicorn", *options]


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
