"""The parts of an installation, each started by its own command, killed and started again."""

import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stack.database import postgres
from stack.database.postgres import Cluster
from stack.database.prepare import load_queues
from stack.up import worker_command
from tests.support.hub import ROOT, Hub

WAIT_S = 60.0


class Part(ABC):
    """One process that can be killed. `start` returns when it runs, not when it is ready."""

    name: str

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def kill(self) -> None:
        """`kill -9`."""


class Database(Part):
    """Postgres with fsync, on a real disk."""

    name = "postgres"

    def __init__(self, cluster: Cluster, log: Path) -> None:
        self.cluster = cluster
        self._log = log.open("a+b")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # It would end with another thread, seconds later and without a word.
        assert threading.current_thread() is threading.main_thread()
        postgres.end_orphan(self.cluster.data)
        self._process = postgres.start(self.cluster, self._log.fileno())
        postgres.await_ready(self.cluster, self._process, self._log.fileno())

    def kill(self) -> None:
        pid = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(WAIT_S)

    def stop(self) -> None:
        if self._process is not None:
            postgres.stop(self._process)
        postgres.forget_socket(self.cluster)
        self._log.close()


class Web(Part):
    """One web process; `hub` is how the tests speak to it."""

    def __init__(self, name: str, hub: Hub) -> None:
        self.name = name
        self.hub = hub

    def start(self) -> None:
        if self.hub.port:
            self.hub.spawn()
        else:
            self.hub.launch()

    def kill(self) -> None:
        self.hub.kill()


class Command(Part):
    """A worker with its beat, or one of the two."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(WAIT_S)


# As docker-compose.yml starts it.
_BEAT: Final = (
    *(sys.executable, "-m", "celery", "--app=config.celery", "--quiet", "beat"),
    *("--loglevel=WARNING", "--pidfile="),
)


class Installation:
    """Two web processes and a worker with its beat on one database; or `beat_apart`, as a process
    of its own."""

    def __init__(self, folder: Path, database: Database, *, beat_apart: bool = False) -> None:
        self.database = database
        dsn = database.cluster.dsn
        environment = {**os.environ, "DATABASE_URL": dsn, "DATA_DIR": str(folder)}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        load_queues(dsn)
        self.hubs = [Hub(dsn), Hub(dsn)]
        for hub in self.hubs:
            hub.spool = folder / "spool"
        self.hubs[0].settings()
        self.webs = [Web(f"web {number}", hub) for number, hub in enumerate(self.hubs)]
        self.parts: list[Part] = [
            database,
            *self.webs,
            Command("worker", worker_command(), environment),
        ]
        if beat_apart:
            worker = [word for word in worker_command() if word != "--with-beat"]
            self.parts[-1:] = [
                Command("worker", worker, environment),
                Command("beat", [*_BEAT], environment),
            ]

    @property
    def hub(self) -> Hub:
        return self.hubs[0]

    def reconnect(self) -> None:
        """After the database was killed, what looks into it needs another connection."""
        for hub in self.hubs:
            hub.connection.close()
            hub.connect()

    def await_ready(self) -> None:
        for hub in self.hubs:
            hub.wait(
                lambda hub=hub: hub.get("/readyz").status == 200,  # type: ignore[misc]
                "a web process does not become ready",
                WAIT_S,
            )


@contextmanager
def installation(folder: Path, *, beat_apart: bool = False) -> Iterator[Installation]:
    """A running installation below `folder`."""
    cluster = postgres.open_cluster(folder / "postgres")
    database = Database(cluster, folder / "postgres.log")
    database.start()
    result: Installation | None = None
    try:
        result = Installation(folder, database, beat_apart=beat_apart)
        for part in result.parts[1:]:
            part.start()
        result.await_ready()
        yield result
    finally:
        for part in result.parts[1:] if result is not None else []:
            part.kill()
        for hub in result.hubs if result is not None else []:
            hub.close()
        database.stop()
