import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stack import checks, command, ports, restore
from stack import up as up_module
from stack.checks import Exit, Refusal
from stack.database import postgres

WAIT_SECONDS = 20


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    checks.open_data_dir(directory)
    return directory


def up(**environment: object) -> "subprocess.CompletedProcess[str]":
    """Run `stack.up` to its refusal."""
    mine = {name: str(value) for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-m", "stack.up"],
        env={**os.environ, **mine},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def test_a_taken_port_is_named_with_one_that_is_free(taken_port: int, tmp_path: Path) -> None:
    done = up(PORT=taken_port, DATA_DIR=tmp_path / "data")
    assert done.returncode == Exit.PORT
    assert f"Port {taken_port} on 127.0.0.1 is used" in done.stdout
    free = int(done.stdout.rsplit("PORT=", 1)[1])
    assert ports.port_free("127.0.0.1", free)


def test_default_port_is_a_free_one(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PORT", taken_port)
    monkeypatch.delenv("PORT", raising=False)
    port = up_module.read_place({}).port
    assert port > taken_port
    assert ports.port_free("127.0.0.1", port)
    # One that somebody asked for is refused instead.
    assert up_module.read_place({"port": str(taken_port)}).port == taken_port


def test_invalid_port(tmp_path: Path) -> None:
    done = up(PORT="eighty", DATA_DIR=tmp_path)
    assert (done.returncode, "'eighty'" in done.stdout) == (Exit.PORT, True)


def test_database_that_a_file_names_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the demo would be put into it, with an embedded one beside it."""
    file = tmp_path / "database"
    file.write_text("postgresql://outside/weir\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    assert up_module.read_place({}).database_url == "postgresql://outside/weir"
    done = up(DATABASE_URL_FILE=tmp_path / "absent", DATA_DIR=tmp_path / "data")
    assert done.returncode == Exit.SETTING
    assert f"DATABASE_URL_FILE names {tmp_path / 'absent'}, which is not there." in done.stdout


def test_restore_finds_secrets_in_files_that_the_environment_names(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in restore.NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refusal, match="has no WEIR_KEK"):
        restore.check_secrets(data_dir)
    for name in restore.NEEDED:
        file = data_dir / f"{name} elsewhere"
        file.write_text("secret")
        monkeypatch.setenv(f"{name}_FILE", str(file))
    restore.check_secrets(data_dir)
    file.unlink()
    assert restore.run(data_dir / "weir.zip", data_dir) == Exit.SETTING


def test_restore_into_a_folder_leaves_the_database_of_a_file_alone(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict[str, str]()

    def run(command: list[str], env: dict[str, str], check: bool) -> SimpleNamespace:
        given.update(env)
        return SimpleNamespace(returncode=0)

    for name in restore.NEEDED:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("DATABASE_URL_FILE", str(data_dir / "of another"))
    monkeypatch.setattr(postgres, "server", lambda *_, **__: nullcontext("postgresql://x"))
    monkeypatch.setattr(subprocess, "run", run)
    assert restore.run(data_dir / "weir.zip", data_dir) == 0
    assert given["DATABASE_URL"] == "postgresql://x"
    assert "DATABASE_URL_FILE" not in given


def test_restore_command_uses_the_database_that_a_file_names(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = list[tuple[object, ...]]()
    monkeypatch.setattr(command, "run_management", lambda *given: called.append(given))
    monkeypatch.setattr(restore, "run", lambda *_: 0)
    backup = data_dir / "weir.zip"
    backup.write_bytes(b"")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    file = data_dir / "database"
    file.write_text("postgresql://outside/weir")
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    CliRunner().invoke(command.weir, ["restore", "--data", str(data_dir), str(backup)])
    assert called[0] == ("restore", data_dir, [str(backup)])


def test_foreign_host(tmp_path: Path) -> None:
    done = up(HOST="192.0.2.1", PORT=8000, DATA_DIR=tmp_path / "data")
    assert done.returncode == Exit.PORT
    assert "Cannot listen on 192.0.2.1 port 8000" in done.stdout


def test_unwritable_data_dir(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = up(DATA_DIR=tmp_path / "file" / "data")
    assert done.returncode == Exit.DATA_DIR
    assert f"The data folder {tmp_path}/file/data cannot be written: Not a directory" in done.stdout


def test_data_dir_is_private_to_its_owner(data_dir: Path) -> None:
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_data_of_a_newer_weir_is_rejected_untouched(data_dir: Path) -> None:
    (data_dir / "layout").write_text(f"{checks.LAYOUT + 1}\n")
    done = up(DATA_DIR=data_dir)
    assert done.returncode == Exit.NEWER_DATA
    assert "was written by a newer Weir (data layout 2, this one knows up to 1)" in done.stdout
    assert not (data_dir / "postgres").exists()


def test_fresh_data_is_marked_and_taken_again(data_dir: Path) -> None:
    checks.check_layout(data_dir)
    assert (data_dir / "layout").read_text() == f"{checks.LAYOUT}\n"
    checks.check_layout(data_dir)


def test_nearly_full_disk(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(f_bavail=1000, f_frsize=1024)
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(Refusal, match="0 MB free, at least 256 MB are needed") as refused:
        checks.check_space(data_dir)
    assert refused.value.code == Exit.NO_SPACE


def test_completely_full_disk(tmp_path: Path) -> None:
    """A real one, of 64 MB, in a namespace of its own."""
    script = f"mount -t tmpfs -o size=64m tmpfs {tmp_path} && exec {sys.executable} -m stack.up"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command, f"mount -t tmpfs tmpfs {tmp_path}"], check=False).returncode:
        pytest.skip(reason="this machine allows no mounts in a namespace (2026-11)")
    done = subprocess.run(
        [*command, script], env={**os.environ, "DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == Exit.NO_SPACE, done
    assert "MB free, at least 256 MB are needed. Free some space" in done.stdout


def test_one_data_dir_has_one_installation(data_dir: Path) -> None:
    with checks.lock(data_dir):
        done = up(DATA_DIR=data_dir)
        assert done.returncode == Exit.RUNNING
        assert f"already running on {data_dir} (process {os.getpid()})" in done.stdout
    with checks.lock(data_dir):
        pass
