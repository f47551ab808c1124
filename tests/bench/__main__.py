"""Our relay beside nginx, LiteLLM's proxy and Portkey's gateway, measured in one run.

    make bench              about half an hour; writes docs/background/performance.md
    make bench QUICK=1      about three minutes; prints the numbers to reach

Exit codes: 0 measured (met or not), 1 something of ours failed, 2 the machine lacks what is needed.
"""

import argparse
import datetime
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType

from tests.bench import hub, machine, peers
from tests.bench.client import run
from tests.bench.installed import idle, installed, loaded
from tests.bench.killed import KILLED, PROVIDERS, kill_in_the_middle
from tests.bench.measure import Figures, memory, slot
from tests.bench.neutral import NEUTRAL, clean_streams, memory_course, sweep
from tests.bench.page import PAGE, with_kept
from tests.bench.process import BenchError
from tests.bench.provider import started_provider
from tests.bench.report import About, render, summary
from tests.bench.results import Results
from tests.bench.systems import DIRECT, INSTALLED, NGINX, OPENERS, PEERS, WEIR, Ground, System
from tests.bench.targets import IDLE, MEMORY
from tests.bench.works import FULL, INSTALLED_WORK, OPEN_STREAMS, QUICK, WORKS, Pace

_FILES_NEEDED = 3 * max(OPEN_STREAMS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--quick", action="store_true", help="three minutes, nothing is written")
    parser.add_argument("--out", type=Path, default=PAGE, help="where the report is written")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    try:
        _raise_file_limit()
        return _bench(
            QUICK if arguments.quick else FULL, None if arguments.quick else arguments.out
        )
    except (BenchError, AssertionError) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _leave(number: int, frame: FrameType | None) -> None:
    """Unwind, so that every process is ended."""
    sys.stderr.write(f"\nStopped by {signal.Signals(number).name}.\n")
    sys.exit(128 + number)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES_NEEDED:
        if hard != resource.RLIM_INFINITY and hard < _FILES_NEEDED:
            raise BenchError(f"{_FILES_NEEDED} open files are needed, the limit is {hard}.")
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_NEEDED, hard))


def _bench(pace: Pace, out: Path | None) -> int:
    began = time.monotonic()
    results = Results()
    _install_peers(results)
    hub.make_secrets()
    with tempfile.TemporaryDirectory(prefix="run-", dir=peers.cache()) as name:
        folder = Path(name)
        sync_us = machine.sync_us(folder)
        with started_provider(folder) as fake, hub.database(folder) as (dsn, postgres):
            ground = Ground(fake, dsn, postgres, folder)
            others = machine.Others()
            version, books = _measure_all(ground, results, pace, began + pace.seconds)
            line = others.line()
    about = About(
        datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        machine.machine_line(),
        line,
        results.round_count,
        machine.versions(results.missing, version),
        sync_us,
        books,
        (time.monotonic() - began) / 60,
    )
    _say(summary(results))
    if out is None:
        _say(f"\n{render(results, about)}")
    else:
        before = out.read_text() if out.exists() else ""
        out.write_text(with_kept(render(results, about), before))
        _say(f"\nWritten to {out}")
    return 0


def _install_peers(results: Results) -> None:
    _say("Looking for nginx, LiteLLM and Portkey; a first time installs them …")
    for name, find in zip(PEERS, (peers.nginx, peers.litellm, peers.portkey), strict=True):
        try:
            find()
        except peers.Missing as why:
            results.missing[name] = str(why)
            _say(f"  {name} is not measured: {why}")


def _measure_all(ground: Ground, results: Results, pace: Pace, until: float) -> tuple[str, str]:
    """Fill the results; the version of Postgres, and what the books say when all is over."""
    names = [name for name in OPENERS if name not in results.missing]
    with ExitStack() as stack:
        systems: dict[str, System] = {}
        for name in names:
            _say(f"Starting {name} …")
            systems[name] = stack.enter_context(OPENERS[name](ground))
        for system in systems.values():
            for load in pace.first_warming(system.target.model):
                run(system.target, load)
        # A third of the time is kept for memory.
        for number in _rounds(pace.rounds, until - pace.seconds / 3):
            _say(f"Round {number + 1}")
            _round(ground, systems, results, pace, number)
            results.round_count = number + 1
        if not pace.quick:
            for name in (DIRECT, *PEERS, WEIR):
                if name in systems:
                    _neutral(ground, results, systems[name], pace)
    held = [NGINX, WEIR] if pace.quick else [*PEERS, WEIR]
    for number in _rounds(pace.memory_rounds, until):
        _say(f"Memory, round {number + 1}")
        for name in held:
            if name in names and (MEMORY, name) not in results.failed:
                _memory(ground, results, name)
    if not pace.quick:
        for name in held:
            if name in names and (NEUTRAL, name) not in results.failed:
                figures = _fresh(ground, results, NEUTRAL, name, memory_course)
                _say(f"  {NEUTRAL}: {name} {figures}")
        for name, provider in PROVIDERS.items():
            measure = partial(kill_in_the_middle, ground.folder, ground.fake, provider)
            figures = _tried(results, KILLED, name, measure)
            results.add(KILLED, name, figures or {})
            _say(f"{KILLED}, {name}: {figures}")
    _tried(results, IDLE, INSTALLED, partial(_installed, ground, results, pace))
    with hub.web(hub.Web, ground.dsn) as web:
        (row,) = web.rows("SHOW server_version")
        return str(row["server_version"]), hub.books_line(web)


