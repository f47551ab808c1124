"""What the operating system knows of this process, for its metrics."""

import os
import resource
import time
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class Measures(NamedTuple):
    """`cpu_s` is the user and system time since the start, `started_at` seconds since the epoch.
    None stands for what this system does not say: without /proc, as on macOS, only the CPU time and
    the limit are known."""

    cpu_s: float
    resident_bytes: int | None
    open_fds: int | None
    max_fds: int | None
    started_at: float | None


def read_measures(proc: Path = _PROC) -> Measures:
    """Measure this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = None if soft == resource.RLIM_INFINITY else soft
    if not (proc / "self/stat").exists():
        return Measures(time.process_time(), None, None, limit, None)
    resident_pages = int((proc / "self/statm").read_text().split()[1])
    return Measures(
        cpu_s=time.process_time(),
        resident_bytes=resident_pages * resource.getpagesize(),
        # One less, for the descriptor that reads the folder.
        open_fds=len(os.listdir(proc / "self/fd")) - 1,
        max_fds=limit,
        started_at=_started_at(proc),
    )


def _started_at(proc: Path) -> float:
    # The second field is the command's name, which may contain spaces and brackets; the time is
    # the 22nd field, in ticks since the machine started (proc_pid_stat(5)).
    fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19])
    lines = (proc / "stat").read_text().splitlines()
    booted_at = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return booted_at + ticks / os.sysconf("SC_CLK_TCK")
