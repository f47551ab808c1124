"""The page of all figures beside each other, and the numbers to reach for a terminal. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.bench.killed import CLIENTS, KILLED, KILLS, PROVIDERS
from tests.bench.neutral import BOUNDS_MS, NEUTRAL, STREAM_DELAY_MS
from tests.bench.results import Results
from tests.bench.spread import Spread, difference
from tests.bench.systems import (
    BARE,
    DIRECT,
    INSTALLED,
    LITELLM,
    NGINX,
    PORTKEY,
    POSTGRES,
    WEIR,
)
from tests.bench.targets import IDLE, MEMORY, Judged, all_targets, per_unit, steepening
from tests.bench.works import (
    BODIES,
    INSTALLED_WORK,
    OPEN_STREAMS,
    PACED,
    PLAIN,
    STREAMS,
    WORKS,
    Work,
)

_COLUMNS = (WEIR, NGINX, PORTKEY, LITELLM)

_METHOD = """\
- The load client, a fake provider and the measured system run on one machine, and communicate over
  its loopback interface. The client keeps its connections open. The CPU time of the client and of
  the provider is not counted.
- In each round, the benchmark measures one workload on one system at a time. The order of the
  systems changes from round to round. Ratios and differences compare figures of the same round.
- In the workloads *plain* and *body* (requests with a body of a certain size), the answers are not
  streamed. The other workloads are streams. The bodies are sent over 4 connections, the streams of
  16 to 4,096 chunks over 2, the chunks 10 ms apart over 8, and the other streams over 32. *direct*
  means that the client sends its requests to the provider without a system in between.
- CPU per request is the processor time that the kernel counted for all processes and threads of a
  system, divided by the number of answers. A slot is the time in which one workload runs on one
  system. The count begins with the first request of a slot, and ends a quarter of a second after
  the last answer. A busy machine raises these figures. Compare figures only with figures of
  the same run.
- Weir runs as one web process, started as in production. Postgres writes each commit to this
  machine's disk (`fsync`). The figures include the CPU time of the web process and of Postgres. The
  client's key belongs to an organisation with a balance. For each request, Weir writes a hold
  (reserved amount), an attempt (one request to the provider), a posting in the ledger and a usage
  record. The worker and the scheduler, which aggregate usage, do not run.
- *{installed}* means everything that `make run` starts, with a separate database for this
  measurement: a web process, Postgres, a worker with the scheduler, and the local model, which gets
  no requests. To get the CPU per request, we add up the CPU time that all these processes use from
  the first request until the usage of all requests is in the rollups. We subtract the CPU time that
  they use in a period of equal length without requests, and divide the difference by the number of
  requests.
- *Postgres, in the background* is the part of Postgres's CPU time that its background processes
  use, for example for checkpoints, vacuuming and the write-ahead log. These processes work in
  bursts, and not for each request.
- *{bare}* is Weir's web process without its accounting. Only the benchmark can start the process in
  this way. In *Weir by process*, the difference between the columns *web process* and *{bare}* is
  the cost of accounting in the web process.
- nginx runs with one worker. As in `deploy/nginx`, it does not buffer. LiteLLM's proxy runs with
  its documented production settings, one worker, a master key and no database. LiteLLM's limit of
  500 concurrent requests to one provider is raised to 4,000. Portkey's gateway runs its own server
  in production mode. None of these three systems does accounting.
- The delay of a chunk is the time between the moment when the provider writes the chunk and the
  moment when the client receives it. The provider and the client use the same clock. To get the
  delay that a system adds, subtract the delay of a direct connection.
- In a *burst*, the provider writes each chunk separately, without pausing. In *one piece*, the
  provider writes all chunks at once.
- The memory for a stream is measured on a fresh system. The client opens all streams and waits for
  the first chunk of each stream. The figure is the increase of the system's memory, divided by the
  number of streams. Memory means the proportional set size, in which memory that processes share
  counts once. Socket buffers belong to the kernel and are not included.
- *As public comparisons define it*: the requests per second at each limit of the 99th percentile
  come from one series of measurements with 1 to 256 connections. A stream counts as clean if at
  least 99 % of its chunks arrive before the provider writes the next chunk. The benchmark tried 8
  to 256 streams at once, and doubled the number each time. The benchmark measured the memory of all
  processes of a fresh system three times: while the system was idle, at the highest point of a
  minute of load at 32 connections, and 20 seconds after the load. The memory for each minute of
  load is the growth per minute after the first third of the load.
- *Killed in the middle*: clients stream, call tools and repeat requests. Meanwhile, one of two web
  processes is killed with SIGKILL, again and again, and starts again each time. The benchmark
  compares Weir's records with the records of the fake provider. *With look-up*, Weir can ask the
  provider for the cost of a request that a kill interrupted. *Without look-up*, Weir charges what
  it had counted at the last mark (when it last saved the progress of the stream). The table has no
  figures for the other systems. nginx and Portkey's gateway do not record spend. LiteLLM records
  spend only in a database, and downloads the engine for this database from a place that the
  benchmark cannot reach.
