"""One organisation of 300 people beside four of 75, at 1, 2 and 4 web processes.

    make bench-organisation    some minutes; prints a table

All requests of an organisation move one balance. A transaction that admits or settles some of them
has its row until it is committed, so processes that serve one organisation take turns there. Of the
four organisations each is served by one process alone, where nobody waits for a row: what the turns
cost is the ratio of both, measured in the same round. Generator, provider and Postgres are on the
same machine for both.

Beside the requests a second, of each request: transactions, and how long connections waited for a
lock of Postgres, for a latch or its disk, and were at work (looked at every few milliseconds). The
books have to balance at the end.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.bench import hub, machine
from tests.bench.client import Load, Target, run
from tests.bench.spread import Spread, median, ratio, spread
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Tenant

PEOPLE: Final = 300
PROCESSES: Final = (1, 2, 4)
_SECONDS: Final = 6.0
_LOOK_S: Final = 0.005
# Asked from another database, so that asking is not counted.
_TRANSACTIONS: Final = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"
_DOING: Final = """
    SELECT CASE WHEN state = 'idle' THEN 'idle' WHEN wait_event_type IN ('Lock', 'LWLock', 'IO')
           THEN wait_event_type ELSE 'active' END, count(*)
    FROM pg_stat_activity
    WHERE datname = %s AND backend_type = 'client backend'
    GROUP BY 1"""


class Figures(NamedTuple):
    """Of one load: requests a second, and of each request the transactions, and microseconds of
    connections by what they did."""

    rate: float
    transactions: float
    doing_us: Mapping[str, float]


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-organisation")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(argv).rounds
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="organisation-") as name, ExitStack() as stack:
        dsn, _ = stack.enter_context(hub.database(Path(name)))
        fake = stack.enter_context(FakeUpstream("bench", process=True, keep_bodies=False))
        webs = [stack.enter_context(hub.web(hub.Web, dsn)) for _ in range(max(PROCESSES))]
        model = webs[0].model(fake)
        for web in webs[1:]:
            web.know(model)
        teams = {
            "one": people(webs[0], [PEOPLE]),
            "apart": people(webs[0], [PEOPLE // len(webs)] * len(webs)),
        }
        body = json.dumps(
            {"model": model, "messages": [{"role": "user", "content": "hello #tokens=32"}]}
        ).encode()
        results: dict[tuple[int, str], list[Figures]] = {}
        for number in range(rounds):
            for processes in PROCESSES:
                for kind in sorted(teams, reverse=bool(number % 2)):
                    targets = [
                        Target(webs[n % processes].port, _head(tenant), model)
                        for n, tenant in enumerate(teams[kind])
                    ]
                    figures = measure(dsn, targets, body)
                    results.setdefault((processes, kind), []).append(figures)
                    sys.stderr.write(f"{processes} {kind}: {figures}\n")
        books = hub.books_line(webs[0])
    sys.stdout.write(f"{render(results)}\n\n{machine.machine_line()}; {others.line()}. {books}.\n")


def people(web: hub.Web, sizes: Sequence[int]) -> list[Tenant]:
    """Organisations of so many people, each with a key of their own; one of each organisation in
    turn."""
    results = []
    for size in sizes:
        first = web.tenant(hub.CREDIT_USD)
        keys = [first, *(web.key(first) for _ in range(size - 1))]
        for tenant in keys:
            web.person(tenant)
        results.append(keys)
    return [tenant for some in zip(*results, strict=True) for tenant in some]


def measure(dsn: str, targets: Sequence[Target], body: bytes) -> Figures:
    """One load of a connection for each person."""
    doing: Counter[str] = Counter()
    looks = 0
    stopped = threading.Event()
    database = [str(conninfo_to_dict(dsn)["dbname"])]
    with (
        psycopg.connect(dsn, dbname="template1", autocommit=True) as looking,
        psycopg.connect(dsn, dbname="template1", autocommit=True) as counting,
    ):

        def look() -> None:
            nonlocal looks
            while not stopped.is_set():
                doing.update(dict(looking.execute(_DOING, database).fetchall()))
                looks += 1
                time.sleep(_LOOK_S)

        def transactions() -> list[int]:
            row = counting.execute(_TRANSACTIONS, database).fetchone()
            return [0 if row is None else int(row[0])]

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            taken = run(targets, Load(body, len(targets), _SECONDS, warm_s=1.0), transactions)
        finally:
            stopped.set()
            watcher.join()
    (before,), (after,) = taken.seen
    return Figures(
        taken.count / taken.seconds,
        (after - before) / taken.count,
        {kind: count / looks * taken.seconds * 1e6 / taken.count for kind, count in doing.items()},
    )


def _head(tenant: Tenant) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {tenant.key}"),)


def render(results: Mapping[tuple[int, str], Sequence[Figures]]) -> str:
    """The table: a row for each number of web processes."""
    lines = [
        "| Web processes | one organisation, requests a second | one for each process | ratio | "
        "transactions a request (apart) | µs waiting for a lock | for latches | for the disk | "
        "at work |",
        "| --- " * 9 + "|",
    ]
    for processes in PROCESSES:
        one, apart = results[processes, "one"], results[processes, "apart"]
        of_one, of_apart = ([figures.rate for figures in some] for some in (one, apart))
        cells = [
            str(processes),
            *(_cell(spread(rates)) for rates in (of_one, of_apart)),
            f"{ratio(of_one, of_apart).median:.2f}",
            _pair(*([figures.transactions for figures in some] for some in (one, apart)), digits=2),
        ]
        for kind in ("Lock", "LWLock", "IO", "active"):
            values = (
                [figures.doing_us.get(kind, 0.0) for figures in some] for some in (one, apart)
            )
            cells.append(_pair(*values, digits=0))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _pair(one: Sequence[float], apart: Sequence[float], *, digits: int) -> str:
    return f"{median(one):,.{digits}f} ({median(apart):,.{digits}f})"


def _cell(value: Spread) -> str:
    return f"{value.median:,.0f} ({value.low:,.0f} to {value.high:,.0f})"


if __name__ == "__main__":
    main(sys.argv[1:])
