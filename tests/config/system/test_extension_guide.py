"""The guide's extension is installed into a fresh environment, and runs."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

from tests.runner.databases import own_database
from tests.support.extensions import FreshHub
from tests.support.hub import ROOT

GUIDE = ROOT / "docs/guides/writing-an-extension.md"
# A file's name in the sentence before its text.
FILE = re.compile(r"^`([\w./]+)`[^\n]*\n\n```\w+\n(.*?)```", re.MULTILINE | re.DOTALL)
APPLIED = """
version: 1
channels:
  - name: acme
    provider: acme
    keys: [env:ACME_KEY]
"""


def unpacked(folder: Path) -> Path:
    for name, text in FILE.findall(GUIDE.read_text()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_example_has_about_forty_lines(tmp_path: Path) -> None:
    texts = [file.read_text() for file in unpacked(tmp_path).rglob("*") if file.is_file()]
    assert len(texts) == 4
    lines = [line for text in texts for line in text.splitlines() if line]
    assert len(lines) <= 40


def test_example_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    example = unpacked(tmp_path / "weir-acme")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    python = tmp_path / "venv/bin/python"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, tmp_path / "venv"], check=True)
    [packages] = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "suite.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [uv, "pip", "install", "-q", "--offline", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "-p", python, example], check=True)
    with own_database("extension_guide") as dsn, closing(FreshHub(dsn)) as hub:
        hub.python = str(python)
        hub.settings()
        hub.start()
        (tmp_path / "hub.yaml").write_text(APPLIED)
        apply = [str(python), "manage.py", "apply", str(tmp_path / "hub.yaml")]
        environment = {**os.environ, "DATABASE_URL": dsn, "ACME_KEY": "secret"}
        subprocess.run(apply, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        operator = hub.tenant(kind="management")
        hub.person(operator, operator=True)
        assert hub.get("/api/v1/acme", operator).json() == ["acme"]
