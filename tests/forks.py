"""Web processes, forked from one that has imported what they need: that takes longer than most of
what is asked of them. What reads the environment is imported behind the fork."""

import gc
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["uvicorn.main", "uvloop", "httptools", "relay.asgi", "django.core.asgi",
     "django.core.management", "django.db.backends.postgresql.base", "django.forms",
     "django.template.loader", "django.test", "django.contrib.postgres.fields", "psycopg_pool",
     "pydantic.types", "playground.rules.answer_parts", "playground.rules.schema",
     "uvicorn.protocols.websockets.auto", __name__]
)  # fmt: skip


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
    os.environ.clear()
    os.environ.update(environment)


def _serve(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    enter(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from uvicorn.main import main

    main(arguments)
