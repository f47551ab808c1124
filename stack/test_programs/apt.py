"""Install packages of Debian and Ubuntu: as root without a question, with sudo only after one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def is_debian() -> bool:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return False
    return "ID=debian" in lines


def can_install() -> bool:
    """Return whether there are apt and a way to become root."""
    has_root = os.geteuid() == 0 or shutil.which("sudo") is not None
    return has_root and shutil.which("apt-get") is not None


def install_packages(*names: str) -> None:
    """Install packages. Raises CalledProcessError, or PermissionError if the person says no."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and not agrees(f"sudo apt-get install {' '.join(names)}"):
        raise PermissionError("apt-get was not run.")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *names], check=True)


def agrees(command: str) -> bool:
    """Ask whether to run a command. Without a terminal nobody can answer, which is a no."""
    if not has_terminal():
        print(f"Not run, because there is no terminal to ask at: {command}", file=sys.stderr)
        return False
    return input(f"Run {command}? [y/N] ").strip().lower() in ("y", "yes")


def has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
