import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from playwright import sync_api

from stack.test_programs import browser


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> "subprocess.CompletedProcess[bytes]":
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_systems_own_browser_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]
) -> None:
    own, shell = tmp_path / "chromium", tmp_path / browser.SHELL
    own.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "is_debian", lambda: False)
    assert browser.find() == str(own)
    assert (browser.main(), ran) == (0, [])
    shell.touch(mode=0o755)
    monkeypatch.setattr(browser, "is_debian", lambda: True)
    assert browser.find() == str(shell)
    assert (browser.main(), ran) == (0, [])


def test_debian_offers_a_lighter_chromium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]
) -> None:
    (tmp_path / "chromium").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "is_debian", lambda: True)
    monkeypatch.setattr(browser, "can_install", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert browser.main() == 0
    assert ran[1][-1] == browser.SHELL

    def fail(*_names: object) -> None:
        raise subprocess.CalledProcessError(100, ["apt-get"])

    monkeypatch.setattr(browser, "install_packages", fail)
    assert browser.main() == 0


@pytest.mark.parametrize(("debian", "installs"), [(False, True), (True, False)])
def test_playwright_provides_it_elsewhere(
    debian: bool, installs: bool, monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]
) -> None:
    monkeypatch.setattr(browser, "is_debian", lambda: debian)
    monkeypatch.setattr(browser, "can_install", lambda: installs)
    browser.install()
    assert ran == [[sys.executable, "-m", "playwright", "install", "chromium"]]


def test_a_failure_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(100, ["apt-get"])

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "playwright_has_one", lambda: False)
    monkeypatch.setattr(browser, "install", fail)
    assert browser.main() == 1
    assert "Install Chromium by hand" in capsys.readouterr().err


def test_a_driver_that_does_not_start_has_no_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of pages are then skipped, as on any machine without Chromium."""

    def broken() -> NoReturn:
        raise Exception("Connection closed while reading from the driver")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sync_api, "sync_playwright", broken)
    assert not browser.is_browser_installed()
