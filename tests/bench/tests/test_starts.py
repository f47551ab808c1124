"""Every benchmark starts as `make` starts it: in a process of its own, without any settings."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STARTED = (
    "tests.bench",
    "tests.bench.reading",
    "tests.bench.tool_calls",
    "tests.bench.interactions",
    "tests.bench.one_organisation",
    "tests.bench.content_log",
    "tests.bench.content_log_cpu",
    "tests.bench.guards_cpu",
    "tests.bench.rollups",
    "tests.bench.long_run",
)


@pytest.mark.parametrize("name", STARTED)
def test_benchmark_is_imported(name: str) -> None:
    module = f"{name}.__main__" if name == "tests.bench" else name
    run = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-1000:]


def test_everything_make_starts_is_tested() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert {word for word in makefile.split() if word.startswith("tests.bench")} == set(STARTED)
