"""The description of the management API is read from a file of the present sources, so that who
asks for it without a key costs nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings

from config.api import description as module
from config.api.description import describe, description, file_name, write
from tests.runner.databases import ROOT

# In a process of its own: here everything is loaded.
ASK = """
import sys
import django
django.setup()
from django.conf import settings
settings.MIDDLEWARE = []
settings.ALLOWED_HOSTS = ["*"]
from django.test import Client
answer = Client().get("/api/v1/openapi.json")
assert answer.content == b'{"kept": true}', answer.content
assert answer["Content-Type"].startswith("application/json")
loaded = {name for name in ("config.api.api", "ninja") if name in sys.modules}
assert loaded == set(), loaded
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, settings: LazySettings, tmp_path: Path) -> Path:
    """Where this process looks; nothing is made in another one."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(module, "make", lambda: b"made")
    module._read.cache_clear()
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    module._read.cache_clear()


def test_a_process_serves_the_file_without_loading_the_api(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / file_name()).write_text('{"kept": true}')
    environment = {
        **os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    command = [sys.executable, "-c", ASK]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_a_file_of_other_sources_is_never_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "api.py"
    source.write_text("a = 1")
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "_sources", lambda: iter([source]))
    (folder / file_name()).write_bytes(b"of these sources")
    assert description() == b"of these sources"
    source.write_text("a = 2")
    module._read.cache_clear()
    assert description() == b"made"


def test_every_source_of_the_api_is_in_the_digest() -> None:
    sources = {str(file) for file in module._sources()}
    describe()
    loaded = {
        file
        for loaded in list(sys.modules.values())
        if (file := getattr(loaded, "__file__", None) or "").startswith(str(ROOT))
        and "/tests/" not in file
        and "/.venv/" not in file
    }
    beside = tuple(f"{ROOT}/{folder}/" for folder in ("deploy", "stack", "tools"))
    rooms = {file for file in loaded if not file.startswith(beside)}
    assert rooms - {f"{ROOT}/manage.py"} <= sources


def test_rewriting_replaces_files_of_other_sources(folder: Path) -> None:
    (folder / "openapi-0123.json").write_text("{}")
    text = write(folder)
    assert [file.name for file in folder.iterdir()] == [file_name()]
    assert (folder / file_name()).read_bytes() == text == description()
    assert {"get", "post"} <= set(json.loads(text)["paths"]["/api/v1/keys"])


def test_unwritable_folder_stores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert write(tmp_path / "file") == describe()
    assert "is not kept" in capsys.readouterr().err


def test_another_process_generates_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "config.api.description", str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(made) == json.loads(describe())
    assert [file.name for file in tmp_path.iterdir()] == [file_name()]
