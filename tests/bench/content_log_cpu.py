"""CPU of a request of 4 KB with the content log on beside the same with it off.

    make bench-content-log-cpu    some minutes; prints a table

Two organisations ask the same web process in turns of some seconds: one without a rule of the
content log, and one of which everything is kept. A turn is over when every entry of it is written.
The provider takes its time, so that both ask equally often: a process with more to do shares its
transactions with more requests.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from lib.ids import new_id
from tests.bench import hub, machine
from tests.bench.client import Load, Target, run
from tests.bench.process import background_ns, cpu_clock, cpu_ns, memory_kb, tree
from tests.bench.provider import started_provider
from tests.bench.spread import Spread, median, spread
from tests.support.hub import Tenant

KINDS: Final = ("off", "on")
_PROMPT: Final = "river stone " * 340
_CONNECTIONS: Final = 16
_FIRST_MS: Final = 100
_SECONDS: Final = 4.0
_WARM_S: Final = 1.0
# An entry is written within a second.
_STILL_S: Final = 1.5


class Figures(NamedTuple):
    """Microseconds of CPU for each request."""

    web_us: float
    children_us: float
    database_us: float
    requests: int


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-content-log-cpu")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args(argv).rounds
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="content-log-") as name, ExitStack() as stack:
        dsn, postgres = stack.enter_context(hub.database(Path(name)))
        fake = stack.enter_context(started_provider(Path(name)))
        web = stack.enter_context(hub.web(hub.Web, dsn))
        model = web.model(fake)
        off, on = web.tenant(hub.CREDIT_USD), web.tenant(hub.CREDIT_USD)
        keep_everything(web, on)
        targets = {
            kind: Target(web.port, (("Authorization", f"Bearer {tenant.key}"),), model)
            for kind, tenant in zip(KINDS, (off, on), strict=True)
        }
        body = json.dumps(
            {
                "model": model,
                "messages": [
                    {"role": "user", "content": f"{_PROMPT} #tokens=32 #first_ms={_FIRST_MS}"}
                ],
            }
        ).encode()
        results: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
        assert web.served is not None
        pid = web.served.pid
        for number in range(rounds):
            for kind in sorted(KINDS, reverse=bool(number % 2)):
                fake.reset()
                figures = measure(web, pid, postgres, targets[kind], body)
                results[kind].append(figures)
                sys.stderr.write(f"{kind}: {figures}\n")
        memory = [(memory_kb([one]) / 1024, resident_mb(one)) for one in tree(pid)]
        (kept,) = web.rows("SELECT count(*) AS entries FROM content_entry")
        books = hub.books_line(web)
    sys.stdout.write(f"{render(results)}\n\n{kept['entries']} entries; MB (PSS, RSS) {memory}\n")
    sys.stdout.write(f"{len(body)} bytes; {machine.machine_line()}; {others.line()}. {books}.\n")


def keep_everything(web: hub.Web, tenant: Tenant) -> None:
    """A rule with what is masked by default."""
    web.connection.execute(
        "INSERT INTO content_logrule (id, organisation_id, scope, subject, keep, share_percent, "
        "retention_hours, callers_may_opt_out, redact) "
        "VALUES (%s, %s, 'organisation', '', 'everything', 100, 24, true, %s)",
        [new_id(), tenant.organisation_id, ["secret", "private_key", "card", "iban"]],
    )
    web.bump()


def measure(web: hub.Web, pid: int, postgres: int, target: Target, body: bytes) -> Figures:
    """One turn."""
    look = _looking(web, pid, postgres)
    taken = run(target, Load(body, _CONNECTIONS, _SECONDS, warm_s=_WARM_S), look)
    before, after = taken.seen
    used = [(end - start) / 1e3 / taken.count for start, end in zip(before, after, strict=True)]
    own, whole, database, background = used
    return Figures(own, whole - own, database - background, taken.count)


def _looking(web: hub.Web, pid: int, postgres: int) -> Callable[[], list[int]]:
    def entries() -> int:
        return int(web.rows("SELECT count(*) AS entries FROM content_entry")[0]["entries"])

    def look() -> list[int]:
        written = -1
        while (now := entries()) != written:
            written = now
            time.sleep(_STILL_S)
        return [
            time.clock_gettime_ns(cpu_clock(pid)),
            cpu_ns([pid]),
            cpu_ns([postgres]),
            background_ns(postgres),
        ]

    return look


def resident_mb(pid: int) -> float:
    """The resident memory of a process."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def render(results: Mapping[str, Sequence[Figures]]) -> str:
    """The table: a row for each process, microseconds a request."""
    lines = ["| CPU of a request, µs | log off | log on | more |", "| --- | --- | --- | --- |"]
    for name, field in (
        ("web process", "web_us"),
        ("its children", "children_us"),
        ("Postgres", "database_us"),
    ):
        off, on = ([getattr(one, field) for one in results[kind]] for kind in KINDS)
        more = [b - a for a, b in zip(off, on, strict=True)]
        share = f" ({median(more) / median(off):+.1%})" if median(off) >= 1 else ""
        cells = [name, _cell(spread(off)), _cell(spread(on)), f"{median(more):,.0f}{share}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Spread) -> str:
    return f"{value.median:,.0f} ({value.low:,.0f} to {value.high:,.0f})"


if __name__ == "__main__":
    main(sys.argv[1:])
