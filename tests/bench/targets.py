"""The numbers to reach, each held against what was measured. Pure."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from tests.bench.results import Results
from tests.bench.spread import Spread, difference, median, ratio, slopes, spread
from tests.bench.systems import BARE, DIRECT, INSTALLED, LITELLM, NGINX, PORTKEY, WEIR
from tests.bench.works import BODIES, BURST, OPEN_STREAMS, PACED, PLAIN, STREAMS, Work

MEMORY = "open streams"
IDLE = "nobody asks"
# What counts as constant: two costs that should be equal and were measured on a shared machine.
CONSTANT = 1.25

Verdict = Literal["met", "not met", "met, within the noise", "not met, within the noise", "unknown"]


class Judged(NamedTuple):
    """One target; `measured` is None where a system is missing."""

    work: str
    wanted: str
    measured: Spread | None
    unit: str
    verdict: Verdict


class _Bound(NamedTuple):
    at_least: bool
    value: float
    unit: str = "×"

    @property
    def wanted(self) -> str:
        number = f"{self.value:g}"
        number = f"{number}{self.unit}" if self.unit == "×" else f"{number} {self.unit}"
        return f"{'≥' if self.at_least else '≤'} {number}"


def judge(measured: Spread | None, *, at_least: bool, bound: float) -> Verdict:
    """The median decides; a spread that reaches over the bound is told.

    >>> judge(Spread(1.9, 1.8, 2.1), at_least=False, bound=2)
    'met, within the noise'
    """
    if measured is None:
        return "unknown"
    met = measured.median >= bound if at_least else measured.median <= bound
    if measured.low < bound < measured.high:
        return "met, within the noise" if met else "not met, within the noise"
    return "met" if met else "not met"


def all_targets(results: Results) -> list[Judged]:
    """Every target, in the order of the design."""
    return [*_against_peers(results), *_alone(results), *_growth(results)]


def _against_peers(results: Results) -> list[Judged]:
    def times(work: Work, more: str, less: str, bound: _Bound, what: str) -> Judged:
        result = _paired(results, work, (more, "cpu_us"), (less, "cpu_us"), ratio)
        return _judged(f"{work.name}: {what}", bound, result)

    plain = PLAIN[32]
    return [
        times(plain, LITELLM, WEIR, _Bound(True, 20), "CPU of LiteLLM / ours"),
        times(plain, PORTKEY, WEIR, _Bound(True, 2.6), "CPU of Portkey / ours"),
        times(BURST, WEIR, NGINX, _Bound(False, 2), "our CPU / nginx's"),
        times(BURST, LITELLM, WEIR, _Bound(True, 45), "CPU of LiteLLM / ours"),
        times(BURST, PORTKEY, WEIR, _Bound(True, 2), "CPU of Portkey / ours"),
        times(PACED, WEIR, NGINX, _Bound(False, 4), "our CPU / nginx's"),
        times(PACED, PORTKEY, WEIR, _Bound(True, 1), "CPU of Portkey / ours"),
        _judged(
            f"{PACED.name}: added delay of a chunk / nginx's",
            _Bound(False, 2.5),
            _ratio_of_added(results),
        ),
        _judged(
            f"{PACED.name}: added delay of a chunk",
            _Bound(False, 150, "µs"),
            _paired(results, PACED, (WEIR, "delay_us"), (DIRECT, "delay_us"), difference),
        ),
    ]


def _alone(results: Results) -> list[Judged]:
    one, many = PLAIN[1], PLAIN[128]
    web = _paired(results, many, (WEIR, "cpu_us.web"), (BARE, "cpu_us.web"), difference)
    return [
        _judged(
            f"{one.name}: latency added to an unloaded request, with accounting",
            _Bound(False, 800, "µs"),
            _paired(results, one, (WEIR, "median_us"), (DIRECT, "median_us"), difference),
        ),
        _judged(f"{many.name}: accounting in the web process", _Bound(False, 45, "µs"), web),
        *(
            _judged(
                f"{work.name}: accounting in Postgres",
                _Bound(False, bound, "µs"),
                results.spread(work.name, WEIR, "cpu_us.postgres"),
            )
            for work, bound in ((PLAIN[32], 80), (many, 60))
        ),
        _judged(
            f"{OPEN_STREAMS[-1]:,} open streams: memory of the web process per stream",
            _Bound(False, 30, "KB"),
            results.spread(MEMORY, WEIR, f"kb_at_{OPEN_STREAMS[-1]}.web"),
        ),
        _judged(
            f"{INSTALLED}, with nobody there: CPU, of a core",
            _Bound(False, 1, "%"),
            results.spread(IDLE, INSTALLED, "cpu_percent"),
        ),
        _judged(
            f"{INSTALLED}, with nobody there: memory, with the model",
            _Bound(False, 600, "MB"),
            results.spread(IDLE, INSTALLED, "memory_mb"),
        ),
    ]


def _growth(results: Results) -> list[Judged]:
    bound = _Bound(False, CONSTANT)
    most = PLAIN[2000]
    connections = None
    if results.has(most.name, WEIR):
        connections = ratio(
            results.rounds(most.name, WEIR, "cpu_us"),
            results.rounds(PLAIN[128].name, WEIR, "cpu_us"),
        )
    return [
        _judged(
            "CPU per further chunk: 256 to 4,096 chunks / 16 to 256",
            bound,
            steepening(results, WEIR, STREAMS),
        ),
        _judged(
            "CPU per further kilobyte: 100 KB to 1 MB / 1 to 100 KB",
            bound,
            steepening(results, WEIR, BODIES),
        ),
        _judged("CPU per request: 2,000 connections / 128", bound, connections),
    ]


def steepening(results: Results, system: str, works: "dict[int, Work]") -> Spread | None:
    """How many times dearer the last step of a size is, per unit, than the first: 1 = constant."""
    costs = [results.rounds(work.name, system, "cpu_us") for work in works.values()]
    if not all(costs):
        return None
    match_s = [slopes(list(works), at_one_time) for at_one_time in zip(*costs, strict=True)]
    return spread([last / first for first, last in match_s])


def per_unit(results: Results, system: str, works: "dict[int, Work]") -> list[float] | None:
    """The median CPU in µs of one more unit, for each step of the sizes."""
    costs = [results.rounds(work.name, system, "cpu_us") for work in works.values()]
    if not all(costs):
        return None
    return slopes(list(works), [median(cost) for cost in costs])


def _ratio_of_added(results: Results) -> Spread | None:
    rows = [results.rounds(PACED.name, name, "delay_us") for name in (WEIR, NGINX, DIRECT)]
    if not all(rows):
        return None
    return spread(
        [(ours - direct) / (nginx - direct) for ours, nginx, direct in zip(*rows, strict=True)]
    )


def _paired(
    results: Results,
    work: Work,
    one: tuple[str, str],
    other: tuple[str, str],
    how: Callable[[Sequence[float], Sequence[float]], Spread],
) -> Spread | None:
    first = results.rounds(work.name, *one)
    second = results.rounds(work.name, *other)
    return how(first, second) if first and second else None


def _judged(work: str, bound: _Bound, measured: Spread | None) -> Judged:
    verdict = judge(measured, at_least=bound.at_least, bound=bound.value)
    return Judged(work, bound.wanted, measured, bound.unit, verdict)
