import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from stack.database import postgres
from stack.processes import processes

WAIT_SECONDS = 20


def write_row(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def count_rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    count: int = row[0]
    return count


@pytest.fixture(scope="module")
def stopped_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster with one committed row, stopped in good order."""
    directory = tmp_path_factory.mktemp("cluster") / "postgres"
    with postgres.server(directory, durable=True) as dsn:
        write_row(dsn)
    return directory


def test_only_the_owner_with_the_password_gets_in(stopped_cluster: Path) -> None:
    with postgres.server(stopped_cluster) as dsn:
        folder = stopped_cluster / "socket"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / ".s.PGSQL.5432").stat().st_mode) == 0o600
        assert stat.S_IMODE((stopped_cluster / "password").stat().st_mode) == 0o600
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SHOW listen_addresses").fetchone()
            assert row == ("",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn, password="guessed")


def test_a_second_start_finds_the_data(stopped_cluster: Path) -> None:
    with postgres.server(stopped_cluster) as dsn:
        assert count_rows(dsn) == 1


def test_recovers_after_kill_9(tmp_path: Path) -> None:
    cluster = postgres.open_cluster(tmp_path / "postgres")
    with tempfile.TemporaryFile("w+") as log:
        process = postgres.start(cluster, log.fileno())
        postgres.await_ready(cluster, process, log.fileno())
        write_row(cluster.dsn)
        process.kill()
        process.wait()
    assert (cluster.data / "postmaster.pid").exists()
    with postgres.server(tmp_path / "postgres") as dsn:
        assert count_rows(dsn) == 1


def test_start_waits_for_a_killed_servers_leftovers(tmp_path: Path) -> None:
    cluster = postgres.open_cluster(tmp_path / "postgres")
    with tempfile.TemporaryFile("w+") as log:
        process = postgres.start(cluster, log.fileno())
        postgres.await_ready(cluster, process, log.fileno())
        write_row(cluster.dsn)
        with psycopg.connect(cluster.dsn) as connection:
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            process.kill()
            process.wait()
            assert postgres.memory_in_use(cluster.data)
            go_on = threading.Timer(0.5, os.kill, (backend, signal.SIGCONT))
            go_on.start()
            with postgres.server(tmp_path / "postgres") as dsn:
                assert count_rows(dsn) == 1
            go_on.join()


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_pid_of_a_stranger_is_left_alone(
    stopped_cluster: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    (stopped_cluster / "data" / "postmaster.pid").write_text(
        f"{stranger.pid}\n{stopped_cluster / 'data'}\n"
    )
    with postgres.server(stopped_cluster) as dsn:
        assert count_rows(dsn) == 1
    assert stranger.poll() is None


def test_working_orphan_is_ended_first(stopped_cluster: Path) -> None:
    cluster = postgres.open_cluster(stopped_cluster)
    with tempfile.TemporaryFile("w+") as log:
        orphan = postgres.start(cluster, log.fileno())
        postgres.await_ready(cluster, orphan, log.fileno())
        with postgres.server(stopped_cluster) as dsn:
            assert orphan.wait(timeout=WAIT_SECONDS) == 0
            assert count_rows(dsn) == 1


def test_ends_with_its_starter(stopped_cluster: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from stack.database import postgres
with postgres.server(Path({str(stopped_cluster)!r})) as dsn:
    print(Path({str(stopped_cluster)!r}, "data/postmaster.pid").read_text().split()[0], flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
        assert processes.wait_gone(pid, WAIT_SECONDS)


def test_a_long_path_gets_a_private_socket_folder(tmp_path: Path) -> None:
    directory = tmp_path / ("a-long-name-" * 9) / "postgres"
    with postgres.server(directory) as dsn:
        write_row(dsn)
        folder = Path(postgres.open_socket_folder(directory, processes.unprivileged_user()))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_foreign_socket_folder_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(postgres.PostgresError, match="belongs to another user"):
        postgres.open_socket_folder(tmp_path, "keep")


def test_another_major_version_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(postgres.PostgresError, match="belongs to PostgreSQL 15"):
        postgres.open_cluster(tmp_path / "postgres")


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="weir-open-") as name:
        os.chmod(name, 0o755)
        monkeypatch.setattr(postgres, "OPEN_FOLDER", Path(name) / "weir")
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop (2026-11)")
def test_root_without_namespaces_runs_it_as_nobody(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "unprivileged_user", lambda: "nobody")
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        with postgres.server(closed / "postgres") as dsn:
            write_row(dsn)
    with postgres.server(closed / "postgres") as dsn:
        assert count_rows(dsn) == 2
    assert (closed / "postgres").resolve().is_relative_to(open_folder)
    assert postgres.locate(closed / "postgres").is_outside


class Starting:
    """A server that is ready, or ends, after so many looks; for the clock a look takes a second."""

    def __init__(self, *, ready_at: int = 999, ends_at: int = 999) -> None:
        self.looks, self._ready_at, self._ends_at = 0, ready_at, ends_at

    def ready(self) -> bool:
        return self.looks >= self._ready_at

    def wait(self, timeout: float) -> None:
        self.looks += 1
        raise subprocess.TimeoutExpired("postgres", timeout)

    def poll(self) -> int | None:
        return 1 if self.looks >= self._ends_at else None


@pytest.mark.parametrize(
    ("server", "looks"),
    [(Starting(ends_at=2), 2), (Starting(), int(postgres._START_S) + 1)],
    ids=["ended", "slow"],
)
def test_server_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Starting, looks: int
) -> None:
    """As soon as its process ends, or once it has had its time."""
    monkeypatch.setattr(time, "monotonic", lambda: float(server.looks))
    (tmp_path / "log").write_text("FATAL: no room")
    with (tmp_path / "log").open() as log:
        with pytest.raises(postgres.PostgresError, match="did not start:\nFATAL: no room"):
            postgres.await_ready(cast(Any, server), cast(Any, server), log.fileno())
        assert server.looks == looks
        in_time = Starting(ready_at=3)
        postgres.await_ready(cast(Any, in_time), cast(Any, in_time), log.fileno())