- The benchmark counts only correct answers. If a slot contains a rejected or incomplete answer, the
  benchmark measures the slot again. If the slot fails twice, the table shows no figure for it.
- The client, the provider and the system share the cores of the machine, which limits the requests
  per second. The figures compare the systems, and do not promise a speed."""


@dataclass(frozen=True)
class About:
    """What a report says of its run."""

    date: str
    machine: str
    others: str
    rounds: int
    versions: str
    sync_us: float
    books: str
    minutes: float


def render(results: Results, about: About) -> str:
    """The whole document, as Markdown."""
    return (
        "\n\n".join(
            [
                "# Performance",
                "*For everyone who compares gateways or sizes a machine.*",
                "`make bench` writes the sections up to *Method* in about half an hour. The "
                "figures of the later sections come from other measurements, which these sections "
                "describe.",
                _about(results, about),
                "## CPU per request, µs",
                "Each figure is the CPU time of all processes of a system together, divided by the "
                "number of requests. A figure is the median of the rounds, and the brackets "
                "contain the lowest and the highest figure of these rounds. The sign – stands for "
                "a figure that was not measured. [Method](#method) explains the rows and the "
                "columns.",
                _by_system(results, WORKS, "cpu_us", _COLUMNS),
                "## Weir by process",
                _ours(results),
                "## As installed",
                _installed(results),
                "## Requests per second and latency",
                _by_system(results, WORKS, "rate", (DIRECT, *_COLUMNS)),
                "The next table shows the latency in ms: first its median, and after the slash its "
                "99th percentile.",
                _latencies(results, PLAIN.values()),
                "## Delay of a chunk, µs",
                _delays(results),
                "## Memory",
                _memory(results),
                "## As public comparisons define it",
                "In the rows *99th percentile at most … ms*, the sign – means that the system "
                "exceeded this limit in every measurement.",
                _neutral(results),
                "## Killed in the middle",
                _killed(results),
                "## Growth",
                "The table shows the CPU time of each further chunk of an answer, and of each "
                "further KB of a request's body. The first column contains the two sizes between "
                "which the time was measured.",
                _growth(results),
                "## Method",
                _METHOD.format(bare=BARE, installed=INSTALLED),
                "",
            ]
        ).rstrip("\n")
        + "\n"
    )


def summary(results: Results) -> str:
    """The numbers to reach, for a terminal."""
    return _targets(all_targets(results))


def _about(results: Results, about: About) -> str:
    lines = [
        f"- We measured on {about.date}, in {about.rounds} rounds, which took "
        f"{about.minutes:.0f} minutes; {about.others}.",
        f"- The machine has {about.machine}. Writing a page of 8 KB to the disk takes "
        f"{about.sync_us:,.0f} µs.",
        f"- The versions are {about.versions}.",
        f"- Afterwards, Weir's accounting contained {about.books}.",
    ]
    lines += [f"- {name} was not measured: {why}." for name, why in results.missing.items()]
    lines += [f"- Measured on the second try: {what}" for what in results.repeated]
    for (work, name), why in results.failed.items():
        lines.append(f"- {name} failed at *{work}* and has no figure there: {why}")
    return "\n".join(lines)


def _targets(judged: Sequence[Judged]) -> str:
    return _table(
        ("Workload", "Target", "Measured", ""),
        [(row.work, row.wanted, _row_text(row), row.verdict) for row in judged],
    )


def _row_text(row: Judged) -> str:
    if row.measured is None:
        return "not measured"
    unit = "×" if row.unit == "×" else f" {row.unit}"
    return _show(row.measured, unit)


def _by_system(results: Results, works: Iterable[Work], figure: str, systems: Sequence[str]) -> str:
    rows = [
        (work.name, *(_cell(results.spread(work.name, name, figure)) for name in systems))
        for work in works
    ]
    return _table(("", *systems), rows)


def _ours(results: Results) -> str:
    rows = []
    for work in WORKS:
        parts = [
            results.spread(work.name, WEIR, f"cpu_us.{part}")
            for part in ("web", POSTGRES, "background")
        ]
        bare = results.spread(work.name, BARE, "cpu_us.web")
        rows.append((work.name, *map(_cell, (*parts, bare))))
    heads = ("web process", "Postgres", "Postgres, in the background", BARE)
    return _table(("CPU per request, µs", *heads), rows)


def _installed(results: Results) -> str:
    figures = {
        f"{INSTALLED_WORK.name}: CPU per request, µs": (INSTALLED_WORK.name, "cpu_us"),
        "idle: CPU, % of a core": (IDLE, "cpu_percent"),
        "idle: memory, MB": (IDLE, "memory_mb"),
    }
    rows = [
        (name, _cell(results.spread(work, INSTALLED, figure)))
        for name, (work, figure) in figures.items()
    ]
    return _table(("", INSTALLED), rows)


def _latencies(results: Results, works: Iterable[Work]) -> str:
    systems = (DIRECT, *_COLUMNS)
    rows = []
    for work in works:
        cells = []
        for name in systems:
            middle = results.spread(work.name, name, "median_us")
            late = results.spread(work.name, name, "p99_us")
            both = "–"
            if middle is not None and late is not None:
                both = f"{_number(middle.median / 1e3)} / {_number(late.median / 1e3)}"
            cells.append(both)
        rows.append((work.name, *cells))
    return _table(("", *systems), rows)


def _delays(results: Results) -> str:
    systems = (DIRECT, *_COLUMNS)
    rows = [
        (name, *(_cell(results.spread(PACED.name, system, figure)) for system in systems))
        for name, figure in (("median", "delay_us"), ("99th percentile", "delay_p99_us"))
    ]
    return _table(("", *systems), rows)


def _memory(results: Results) -> str:
    first, last = OPEN_STREAMS
    figures = {
        "with no stream, MB": ("idle_kb", 1024.0),
        f"for each of {first:,} streams, KB": (f"kb_at_{first}", 1.0),
        f"for each of {last:,} streams, KB": (f"kb_at_{last}", 1.0),
        f"for each stream from number {first + 1:,} to number {last:,}, KB": ("kb_growth", 1.0),
    }
    columns = [(WEIR, "web"), (WEIR, "postgres"), *((name, "all") for name in _COLUMNS[1:])]
    rows = []
    for name, (figure, unit) in figures.items():
        cells = []
        for system, part in columns:
            result = results.spread(MEMORY, system, f"{figure}.{part}")
            cells.append(_cell(result and Spread(*(value / unit for value in result))))
        rows.append((name, *cells))
    heads = (f"{WEIR}: web process", f"{WEIR}: Postgres", *_COLUMNS[1:])
    return _table(("", *heads), rows)


def _neutral(results: Results) -> str:
    systems = (DIRECT, *_COLUMNS)
    figures = {
        f"requests per second, 99th percentile at most {bound} ms": f"rate_at.{bound}"
        for bound in BOUNDS_MS
    } | {
        f"clean streams at once, 64 chunks {STREAM_DELAY_MS} ms apart": "clean",
        "memory, idle, MB": "idle_mb",
        "memory under load, MB": "loaded_mb",
        "memory after the load, MB": "rested_mb",
        "memory for each minute of load, MB": "mb_per_minute",
    }
    one, few = PLAIN[1].name, PLAIN[8].name
    late = {name: results.rounds(one, name, "p99_us") for name in systems}
    added = [
        difference(late[name], late[DIRECT]) if late[name] and late[DIRECT] else None
        for name in _COLUMNS
    ]
    rows = [
        (f"{few}: CPU per request, µs", *(
            _cell(results.spread(few, name, "cpu_us")) for name in systems
        )),
        (f"{one}: added to the 99th percentile, µs", "–", *map(_cell, added)),
        *(
            (text, *(_cell(results.spread(NEUTRAL, name, figure)) for name in systems))
            for text, figure in figures.items()
        ),
    ]  # fmt: skip
    return _table(("", *systems), rows)


def _killed(results: Results) -> str:
    figures = {
        "attempts that the provider served": ("served", 1.0),
        "attempts that a kill cut": ("cut", 1.0),
        "attempts without a record": ("lost", 1.0),
        "attempts settled twice": ("twice", 1.0),
        "cost by the provider's count, µUSD": ("provider_nano", 1e3),
        "cost charged to customers, µUSD": ("customer_nano", 1e3),
        "cost borne by the platform, µUSD": ("platform_nano", 1e3),
        "cost after the last mark of a cut answer, µUSD": ("unknown_nano", 1e3),
    }
    rows = []
    for text, (figure, unit) in figures.items():
        values = [results.rounds(KILLED, provider, figure) for provider in PROVIDERS]
        rows.append((text, *(f"{one[0] / unit:,.0f}" if one else "–" for one in values)))
    return _table((f"{KILLS} SIGKILLs under {CLIENTS} clients", *PROVIDERS), rows)


def _growth(results: Results) -> str:
    rows = []
    for unit, works in (("chunk", STREAMS), ("KB of a body", BODIES)):
        sizes = list(works)
        steps = [f"from {a:,} to {b:,}" for a, b in pairwise(sizes)]
        for number, step in enumerate(steps):
            cells = []
            for name in _COLUMNS:
                result = per_unit(results, name, works)
                cells.append("–" if result is None else _number(result[number]))
            rows.append((f"µs per {unit}, {step}", *cells))
        steep = [_cell(steepening(results, name, works)) for name in _COLUMNS]
        rows.append((f"per {unit}: larger sizes divided by smaller sizes", *steep))
    return _table(("", *_COLUMNS), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(spread: Spread | None) -> str:
    return "–" if spread is None else _show(spread)


def _show(spread: Spread, unit: str = "") -> str:
    if spread.low == spread.high:
        return f"{_number(spread.median)}{unit}"
    return f"{_number(spread.median)}{unit} ({_number(spread.low)}–{_number(spread.high)})"


def _number(value: float) -> str:
    """Three digits that mean something.

    >>> [_number(value) for value in (0.0123, 1.234, 12.34, 123.4, 12345.6)]
    ['0.01', '1.23', '12.3', '123', '12,300']
    """
    if abs(value) >= 1000:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )
