import os
import subprocess
from pathlib import Path

import pytest

from stack.test_programs import apt


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    return commands


@pytest.mark.parametrize(
    ("user", "programs", "possible"),
    [
        (0, ["apt-get"], True),
        (0, [], False),
        (1000, ["apt-get", "sudo"], True),
        (1000, ["apt-get"], False),
    ],
)
def test_apt_needs_root_or_sudo(
    user: int,
    programs: list[str],
    possible: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in programs:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert apt.can_install() is possible


def test_root_is_not_asked(monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt.install_packages("nginx")
    assert [command[2:4] for command in ran] == [["apt-get", "-qq"]] * 2
    assert ran[1][-1] == "nginx"


@pytest.mark.parametrize(
    ("answer", "runs"), [("y", True), ("Yes ", True), ("", False), ("n", False), (None, False)]
)
def test_sudo_is_used_only_after_a_yes(
    answer: str | None, runs: bool, monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]
) -> None:
    """None: there is no terminal to ask at."""
    questions: list[str] = []

    def ask(text: str) -> str:
        questions.append(text)
        return answer or ""

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(apt, "has_terminal", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", ask)
    if runs:
        apt.install_packages("nginx", "redis-server")
        assert [command[0] for command in ran] == ["sudo", "sudo"]
    else:
        with pytest.raises(PermissionError):
            apt.install_packages("nginx", "redis-server")
        assert ran == []
    question = "Run sudo apt-get install nginx redis-server? [y/N] "
    assert questions == ([question] if answer is not None else [])
