"""Extensions in a folder of their own, as an environment has them: packages beside the folders with
their entry points. A process with that folder in its PYTHONPATH has them installed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.hub import Hub

ROOT = Path(__file__).parents[2]
SETTINGS = {"DJANGO_SETTINGS_MODULE": "config.settings"}


def install(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Write the package `weir_NAME`, version 0.1, whose `EXTENSION` is in its first file."""
    package = folder / f"weir_{name}"
    for file, text in files.items():
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(text)
    entry = folder / f"weir_{name}-0.1.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text(f"Metadata-Version: 2.1\nName: weir-{name}\nVersion: 0.1\n")
    (entry / "entry_points.txt").write_text(f"[weir.extensions]\n{name} = weir_{name}:EXTENSION\n")


def ask(folder: Path, question: str, **over: str) -> str:
    """What a program prints that runs in the project's folder, after Django's setup."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{question}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), **SETTINGS, **over},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class FreshHub(Hub):
    """A hub in a new process of `python`: one that is forked has looked for extensions already."""

    python: str = sys.executable

    def spawn(self) -> None:
        arguments = ["-m", "uvicorn", "config.asgi:application", "--no-access-log"]
        arguments += ["--port", str(self.port), "--loop", self.loop]
        arguments += ["--http", "config.server.protocol:Protocol"]
        over = {"DATABASE_URL": self.dsn, "DRAIN_ACCEPT_SECONDS": "0", "SPOOL_DIR": str(self.spool)}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[assignment]
                [self.python, *arguments],
                cwd=ROOT,
                env={**os.environ, **over, **self.environment},
                stdout=log,
                stderr=log,
            )
