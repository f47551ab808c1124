"""The machine and the versions of what ran on it."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from config.version import VERSION
from tests.bench import peers
from tests.bench.process import busy_ns, cpu_ns
from tests.bench.spread import median

_WRITES = 200
_PAGE = bytes(8192)


def machine_line() -> str:
    """Cores, processor, kernel, memory."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    name = names[0] if names else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {name}, {memory_gb:.0f} GB of memory, and Linux {platform.release()}"


class Others:
    """How much of the machine was used by what is not the bench, since this was made."""

    def __init__(self) -> None:
        self._began = self._look()

    @staticmethod
    def _look() -> tuple[int, int, int]:
        busy, stolen = busy_ns()
        return time.monotonic_ns(), busy - cpu_ns([os.getpid()]), stolen

    def line(self) -> str:
        passed, busy, stolen = (
            now - then for now, then in zip(self._look(), self._began, strict=True)
        )
        whole = passed * len(os.sched_getaffinity(0))
        return (
            f"meanwhile, other programs used {max(busy, 0) / whole:.0%} of the processor time, "
            f"and other machines on the same host used {stolen / whole:.0%}"
        )


def sync_us(folder: Path) -> float:
    """The median time in which a page of Postgres's size reaches this folder's disk."""
    times = []
    file = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(_WRITES):
            began = time.perf_counter_ns()
            os.pwrite(file, _PAGE, 0)
            os.fdatasync(file)
            times.append(time.perf_counter_ns() - began)
    finally:
        os.close(file)
    return median(times) / 1e3


def versions(missing: dict[str, str], postgres: str) -> str:
    """Weir and its parts by their numbers."""
    ours = [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools")]
    results = [f"Weir {VERSION}", f"Python {platform.python_version()}", *ours]
    results.append(f"PostgreSQL {postgres}")
    if "nginx" not in missing:
        results.append(f"nginx {peers.nginx_version()}")
    if "LiteLLM" not in missing:
        results.append(f"LiteLLM {peers.LITELLM}")
    if "Portkey" not in missing:
        results.append(
            f"Portkey gateway {peers.PORTKEY} on @hono/node-server {peers.PORTKEY_SERVER} "
            f"and Node.js {peers.node_version()}"
        )
    return ", ".join(results)
