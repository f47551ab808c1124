"""A read replica is refused at the start of each process, in words that name the next step."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pytest

from lib.database.writer import ReadReplica
from stack.database import postgres
from stack.processes.processes import leashed_command
from tests.runner.postgres_versions import find_programs, server_of
from tests.support.ports import free_port

WEB: Final = ("uvicorn", "config.asgi:application", "--lifespan=on")


@contextmanager
def standby_of(primary: str, folder: Path, programs: Path) -> Iterator[str]:
    """A hot standby that follows the primary, for the length of the block; its address."""
    cluster = replace(postgres.locate(folder, durable=False), programs=programs)
    copy = [str(programs / "pg_basebackup"), "-D", str(cluster.data), "-d", primary]
    copy += ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    subprocess.run(leashed_command(copy, drop=cluster.drop), check=True, capture_output=True)
    with tempfile.TemporaryFile("w+") as log:
        process = postgres.start(cluster, log.fileno())
        try:
            postgres.await_ready(cluster, process, log.fileno())
            yield cluster.dsn
        finally:
            postgres.stop(process)
            postgres.forget_socket(cluster)


@pytest.fixture(scope="module")
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    programs = find_programs(int(postgres.MAJOR))
    assert programs is not None
    with server_of(tmp_path_factory.mktemp("primary"), programs) as primary:
        with psycopg.connect(primary, dbname="postgres", autocommit=True) as database:
            database.execute(f"CREATE DATABASE {postgres.DATABASE}".encode())
        with standby_of(primary, tmp_path_factory.mktemp("standby"), programs) as dsn:
            yield dsn


@pytest.mark.parametrize("command", [WEB, ("deploy.prepare", ".")], ids=["web", "prepare"])
def test_read_replica_is_rejected(standby: str, command: Sequence[str]) -> None:
    port = ["--port", str(free_port())] if command is WEB else []
    done = subprocess.run(
        [sys.executable, "-m", *command, *port],
        env={**os.environ, "DATABASE_URL": standby}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert str(ReadReplica()) in done.stderr
    assert "Traceback" not in done.stderr
