"""What an installation uses while nobody asks it, part by part.

    python -m tests.bench.idle PID [SECONDS]        PID: of `python -m stack.up`; ten minutes

Prints the table of docs/background/performance.md. CPU is of the time, memory of its end.
`measure` does it for the books of a bench (reading.py).
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from stack.database.prepare import load_queues
from stack.origin import ROOT
from stack.processes.commands import web_command, worker_command
from stack.processes.processes import command_line
from tests.bench.process import Process, cpu_ns, memory_kb, parent, tree
from tests.support.ports import free_port

# What stands in the command of a part.
_PARTS: Final = {
    "stack.model.server": "model",
    "config.asgi:application": "web process",
    " worker": "worker",
    " beat": "scheduler",
    "bin/postgres": "Postgres",
}
# What is new since the fill is worked off by then, and what a start does once.
_WARM_S: Final = 120.0
_MEASURED_S: Final = 120.0


class Use(NamedTuple):
    """CPU in nanoseconds, the proportional set size in KB."""

    part: str
    cpu_ns: int
    memory_kb: float


def main(root: int, seconds: float) -> None:
    parts = {**parts_of(root), root: "all"}
    before = {pid: cpu_ns([pid]) for pid in parts}
    time.sleep(seconds)
    used = [Use(part, cpu_ns([pid]) - before[pid], memory_kb([pid])) for pid, part in parts.items()]
    sys.stdout.write(table(used, seconds))


def measure(
    environment: Mapping[str, str],
    server: int,
    folder: Path,
    *,
    warm_s: float = _WARM_S,
    measured_s: float = _MEASURED_S,
) -> dict[str, float]:
    """Milliseconds of processor time for each second, by part, of a web process and a worker with
    the scheduler on the database of `environment`, whose server has the pid `server`."""
    load_queues(environment["DATABASE_URL"])
    folder.mkdir()
    own = {**environment, "DATA_DIR": str(folder), "SPOOL_DIR": str(folder / "spool")}
    commands = {
        "web process": web_command("127.0.0.1", free_port(), "127.0.0.1"),
        "worker": worker_command(4, schedules=True),
    }
    with ExitStack() as until_done:
        parts = {"Postgres": server}
        processes = []
        for part, command in commands.items():
            process = Process(command, folder / f"{part}.log", environment=own, folder=ROOT)
            until_done.callback(process.stop)
            parts[part] = process.pid
            processes.append(process)
        time.sleep(warm_s)
        before = {part: cpu_ns([pid]) for part, pid in parts.items()}
        time.sleep(measured_s)
        for process in processes:
            process.check_alive()
        used = {part: cpu_ns([pid]) - before[part] for part, pid in parts.items()}
    costs = {part: ns / 1e6 / measured_s for part, ns in used.items()}
    return {**costs, "all": sum(costs.values())}


def parts_of(root: int) -> dict[int, str]:
    """What part of an installation each process is that `root` has started, by its pid."""
    return {pid: part_of(command_line(pid).replace("\0", " ")) for pid in _children(root)}


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
