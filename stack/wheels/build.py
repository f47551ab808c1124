"""Lay out the tree of each wheel and build it. The build hook (hook.py) calls `lay_out_hub` too, so
`pip install .` installs what `make wheel` builds.

All rooms of `weir-hub` are inside its package `weir_hub`, because other programs of an environment
may use names such as `config` or `usage`; its launcher puts that package on the import path.
Translations are compiled, static files collected and compressed. `llm-dialects` is the room
`dialects` under the name `llm_dialects`.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from stack.database import template
from stack.model.packages import PACKAGES
from stack.origin import ROOT
from stack.wheels.sources import commit, copy_sources

PACKAGE = "weir_hub"
ROOMS = (
    "accounts", "billing", "config", "content", "dialects", "extensions", "gateway", "lib",
    "notify", "outbox", "playground", "reference", "relay", "usage",
)  # fmt: skip
# The files of stack/ that an installation needs; the others are only for clones.
STACK = (
    "__init__.py", "checks.py", "command.py", "database", "demo", "keyring.py", "model",
    "origin.py", "ports.py", "probe.py", "processes", "restore.py", "up.py",
)  # fmt: skip
_DIALECTS_IMPORT = re.compile(r"\b(from|import) dialects\b")


def build_hub(target: Path) -> Path:
    """Build `weir-hub` into the folder `target` and return its file."""
    return build(ROOT, target)


def lay_out_hub(package: Path) -> None:
    """Write everything that the package of `weir-hub` holds into the folder `package`."""
    copy_sources([*ROOMS, "templates", "docs", *(f"stack/{name}" for name in STACK)], package)
    shutil.copy(ROOT / "manage.py", package)
    shutil.copy(ROOT / "stack/wheels/launcher.py", package)
    (package / "__init__.py").write_text('"""Weir, as one package; see launcher.py."""\n')
    (package / "commit").write_text(commit())
    (package / "stack/model.lock.txt").write_text(locked(PACKAGES))
    compile_texts(package / "locale")
    collect_static(package / "staticfiles")
    write_template(package / "stack" / template.FILE.name)
    describe_api(package)


def build_dialects(target: Path) -> Path:
    """Build `llm-dialects` into the folder `target` and return its file."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_sources(["dialects"], tree)
        package = (tree / "dialects").rename(tree / "llm_dialects")
        for file in [*package.rglob("*.py"), package / "README.md"]:
            file.write_text(_DIALECTS_IMPORT.sub(r"\1 llm_dialects", file.read_text()))
        (package / "py.typed").touch()
        (package / "README.md").rename(tree / "README.md")
        copy_sources(["LICENSE"], tree)
        (tree / "pyproject.toml").write_text(dialects_project())
        return build(tree, target)


def compile_texts(target: Path) -> None:
    for source in sorted(ROOT.glob("locale/*/LC_MESSAGES/django.po")):
        with source.open("rb") as file:
            catalogue = read_po(file)
        # Our files have no dates; the time of the build would be written instead.
        catalogue.creation_date = catalogue.revision_date = datetime(2000, 1, 1, tzinfo=UTC)
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        folder = target / source.parent.relative_to(ROOT / "locale")
        folder.mkdir(parents=True)
        (folder / "django.mo").write_bytes(compiled.getvalue())


def collect_static(target: Path) -> None:
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"]
    environment = {**os.environ, "STATIC_ROOT": str(target)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    # Remove inodes and times of these files, because they differ in an installation.
    manifest = target / "staticfiles.json"
    names = json.loads(manifest.read_text()) | {"stats": {}}
    manifest.write_text(json.dumps(names, sort_keys=True))


def write_template(target: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "stack.database.template", str(target)], cwd=ROOT, check=True
    )


def describe_api(package: Path) -> None:
    """Write the description of the management API, of the sources in the wheel."""
    command = [sys.executable, "-B", "-m", "config.api.description", str(package)]
    # Sets have another order in each process otherwise.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run(command, cwd=package, env=environment, stdout=subprocess.DEVNULL, check=True)


def locked(names: Iterable[str]) -> str:
    """Return the lines of requirements.lock for these packages, with their hashes."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = []
    for name in names:
        match = re.search(rf"(?m)^{name}==.* \\\n(?:    --hash=\S+(?: \\)?\n)+", text)
        if match is None:
            raise LookupError(f"requirements.lock has no {name}")
        blocks.append(match.group())
    return "".join(blocks)


def dialects_project() -> str:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project: dict[str, Any] = whole["project"]
    [codec] = [line for line in project["dependencies"] if line.startswith("msgspec")]
    return f"""
[project]
name = "llm-dialects"
version = "{project["version"]}"
description = "Translate requests, answers and streams between the chat APIs of LLM providers."
readme = "README.md"
requires-python = "{project["requires-python"]}"
license = "{project["license"]}"
license-files = ["LICENSE"]
dependencies = ["{codec}"]

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["llm_dialects"]
"""


def build(tree: Path, target: Path) -> Path:
    """Build the wheel of the project in the folder `tree` and return its file in `target`."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
        [wheel] = Path(folder).glob("*.whl")
        return Path(shutil.move(wheel, target / wheel.name))