def _rounds(bounds: tuple[int, int], until: float) -> Iterator[int]:
    """Numbers of rounds: the fewest in any case, more while another like the longest fits."""
    fewest, most = bounds
    longest = 0.0
    for number in range(most):
        began = time.monotonic()
        if number >= fewest and began + longest > until:
            return
        yield number
        longest = max(longest, time.monotonic() - began)


def _round(
    ground: Ground, systems: dict[str, System], results: Results, pace: Pace, number: int
) -> None:
    for work in WORKS:
        able = [name for name in pace.systems(work) if (work.name, name) not in results.failed]
        names = [name for name in able if name in systems]
        messages = []
        for name in _turned(names, number):
            figures = _tried(
                results, work.name, name, partial(slot, ground, systems[name], work, pace)
            )
            if figures is None:
                continue
            results.add(work.name, name, figures)
            messages.append(f"{name} {figures.get('cpu_us', figures['median_us']):,.0f}")
        _say(f"  {work.name}: {', '.join(messages)} µs")


def _neutral(ground: Ground, results: Results, system: System, pace: Pace) -> None:
    """What public comparisons ask of a system, once."""
    for measure in (sweep, clean_streams):
        figures = _tried(results, NEUTRAL, system.name, partial(measure, ground, system, pace))
        results.add(NEUTRAL, system.name, figures or {})
        _say(f"  {NEUTRAL}: {system.name} {figures}")


def _fresh(
    ground: Ground,
    results: Results,
    work: str,
    name: str,
    measure: Callable[[Ground, System], Figures],
) -> Figures | None:
    """Measure a system that was just started."""

    def started() -> Figures:
        with OPENERS[name](ground) as system:
            return measure(ground, system)

    figures = _tried(results, work, name, started)
    results.add(work, name, figures or {})
    return figures


def _memory(ground: Ground, results: Results, name: str) -> None:
    figures = _fresh(ground, results, MEMORY, name, memory)
    if figures is None:
        return
    at = f"kb_at_{OPEN_STREAMS[-1]}."
    messages = [
        f"{part[len(at) :]} {kb:.0f}" for part, kb in figures.items() if part.startswith(at)
    ]
    _say(f"  {name}: {', '.join(messages)} KB for each of {OPEN_STREAMS[-1]:,} streams")


def _installed(ground: Ground, results: Results, pace: Pace) -> Figures:
    """What it uses while nobody asks; then, in each round, what a request costs there."""
    with installed(ground) as installation:
        # What was put off at the start is done, and what a first request loads is loaded.
        loaded(installation, pace, 0.0)
        result = idle(installation, pace.idle_s)
        results.add(IDLE, INSTALLED, result)
        _say(f"{INSTALLED}: {result['cpu_percent']:.2f} % of a core, {result['memory_mb']:.0f} MB")
        for _ in range(pace.rounds[0]):
            figures = loaded(installation, pace, result["cpu_percent"])
            results.add(INSTALLED_WORK.name, INSTALLED, figures)
            _say(f"  {INSTALLED_WORK.name}: {figures['cpu_us']:,.0f} µs")
    return result


def _turned(names: Sequence[str], by: int) -> list[str]:
    at = by % len(names)
    return [*names[at:], *names[:at]]


def _tried(
    results: Results, work: str, name: str, measure: Callable[[], Figures]
) -> Figures | None:
    """What was measured, at the first or second go; both failures are told in the report."""
    for last in (False, True):
        try:
            return measure()
        except BenchError as error:
            why = " ".join(str(error).split())[:300]
            _say(f"  {name} failed: {why}")
            if last:
                results.failed[work, name] = why
            else:
                results.repeated.append(f"{name}, {work}: {why}")
    return None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
