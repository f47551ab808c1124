import importlib.util
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack import install

PO = (
    'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Keys"\nmsgstr "密钥"\n'
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with locks, and a venv that is only a folder."""
    for name in (install.LOCK, install.DEV_LOCK):
        (tmp_path / name).write_text(f"{name}==1\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "BIN", tmp_path / ".venv" / "bin")
    monkeypatch.setattr(install, "STAMP", tmp_path / ".venv" / "weir-installed")
    return tmp_path


@pytest.fixture
def ran(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run; each counts as done."""
    commands: list[list[str]] = []
    monkeypatch.setattr(install, "run", commands.append)
    monkeypatch.setattr(install, "find_uv", lambda: "uv")
    monkeypatch.setattr(install, "usable", lambda: True)
    return commands


def locks(commands: list[list[str]]) -> list[str]:
    return [Path(command[-1]).name for command in commands]


def test_installation_happens_once(ran: list[list[str]]) -> None:
    assert install.main([]) == 0
    assert install.main([]) == 0
    assert locks(ran) == [install.LOCK]
    assert {"--require-hashes", "--no-deps"} <= set(ran[0])


def test_development_lock_includes_the_other(ran: list[list[str]]) -> None:
    install.main([])
    install.main(["--dev"])
    install.main(["--dev"])
    install.main([])
    assert locks(ran) == [install.LOCK, install.DEV_LOCK]


@pytest.mark.parametrize("arguments", [[], ["--dev"]])
def test_a_changed_lock_is_installed(
    arguments: list[str], ran: list[list[str]], tree: Path
) -> None:
    install.main(["--dev"])
    (tree / install.LOCK).write_text("other==2\n")
    install.main(arguments)
    assert len(ran) == 2


def test_another_python_reinstalls(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    install.main([])
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    monkeypatch.setattr(install, "usable", lambda: False)
    install.main([])
    assert [command[1] for command in ran] == ["pip", "venv", "pip"]


def test_interrupted_installation_is_repeated(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str]) -> None:
        raise install.Refusal(install.FAILED, "no network")

    monkeypatch.setattr(install, "run", fail)
    assert install.main([]) == install.FAILED
    monkeypatch.setattr(install, "run", ran.append)
    assert install.main([]) == 0
    assert locks(ran) == [install.LOCK]


def test_installer_becomes_the_following_command(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: became.append((path, command)))
    monkeypatch.setenv("WEIR_STARTED_AT", "")
    install.main(["--", "python", "-m", "stack.up"])
    assert became == [("python", ["python", "-m", "stack.up"])]
    assert re.fullmatch(r"\d+\.\d{3}", os.environ["WEIR_STARTED_AT"])


def test_failing_step_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    program = "print('no route'); print(' + listed==1'); raise SystemExit(2)"
    with pytest.raises(install.Refusal) as refused:
        install.run([sys.executable, "-S", "-c", program])
    assert refused.value.code == install.FAILED
    assert capfd.readouterr().out == "  no route\n"


@pytest.mark.parametrize("version", [(3, 9, 6), (3, 10, 1), (3, 15, 0)])
def test_an_unfit_python_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(install.Refusal, match=rf"Python 3\.{version[1]} cannot run") as refused:
        install.check_python(version)
    assert refused.value.code == install.WRONG_PYTHON


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [("Windows", "AMD64", ""), ("Linux", "riscv64", "glibc"), ("Linux", "x86_64", "")],
)
def test_a_platform_without_packages_is_refused(system: str, machine: str, libc: str) -> None:
    with pytest.raises(install.Refusal, match="There are no packages") as refused:
        install.check_platform(system, machine, libc)
    assert refused.value.code == install.NO_WHEELS


def test_the_platforms_with_packages_are_taken() -> None:
    install.check_python((3, 11, 0))
    for machine in ("x86_64", "aarch64"):
        install.check_platform("Linux", machine, "glibc")
    for machine in ("x86_64", "arm64"):
        install.check_platform("Darwin", machine, "")


@pytest.mark.parametrize(("lock", "free"), [(install.LOCK, 1_400), (install.DEV_LOCK, 2_400)])
def test_a_full_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str, free: int
) -> None:
    full = SimpleNamespace(f_bavail=free, f_frsize=1_000_000)
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(install.Refusal, match=f"{free} MB free") as refused:
        install.check_space(tmp_path, lock)
    assert refused.value.code == install.NO_SPACE


def test_a_python_without_venv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(install.Refusal, match="apt-get install python3-venv") as refused:
        install.check_venv()
    assert refused.value.code == install.NO_VENV


def test_catalogues_are_compiled_when_they_changed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tree / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    text.parent.mkdir(parents=True)
    text.write_text(PO)
    monkeypatch.setattr(install, "BIN", Path(sys.prefix) / "bin")
    install.compile_catalogues()
    assert "密钥".encode() in text.with_suffix(".mo").read_bytes()

    ran: list[list[str]] = []
    monkeypatch.setattr(install, "run", ran.append)
    install.compile_catalogues()
    assert ran == []
    os.utime(text.with_suffix(".mo"), (0, 0))
    install.compile_catalogues()
    assert len(ran) == 1


def test_the_locks_name_no_host() -> None:
    root = Path(install.__file__).parent.parent
    for name in (install.LOCK, install.DEV_LOCK, install.UV_LOCK):
        assert "://" not in (root / name).read_text()
