"""Processes that are measured: started on a leash, ended by pid, and what their tree has used.

CPU is what the kernel has counted for every process of the tree with all its threads, in
nanoseconds, and what their reaped children used. Memory is the proportional set size: pages that
processes share are shared out among them. Buffers of sockets, which are the kernel's, are in
neither.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stack.processes.processes import command_line, leashed_command

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_STOP_S = 8.0
_BACKGROUND = (
    "postgres: autovacuum", "postgres: background writer", "postgres: checkpointer",
    "postgres: io worker", "postgres: walwriter",
)  # fmt: skip


class BenchError(Exception):
    """The bench cannot go on; the message says what to do."""


class Process:
    """A child and everything that it starts. Its words are kept in `log`."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            # Whatever ends this process ends them too, by a signal that they pass on themselves.
            self._child = subprocess.Popen(
                leashed_command(list(command), orphan_signal=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def check_alive(self) -> None:
        """BenchError with its last words when it has ended."""
        if self._child.poll() is not None:
            words = self.log.read_text(errors="replace")[-3000:]
            raise BenchError(f"{self.log.stem} has ended ({self._child.returncode}):\n{words}")

    def stop(self) -> None:
        """End it and every process below it, each by its pid."""
        below = [pid for pid in tree(self.pid) if pid != self.pid]
        for number, seconds in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            if self._child.poll() is None:
                self._child.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
                break
        end = time.monotonic() + 1.0
        while any(map(_lives, below)) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in filter(_lives, below):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def tree(root: int) -> list[int]:
    """`root` and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with suppress(OSError):
                children.setdefault(parent(int(entry)), []).append(int(entry))
    result, at = [root], 0
    while at < len(result):
        result += children.get(result[at], ())
        at += 1
    return result


def parent(pid: int) -> int:
    """Whose child a process is. OSError when it has ended."""
    return int(_stat(pid)[1])


def cpu_ns(roots: Sequence[int]) -> int:
    """What these trees have used since they began."""
    total = 0
    for pid in {pid for root in roots for pid in tree(root)}:
        with suppress(OSError):
            total += time.clock_gettime_ns(cpu_clock(pid))
            total += sum(map(int, _stat(pid)[13:15])) * _TICK_NS
    return total


def background_ns(postgres: int) -> int:
    """What a Postgres has used for nobody's statement: checkpoints, its log, vacuums."""
    below = [pid for pid in tree(postgres) if pid != postgres]
    return sum(cpu_ns([pid]) for pid in below if command_line(pid).startswith(_BACKGROUND))


def busy_ns() -> tuple[int, int]:
    """What all processes of the machine have used, and what its host has taken from it."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq) * _TICK_NS, steal * _TICK_NS


def cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2


def memory_kb(roots: Sequence[int]) -> float:
    """The proportional set size of these trees."""
    total = 0
    for pid in {pid for root in roots for pid in tree(root)}:
        with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return float(total)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (state, parent, ...)."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def _lives(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False
