"""What an installation uses while nobody asks it, part by part.

    python -m tests.bench.idle PID [SECONDS]        PID: of `python -m stack.up`; ten minutes

Prints the table of docs/performance.md. CPU is of the time, memory of its end.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from stack.processes.processes import command_line
from tests.bench.process import cpu_ns, memory_kb, parent, tree

# What stands in the command of a part.
_PARTS: Final = {
    "stack.model.server": "model",
    "uvicorn": "web process",
    " worker": "worker",
    " beat": "scheduler",
    "bin/postgres": "Postgres",
}


class Use(NamedTuple):
    """CPU in nanoseconds, the proportional set size in KB."""

    part: str
    cpu_ns: int
    memory_kb: float


def main(root: int, seconds: float) -> None:
    parts = {pid: part_of(command_line(pid).replace("\0", " ")) for pid in _children(root)}
    parts[root] = "all"
    before = {pid: cpu_ns([pid]) for pid in parts}
    time.sleep(seconds)
    used = [Use(part, cpu_ns([pid]) - before[pid], memory_kb([pid])) for pid, part in parts.items()]
    sys.stdout.write(table(used, seconds))


def part_of(command: str) -> str:
    """What part of an installation a process with this command is."""
    return next((name for word, name in _PARTS.items() if word in command), command)


def table(used: Sequence[Use], seconds: float) -> str:
    """As Markdown."""
    rows = [
        f"| {use.part} | {use.cpu_ns / seconds / 1e7:.2f}% | {use.memory_kb / 1024:.0f} |"
        for use in used
    ]
    heads = ["|  | CPU, of a core | memory, MB |", "| --- | --- | --- |"]
    return "\n".join([*heads, *rows, ""])


def _children(root: int) -> list[int]:
    children = []
    for pid in tree(root):
        with suppress(OSError):
            children += [pid] if parent(pid) == root else []
    return children


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 600.0)
