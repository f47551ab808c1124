import subprocess
from pathlib import Path

import pytest

from stack.test_programs import javascript


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been run."""
    commands: list[tuple[str, ...]] = []

    def run(command: list[str], **_options: object) -> "subprocess.CompletedProcess[bytes]":
        commands.append(tuple(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(
        javascript, "install_packages", lambda *names: commands.append(("apt-get", *names))
    )
    return commands


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with apt and nothing else; a clone in which no client is installed."""
    (tmp_path / "apt-get").touch(mode=0o755)
    (tmp_path / "package-lock.json").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(javascript, "CLIENTS", tmp_path)
    monkeypatch.setattr(javascript, "can_install", lambda: True)
    return tmp_path


def bring_node(machine: Path) -> None:
    for name in ("node", "npm"):
        (machine / name).touch(mode=0o755)


def test_installed_program_is_not_installed_again(
    machine: Path, ran: list[tuple[str, ...]]
) -> None:
    bring_node(machine)
    (machine / "node_modules").mkdir()
    (machine / "node_modules" / ".package-lock.json").touch()
    assert (javascript.main(), javascript.missing(), ran) == (0, None, [])


def test_clients_are_installed_from_their_lock(
    machine: Path, ran: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    bring_node(machine)
    assert javascript.main() == 1
    assert ran == [("npm", "ci", "--silent")]
    assert javascript.ADVICE.format("their packages") in capsys.readouterr().err


def test_node_comes_from_the_system(machine: Path, ran: list[tuple[str, ...]]) -> None:
    assert javascript.main() == 1
    assert ran == [("apt-get", "nodejs", "npm")]


def test_missing_installer_names_what_is_missing(
    machine: Path,
    ran: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(javascript, "can_install", lambda: False)
    assert (javascript.main(), ran) == (1, [])
    assert capsys.readouterr().err == javascript.ADVICE.format("node") + "\n"
