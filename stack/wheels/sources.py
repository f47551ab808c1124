"""The files that a wheel is made from: those of a clone that git knows, or those of a source
distribution. It needs the standard library alone.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from stack.origin import ROOT

# A source distribution has no .git, and may lie in a clone of something else.
IS_CLONE = (ROOT / ".git").exists()


def git(*arguments: str) -> str:
    """Return the output of a git command in this clone."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def commit() -> str:
    """Return the commit of this clone, or the one that the source distribution names."""
    return git("rev-parse", "HEAD") if IS_CLONE else (ROOT / "commit").read_text()


def copy_sources(paths: Iterable[str], target: Path) -> None:
    """Copy the files below these paths: in a clone those that git knows. Raises FileNotFoundError
    for a path without any.
    """
    for path in paths:
        names = sources(path)
        if not names:
            raise FileNotFoundError(f"There is no {path} in {ROOT}")
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def sources(path: str) -> list[str]:
    """Return the names of the files at or below a path, relative to the project's folder."""
    if IS_CLONE:
        return git("ls-files", "-z", "--", path).split("\0")[:-1]
    place = ROOT / path
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return [
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    ]
