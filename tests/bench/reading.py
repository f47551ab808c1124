"""What pages and jobs cost, and what a request costs the books, by the number of requests in them.

    make bench-usage                                     10⁵ and 10⁶; writes its part of the page
    make bench-usage ROWS="100000 1000000 10000000"      other numbers; 10⁷ takes some hours

Each number has a database of its own on a throw-away Postgres, filled by `manage.py demo_data` and
measured by `growth.py`. 10⁷ requests need 40 GB of the disk.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from tests.bench import hub, idle, machine, peers
from tests.bench.cost import Cost
from tests.bench.growth import Filed, Measured, Pairs, measure
from tests.bench.page import PAGE, with_section

ROOT: Final = Path(__file__).parents[2]
HEADING: Final = "## Reading"
_FORMS: Final = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet", "xlsx": "XLSX"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.reading", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.measure:
        sys.stdout.write(json.dumps(measure()))
        return 0
    from stack.database import postgres

    hub.make_secrets()
    others = machine.Others()
    with (
        tempfile.TemporaryDirectory(dir=peers.cache()) as folder,
        postgres.server(Path(folder) / "pg", durable=True) as dsn,
    ):
        server = int((Path(folder) / "pg" / "data" / "postmaster.pid").read_text().split()[0])
        results = {rows: of(dsn, rows, server, Path(folder)) for rows in asked.rows}
    PAGE.write_text(with_section(PAGE.read_text(), table(results, about(others))))
    return 0


def of(dsn: str, rows: int, server: int, folder: Path) -> Measured:
    """What so many requests in a database of their own cost; it is dropped again. `server` is the
    pid of Postgres."""
    name = f"reading_{rows}"
    own = {**os.environ, "DATABASE_URL": make_conninfo(dsn, dbname=name)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=own,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        # Else it is written to the disk anew every gigabyte.
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        run("manage.py", "migrate", "--verbosity=0", "--skip-checks")
        run("manage.py", "demo_data", f"--rows={rows}")
        idle_cost = idle.measure(own, server, folder / f"idle_{rows}")
        found_read = read_found(run("-m", "tests.bench.reading", "--measure"))
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    return found_read._replace(idle=idle_cost)


def read_found(text: str) -> Measured:
    """What `--measure` has printed."""
    books, jobs, pages, pairs, files, month_ms, peer, idle_ms = json.loads(text)
    return Measured(
        books,
        {name: Cost(*cost) for name, cost in jobs.items()},
        {name: Cost(*cost) for name, cost in pages.items()},
        Pairs(*pairs),
        {form: Filed(*filed) for form, filed in files.items()},
        month_ms,
        [(name, page, ms) for name, page, ms in peer],
        idle_ms,
    )


def about(others: machine.Others) -> str:
    """When, where and of what."""
    today = dt.datetime.now(dt.UTC).date()
    return (
        f"We measured on {today}, on {machine.machine_line()}; {others.line()}. "
        "The sign – stands for a figure that we did not measure. In *Jobs* and *Pages*, processor "
        "time is the time of Weir's process and of its database process together."
    )


# The page -----------------------------------------------------------------------------------------


def table(values: Mapping[int, Measured], about: str) -> str:
    """The section: a column for each number of requests in the books."""
    parts = [
        [HEADING],
        [
            "`make bench-usage` writes this section. We measured with several numbers of requests "
            "in the books (Weir's records of usage and money). Each of these numbers has a column "
            "in the tables below. `weir demo_data` generates these requests, spread over 90 days, "
            "3 organisations, 50 keys and 20 models. More than a third of the requests belong to "
            "the largest organisation.",
            about,
        ],
        ["### The books"],
        [
            "In this measurement, 32 requests arrive at the same time, and the code of the relay "
            "(the part of Weir that answers requests to models) writes them to the database. "
            "*Admission* writes the hold and the attempt of a request. *Settlement* writes the "
            "posting and the usage record. The table shows the processor time of the database's "
            "process for one request, in microseconds. Each figure is the lowest mean of several "
            "series of 1,000 requests."
        ],
        _rows(values, lambda of: {name: f"{us:,.0f}" for name, us in of.books.items()}),
        ["### Without requests"],
        [
            "The table shows the milliseconds of processor time per second that a web process and "
            "the worker with its scheduler use without requests. Each figure includes the "
            "processes that the part has started. The measurement begins two minutes after the "
            "start, and takes two minutes."
        ],
        _rows(
            values,
            lambda of: {part: f"{ms:,.1f}" for part, ms in (of.idle or {}).items()},
        ),
        ["### Jobs"],
        [
            "The table shows the processor time of each job in milliseconds. A figure is the mean "
            "of five runs. A roll-up sums up usage for pages, a seal protects rows of the ledger "
            "against unnoticed edits, and a check compares the rows of the ledger with "
            "each other."
        ],
        _rows(values, lambda of: {name: f"{cost.cpu_ms:,.0f}" for name, cost in of.jobs.items()}),
        ["### Pages"],
        [
            "The owner of the largest organisation requests each page five times. The first "
            "figure is the mean processor time, and the figure after the slash is the shortest "
            "waiting time, both in milliseconds."
        ],
        _rows(values, _pages),
        ["### Files"],
        [
            "The worker exports the latest million requests of the largest organisation, or all "
            "its requests if there are fewer. Each cell shows the number of rows that the "
            "worker writes per second of processor time, and the highest memory of the worker's "
            "process. The last row shows the number of exported rows."
        ],
        _rows(values, _files),
        *_beside(values),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _rows(
    values: Mapping[int, Measured], cells: Callable[[Measured], Mapping[str, str]]
) -> list[str]:
    columns = [cells(of) for of in values.values()]
    names = dict.fromkeys(name for column in columns for name in column)
    return [
        "|  | " + " | ".join(f"{rows:,}" for rows in values) + " |",
        "| --- |" + " --- |" * len(values),
        *(
            f"| {name} | " + " | ".join(column.get(name, "–") for column in columns) + " |"
            for name in names
        ),
    ]


def _pages(of: Measured) -> dict[str, str]:
    costs = {name: f"{cost.cpu_ms:,.0f} / {cost.wall_ms:,.0f}" for name, cost in of.pages.items()}
    pairs = of.pairs
    return {
        **costs,
        f"Requests, 90 days, each of {pairs.asked} pairs of filters, median": (
            f"– / {pairs.median_ms:,.0f}"
        ),
        "The slowest of these pairs": f"– / {pairs.slowest_ms:,.0f} (`{pairs.slowest}`)",
        "A month of holds, attempts and records dropped": f"– / {of.month_ms:,.0f}",
    }


def _files(of: Measured) -> dict[str, str]:
    return {
        f"{_FORMS[form]}": f"{filed.rows_per_s:,.0f} a second, {filed.peak_mb:,.0f} MB"
        for form, filed in of.files.items()
    } | {"rows": f"{max(filed.rows for filed in of.files.values()):,}"}


def _beside(values: Mapping[int, Measured]) -> Iterator[list[str]]:
    if not any(of.peer for of in values.values()):
        return
    yield ["### Beside LiteLLM's spend logs"]
    yield [
        f"This table compares Weir's pages with LiteLLM {peers.LITELLM}. LiteLLM's SQL statements "
        "query LiteLLM's own tables for the same figures. These tables are in the same database as "
        "Weir's tables, and contain the requests of the largest organisation. Each cell contains "
        "three figures. The first two figures are the processor time of the database's process in "
        "milliseconds: first for all statements of Weir's page, then for LiteLLM's statements. The "
        "third figure is the second figure divided by the first. LiteLLM's usage page shows sums "
        "by UTC day. If LiteLLM stores no sum for a figure, such as the spend of one customer, "
        "LiteLLM queries its log."
    ]
    yield _rows(values, _compared)


def _compared(of: Measured) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, page, theirs_ms in of.peer:
        ours_ms = of.pages[page].database_ms
        values[name] = f"{ours_ms:,.0f}, {theirs_ms:,.0f}: {theirs_ms / ours_ms:,.1f}"
    return values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
