"""Start processes that cannot outlive this one, find them by pid, and wait for them."""

import os
import select
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from stack.processes import leash


class CannotStart(Exception):
    """A requirement for starting a process is missing; the message names it."""


def leashed_command(
    command: list[str], *, orphan_signal: signal.Signals = signal.SIGKILL, drop: str = "keep"
) -> list[str]:
    """Return `command` wrapped so that it ends with `orphan_signal` when this process does; see
    stack/processes/leash.py.
    """
    start = [sys.executable, "-I", "-S", leash.__file__]
    return [*start, str(os.getpid()), str(int(orphan_signal)), drop, "--", *command]


@cache
def unprivileged_user() -> str:
    """Return how a child of this process drops root; `keep` if it is not root."""
    if os.geteuid() != 0:
        return "keep"
    if sys.platform == "linux":
        trial = subprocess.run(
            leashed_command(["/bin/true"], drop="namespace"), check=False, capture_output=True
        )
        if trial.returncode == 0:
            return "namespace"
    return "nobody"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> str:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    completed = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout


def wait_gone(pid: int, seconds: float) -> bool:
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
