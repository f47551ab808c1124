"""What public comparisons of gateways ask for, by their definitions.

Each system is asked by itself. One sweep over numbers of connections gives the requests per second
at a bound of the 99th percentile; a stream is clean while nearly all of its chunks arrive before
the provider writes the next one; memory is that of a fresh system before, during and after a load.
"""

import time
from typing import Final

from tests.bench.client import Load, run
from tests.bench.measure import Figures, delays, slot
from tests.bench.process import memory_kb
from tests.bench.spread import quantile
from tests.bench.systems import Ground, System
from tests.bench.works import PLAIN, Pace, paced, plain

NEUTRAL: Final = "neutral"
BOUNDS_MS: Final = (1, 5, 10, 50, 100)
STREAM_DELAY_MS: Final = 20
_CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_STREAMS: Final = (8, 16, 32, 64, 128, 256)
_IN_TIME: Final = 0.99
_MEMORY_SLOTS: Final = 12
_MEMORY_SLOT_S: Final = 5.0
_REST_S: Final = 20.0


def sweep(ground: Ground, system: System, pace: Pace) -> Figures:
    """Return `rate_at.MS`: the most requests per second with a 99th percentile of at most MS
    milliseconds. A bound that no number of connections keeps is missing."""
    best: dict[str, float] = {}
    for connections in _CONNECTIONS:
        figures = slot(ground, system, plain(connections), pace)
        late_ms = figures["p99_us"] / 1e3
        for bound in BOUNDS_MS:
            if late_ms <= bound:
                name = f"rate_at.{bound}"
                best[name] = max(best.get(name, 0.0), figures["rate"])
        if late_ms > BOUNDS_MS[-1]:
            break
    return best


def clean_streams(ground: Ground, system: System, pace: Pace) -> Figures:
    """Return `clean`: how many streams at once are whole and in time, 0 if not even the fewest."""
    most = 0
    for number in _STREAMS:
        ground.fake.reset()
        work = paced(number, delay_ms=STREAM_DELAY_MS)
        taken = run(system.target, pace.load(work, system.target.model))
        if quantile(delays(ground, taken), _IN_TIME) > STREAM_DELAY_MS * 1e6:
            break
        most = number
    return {"clean": float(most)}


def memory_course(ground: Ground, system: System) -> Figures:
    """Return megabytes of a fresh system: `idle_mb`, `loaded_mb` (the most), `rested_mb` some time
    after the load, and `mb_per_minute` of the load once it is warm."""

    def megabytes() -> float:
        return sum(memory_kb(part.roots) for part in system.parts) / 1024

    work = PLAIN[32]
    load = Load(work.body(system.target.model), work.connections, _MEMORY_SLOT_S)
    idle_mb = megabytes()
    loaded = []
    for _ in range(_MEMORY_SLOTS):
        run(system.target, load)
        ground.fake.reset()
        loaded.append((time.monotonic(), megabytes()))
    time.sleep(_REST_S)
    (began, first_mb), (ended, last_mb) = loaded[_MEMORY_SLOTS // 3], loaded[-1]
    return {
        "idle_mb": idle_mb,
        "loaded_mb": max(mb for _, mb in loaded),
        "rested_mb": megabytes(),
        "mb_per_minute": (last_mb - first_mb) / (ended - began) * 60,
    }
