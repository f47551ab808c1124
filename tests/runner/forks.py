"""Web processes, forked from one that has imported what they need: that takes longer than most of
what is asked of them. What reads the environment when it is imported, the settings and
`config.asgi`, is imported behind the fork."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.utils.functional import empty

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["uvicorn.main", "uvloop", "httptools", "uvicorn.protocols.websockets.auto", "relay.asgi",
     "django.core.asgi", "django.test", "django.db.backends.postgresql.base", "psycopg_pool",
     "playground.answers.answer_parts", "playground.panel.json_schema", "tests.runner.imported",
     __name__]
)  # fmt: skip
_server: Any = forkserver._forkserver


def begin() -> None:
    """Start the process that others are forked from, beside what this one does."""
    _server.ensure_running()


def inherit() -> None:
    """In a fork of a process that has begun: use the same, or each would import all of it again.
    Python would wait for it as for a child of this process."""
    if _server._forkserver_pid is not None:
        _server.ensure_running = resource_tracker.ensure_running


class Forked:
    """A running process, with what a test asks of a `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._process = context.Process(
            target=_serve, args=(list(arguments), dict(environment), log), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float) -> int:
        """The exit code; that of a signal is negative."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("uvicorn", seconds)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def enter(environment: Mapping[str, str]) -> None:
    """To be called first behind a fork: have that environment alone."""
    # What was imported before the fork is looked through by no collection, and stays shared.
    gc.freeze()
    # As in the run (tests/runner/postgres.py): what is imported next would be compiled each time.
    sys.dont_write_bytecode = False
    os.environ.clear()
    os.environ.update(environment)
    _forget_settings()
    if "WEIR_MUTANTS_WORKER" in environment:
        from tests.mutants import reach

        reach.measure_beside()


def _forget_settings() -> None:
    """Let Django read them, and make what hangs on them, when it is next asked."""
    for handler in (connections, caches):
        vars(handler).clear()
        handler.__init__()  # type: ignore[misc]
    del sys.modules[settings.SETTINGS_MODULE]
    settings._wrapped = empty


def _serve(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    enter(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from uvicorn.main import main

    main(arguments)
