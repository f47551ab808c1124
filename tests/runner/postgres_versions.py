"""Servers of each supported version of PostgreSQL, with their own programs, where these are
installed: as Debian and PostgreSQL's own packages lay them, and inside packages of Python."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from stack.database import postgres
from stack.processes.processes import leashed_command

SUPPORTED: Final = (15, 16, 17, 18)


def find_programs(major: int) -> Path | None:
    """The folder that has the server and the client programs of a major version."""
    folders = [Path(f"/usr/lib/postgresql/{major}/bin")]
    for entry in filter(None, sys.path):
        folders += Path(entry).glob("*/pginstall*/bin")
    names = ("postgres", "initdb", "pg_dump", "pg_restore")
    for folder in folders:
        if all((folder / name).is_file() for name in names) and _major(folder) == major:
            return folder
    return None


def _major(folder: Path) -> int:
    done = subprocess.run(
        [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split("(PostgreSQL) ")[1].split(".")[0])


@contextmanager
def server_of(folder: Path, programs: Path) -> Iterator[str]:
    """Run a server with these programs for the length of the block and give its address."""
    cluster = replace(postgres.locate(folder, durable=False), programs=programs)
    data = str(cluster.data)
    initdb = [str(programs / "initdb"), "-D", data, "--username", postgres.USER]
    initdb += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
    subprocess.run(leashed_command(initdb, drop=cluster.drop), check=True, capture_output=True)
    with tempfile.TemporaryFile("w+") as log:
        process = postgres.start(cluster, log.fileno())
        try:
            postgres.await_ready(cluster, process, log.fileno())
            yield cluster.dsn
        finally:
            postgres.stop(process)
            postgres.forget_socket(cluster)
