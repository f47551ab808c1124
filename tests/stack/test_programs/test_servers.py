import shutil
from pathlib import Path

import pytest

from stack.test_programs import servers
from tests.runner.programs import need


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been installed; installing puts the programs onto PATH."""
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(servers, "install_packages", lambda *names: installed.append(names))
    return installed


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing but apt and curl."""
    for name in ("apt-get", "curl"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "SYSTEM", str(tmp_path / "sbin"))
    return tmp_path


def test_existing_server_is_not_installed(ran: list[tuple[str, ...]]) -> None:
    for name in servers.PACKAGES:
        need(name)
    assert (servers.main(), ran) == (0, [])


def test_server_outside_the_path_is_found(monkeypatch: pytest.MonkeyPatch, bare: Path) -> None:
    (bare / "sbin").mkdir()
    (bare / "sbin" / "nginx").touch(mode=0o755)
    assert shutil.which("nginx") is None
    assert servers.find("nginx") == str(bare / "sbin" / "nginx")


def test_only_what_is_missing_is_installed(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, ...]], bare: Path
) -> None:
    monkeypatch.setattr(servers, "can_install", lambda: True)
    assert servers.main() == 1
    assert ran == [
        (
            *("nginx", "caddy", "pebble", "redis-server", "redis-tools"),
            *("openssl", "prometheus", "systemd"),
        )
    ]


def test_missing_installer_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    ran: list[tuple[str, ...]],
    bare: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(servers, "can_install", lambda: False)
    assert (servers.main(), ran) == (1, [])
    message = capsys.readouterr().err.splitlines()
    assert message[0] == servers.ADVICE.format("nginx")
    assert len(message) == len(servers.PACKAGES) - 1
