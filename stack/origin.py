"""The place of this code: a clone, or the wheel `weir-hub`, whose only package contains it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The wheel has its launcher beside the rooms (stack/wheels/launcher.py).
PACKAGED = (ROOT / "launcher.py").exists()
_VARIABLES = {"data": "DATA_DIR", "host": "HOST", "port": "PORT"}


def start_line(**settings: object) -> str:
    """Return the line that starts an installation with other settings: `data`, `host`, `port`."""
    if PACKAGED:
        words = [f"--{name} {value}" for name, value in settings.items()]
        return " ".join(["weir", "run", *words])
    words = [f"{_VARIABLES[name]}={value}" for name, value in settings.items()]
    return " ".join(["make", "run", *words])
