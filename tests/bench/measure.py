"""One slot: a load on one system, and what it cost."""

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from tests.bench.client import Taken, run
from tests.bench.open_streams import hold_open
from tests.bench.process import background_ns, cpu_ns, memory_kb
from tests.bench.spread import median, quantile
from tests.bench.systems import DIRECT, POSTGRES, Ground, System
from tests.bench.works import OPEN_STREAMS, Pace, Work

_HELD = (
    b'{"model":"%b","stream":true,"messages":[{"role":"user","content":"hello #tokens=3 #hold=1"}]}'
)

Figures = Mapping[str, float]


def slot(ground: Ground, system: System, work: Work, pace: Pace) -> Figures:
    """Warm up, measure, and forget. Times in microseconds, `cpu_us` per request of each part and
    in all, and of what Postgres does in the background; `rate` in requests per second."""
    servers = [part.roots[0] for part in system.parts if part.name == POSTGRES]

    def look() -> list[int]:
        return [
            *(cpu_ns(part.roots) for part in system.parts),
            *(background_ns(server) for server in servers),
        ]

    ground.fake.reset()
    taken = run(system.target, pace.load(work, system.target.model), look)
    latencies = taken.latencies
    figures = {
        "rate": taken.count / taken.seconds,
        "median_us": median(latencies) / 1e3,
        "p99_us": quantile(latencies, 0.99) / 1e3,
        "requests": float(taken.count),
    }
    if system.name != DIRECT:
        used = [(end - start) / 1e3 / taken.count for start, end in zip(*taken.seen, strict=True)]
        names = [part.name for part in system.parts]
        figures["cpu_us"] = sum(used[: len(names)])
        # It is in that of Postgres already.
        names += ["background" for _ in servers]
        for name, cpu_us in zip(names, used, strict=True):
            figures[f"cpu_us.{name}"] = cpu_us
    if work.kind == "paced":
        late = delays(ground, taken)
        figures["delay_us"] = median(late) / 1e3
        figures["delay_p99_us"] = quantile(late, 0.99) / 1e3
    return figures


def delays(ground: Ground, taken: Taken) -> list[int]:
    """Nanoseconds from the provider's writing of each chunk to its arrival; one clock for both."""
    rows: dict[int, Any] = {row["seq"]: row for row in ground.fake.books()}
    return [
        came - left
        for number, arrivals in taken.arrivals.items()
        for left, came in zip(rows[number]["chunk_times"], arrivals, strict=True)
    ]


def memory(ground: Ground, system: System) -> Figures:
    """Kilobytes for each open stream, from none to each number of them, of each part."""
    results: dict[str, float] = {}
    # What is loaded at a first request belongs to no stream.
    _warm_streams(ground, system)
    seen: dict[str, list[float]] = {part.name: [] for part in system.parts}

    def look() -> float:
        for part in system.parts:
            seen[part.name].append(memory_kb(part.roots))
        return sum(values[-1] for values in seen.values())

    body = _HELD % system.target.model.encode()
    hold_open(system.target, body, OPEN_STREAMS, look, ground.fake.release)
    for part, (none, *levels) in seen.items():
        results[f"idle_kb.{part}"] = none
        for number, level in zip(OPEN_STREAMS, levels, strict=True):
            results[f"kb_at_{number}.{part}"] = (level - none) / number
        first, last = OPEN_STREAMS
        results[f"kb_growth.{part}"] = (levels[1] - levels[0]) / (last - first)
    ground.fake.reset()
    return results


def _warm_streams(ground: Ground, system: System) -> None:
    body = _HELD.replace(b" #hold=1", b"") % system.target.model.encode()
    for _ in range(20):
        with closing(HTTPConnection("127.0.0.1", system.target.port, timeout=60)) as connection:
            headers = {"Content-Type": "application/json", **dict(system.target.headers)}
            connection.request("POST", system.target.path, body, headers)
            connection.getresponse().read()
