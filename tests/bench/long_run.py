"""What an installation uses as its books grow: a long run, as fast as the machine allows.

    make bench-long REQUESTS=2000000     a line for each 100,000 requests, some minutes each

Plain requests over 32 connections. Memory is read after twenty seconds without requests, and
without the local model, which nobody asks. At the end: what the installation uses while nobody
asks, with all these requests in its books, and whether they balance.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench import hub, peers
from tests.bench.client import Load, run
from tests.bench.idle import parts_of
from tests.bench.installed import Installation, installed
from tests.bench.process import BenchError, cpu_ns, memory_kb
from tests.bench.provider import started_provider
from tests.bench.systems import Ground
from tests.bench.works import INSTALLED_WORK
from tests.fakes.upstream import FakeUpstream

STEP: Final = 100_000
_SLOTS: Final = 5
_STILL_S: Final = 20.0
_IDLE_S: Final = 120.0
_PARTS: Final = ("web process", "worker", "Postgres")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-long")
    parser.add_argument("--requests", type=int, default=20 * STEP)
    requests = parser.parse_args().requests
    hub.make_secrets()
    with tempfile.TemporaryDirectory(prefix="long-", dir=peers.cache()) as name:
        folder = Path(name)
        try:
            with (
                started_provider(folder) as fake,
                installed(Ground(fake, "", 0, folder)) as installation,
            ):
                _measure(installation, fake, requests)
        except (BenchError, AssertionError) as error:
            sys.stderr.write(f"\n{error}\n")
            return 1
    return 0


def _measure(installation: Installation, fake: FakeUpstream, requests: int) -> None:
    _row("requests", *(f"{part}, MB" for part in _PARTS), "all, MB", "per 10,000, MB", "a second")
    _row(*["---"] * (len(_PARTS) + 4))
    before = 0.0
    for asked in range(0, requests + 1, STEP):
        rate = _ask(installation, fake) if asked else 0.0
        installation.await_sums()
        time.sleep(_STILL_S)
        used = _of_each_part(installation, lambda pids: memory_kb(pids) / 1024)
        grown = (used["all"] - before) / (STEP / 10_000) if asked else 0.0
        _row(f"{asked:,}", *(f"{mb:.0f}" for mb in used.values()), f"{grown:+.2f}", f"{rate:,.0f}")
        before = used["all"]
    _print_idle(installation)
    installation.hub.assert_books_balance()
    sys.stdout.write("Every invariant of money holds.\n")


def _ask(installation: Installation, fake: FakeUpstream) -> float:
    """Ask STEP times. Return the requests per second."""
    target, connections = installation.target, INSTALLED_WORK.connections
    body = INSTALLED_WORK.body(target.model)
    load = Load(body, connections, times=STEP // _SLOTS // connections)
    began = time.monotonic()
    for _ in range(_SLOTS):
        run(target, load)
        fake.reset()
    return STEP / (time.monotonic() - began)


def _print_idle(installation: Installation) -> None:
    before = _of_each_part(installation, cpu_ns)
    time.sleep(_IDLE_S)
    for part, now in _of_each_part(installation, cpu_ns).items():
        used_ms = (now - before[part]) / 1e6 / _IDLE_S
        sys.stdout.write(f"{part}: {used_ms:.1f} ms of processor time a second\n")


def _of_each_part(
    installation: Installation, measure: Callable[[Sequence[int]], float]
) -> Mapping[str, float]:
    """What `measure` says of the processes of each part, and of `all` but the local model."""
    root, parts = installation.process.pid, parts_of(installation.process.pid)

    def of(name: str) -> float:
        return measure([pid for pid, part in parts.items() if part == name])

    return {**{name: of(name) for name in _PARTS}, "all": measure([root]) - of("model")}


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
