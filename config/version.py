"""The version of this code, from pyproject.toml (containers do not have that file), and its
commit."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

VERSION: Final = "1.0.0"
_ROOT: Final = Path(__file__).resolve().parents[1]


@cache
def commit() -> str:
    """Return the commit of this code: from a file in the wheel, or from git in a clone; "" if
    unknown.
    """
    file = _ROOT / "commit"
    if file.exists():
        return file.read_text().strip()
    if not (_ROOT / ".git").exists():
        return ""
    git = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(git, cwd=_ROOT, capture_output=True, text=True, timeout=5)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
