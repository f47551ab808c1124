"""CPU of a stream whose answer three guards check beside the same without guards.

    make bench-guards-cpu    some minutes; prints a table

Two organisations ask Weir as a user installs it for streams whose chunks come one by one, in turns
of some seconds: one without a policy, and one whose policy has the guards email, card and iban.
CPU is of the web process, and of all processes but the local model until the usage is summed up.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import hub, machine
from tests.bench.client import Load, Target, run
from tests.bench.idle import parts_of
from tests.bench.installed import Installation, installed
from tests.bench.process import cpu_clock, cpu_ns
from tests.bench.provider import started_provider
from tests.bench.spread import quantile
from tests.bench.systems import Ground
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, guards_of

KINDS: Final = ("off", "on")
_CHUNKS: Final = 64
_APART_MS: Final = 20
_CONNECTIONS: Final = 32
_SECONDS: Final = 6.0


class Figures(NamedTuple):
    """Microseconds of CPU for each stream."""

    web_us: float
    all_us: float


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-guards-cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--chunks", type=int, default=_CHUNKS)
    asked = parser.parse_args(argv)
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="guards-") as name:
        folder = Path(name)
        with (
            started_provider(folder) as fake,
            installed(Ground(fake, "", 0, folder)) as installation,
        ):
            results = measure(installation, fake, asked.rounds, asked.chunks)
            installation.hub.assert_books_balance()
    sys.stdout.write(f"{render(results)}\n\n{asked.chunks} chunks; {machine.machine_line()}; ")
    sys.stdout.write(f"{others.line()}. Every invariant of money held.\n")


def measure(
    installation: Installation, fake: FakeUpstream, rounds: int, chunks: int
) -> dict[str, list[Figures]]:
    """The figures of each kind, round by round."""
    books = installation.hub
    model, guarded = books.model(fake), GuardedHub(books)
    off, on = books.tenant(hub.CREDIT_USD), books.tenant(hub.CREDIT_USD)
    guarded.guard(on, *guards_of("email", "card", "iban"))
    books.bump()
    content = f"hello #tokens={chunks} #delay_ms={_APART_MS}"
    body = json.dumps(
        {"model": model, "stream": True, "messages": [{"role": "user", "content": content}]}
    ).encode()
    load = Load(body, _CONNECTIONS, _SECONDS, events=chunks)
    web_ns, all_ns = _clocks(installation)
    results: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    # What a process does once is in the first turns.
    for number in range(-1, rounds):
        for kind, tenant in sorted(zip(KINDS, (off, on), strict=True), reverse=bool(number % 2)):
            fake.reset()
            target = Target(books.port, (("Authorization", f"Bearer {tenant.key}"),), model)
            installation.await_sums()
            of_web, of_all = web_ns(), all_ns()
            count = run(target, load).count
            of_web = web_ns() - of_web
            installation.await_sums()
            of_all = all_ns() - of_all
            figures = Figures(of_web / 1e3 / count, of_all / 1e3 / count)
            if number >= 0:
                results[kind].append(figures)
            sys.stderr.write(f"{number + 1} {kind}: {figures}, {count} streams\n")
    return results


def _clocks(installation: Installation) -> tuple[Callable[[], int], Callable[[], int]]:
    """What reads the CPU time of the web process, and of all processes but the local model."""
    parts = parts_of(installation.process.pid)
    (web,) = [pid for pid, part in parts.items() if part == "web process"]
    models = [pid for pid, part in parts.items() if part == "model"]
    return (
        lambda: time.clock_gettime_ns(cpu_clock(web)),
        lambda: cpu_ns(installation.roots) - cpu_ns(models),
    )


def render(results: Mapping[str, Sequence[Figures]]) -> str:
    """The table: microseconds a stream, and how many times those without guards, round by round."""
    rows: list[tuple[str, Sequence[float], int]] = []
    for name, field in (("web process", "web_us"), ("all processes", "all_us")):
        off, on = ([getattr(one, field) for one in results[kind]] for kind in KINDS)
        rows += [(f"{name}, guards off, µs", off, 0), (f"{name}, guards on, µs", on, 0)]
        more = [two - one for one, two in zip(off, on, strict=True)]
        times = [two / one for one, two in zip(off, on, strict=True)]
        rows += [(f"{name}, more, µs", more, 0), (f"{name}, times", times, 3)]
    return "\n".join(
        [
            "| CPU of a stream | lower quartile | median | upper quartile |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name} | "
                + " | ".join(f"{quantile(of, share):,.{digits}f}" for share in (0.25, 0.5, 0.75))
                + " |"
                for name, of, digits in rows
            ),
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
