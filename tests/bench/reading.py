"""What pages and jobs that read cost, by the number of requests in the books.

    make bench-usage                    10⁵ and 10⁶ requests; writes its part of the page
    make bench-usage ROWS="100000"      other numbers

Each number has a database of its own on a throw-away Postgres, filled by `manage.py demo_data`. A
figure is processor time, for the owner of the largest organisation.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.bench.page import PAGE, with_section

ROOT = Path(__file__).parents[2]
HEADING = "## Reading"
_RUNS = 10
_NEW = 1_000
_PAGES = {
    "Usage, 7 days": "usage?range=7d",
    "Usage, 30 days": "usage",
    "Usage, 90 days": "usage?{days}",
    "Usage, 90 days, tokens by key": "usage?{days}&metric=tokens&group_by=key",
    "Usage, 90 days, Europe/Berlin": "usage?{days}&tz=Europe/Berlin",
    "Usage, 90 days, Asia/Kolkata": "usage?{days}&tz=Asia/Kolkata",
    "Home, its panel of spending": "_f/home/spend",
    "Requests, 30 days": "requests",
    "Requests, 90 days": "requests?{days}",
    "Requests, a filter that fits nothing": (
        "requests?{days}&status=stopped&model=demo-model-20&min_cost=9"
    ),
    "Requests, a channel that has none": ("requests?{days}&channel=00000000000000000000000007"),
    "Keys": "keys",
    "Members": "team",
    "Holds, none held": "billing/holds",
}

_NEW_RECORDS = """
    INSERT INTO usage_usagerecord (organisation_id, id, request_id, final, team_id, key_id, user_id,
        model, channel_id, channel_name, upstream_model, dialect, operation, stream, source,
        admitted_at, ended_at, status, kind, meters, charge_nano, hold_nano, basis, ttft_ms,
        total_ms, message, finish_reason, flags)
    SELECT organisation_id, fresh, fresh, true, team_id, key_id, user_id, model, channel_id,
        channel_name, upstream_model, dialect, operation, stream, source, now(), now(), status,
        kind, meters, charge_nano, hold_nano, basis, ttft_ms, total_ms, '', '', '{}'
    FROM (
        SELECT *, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7000'
            || '8' || lpad(to_hex((random() * 1e15)::bigint), 15, '0'))::uuid AS fresh
        FROM usage_usagerecord WHERE final ORDER BY admitted_at DESC LIMIT %s
    ) latest"""


def measure() -> dict[str, float]:
    """Milliseconds by name, in the installation of DATABASE_URL. It adds records without books."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.conf import settings

    # As they lie in the source: how files are served is not asked.
    files = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": files}
    from django.db import connection
    from django.test.utils import setup_test_environment
    from django.utils import timezone

    from accounts.models import User
    from tests import cast
    from usage.rollups import roll_up

    setup_test_environment()
    with connection.cursor() as cursor:
        # All of a statement's work is then its own process's.
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        backend: int = cursor.fetchone()[0]
    owner = User.objects.get(email="owner-1@demo.example")
    owner.operator = True
    owner.save(update_fields=["operator"])
    client = cast.signed_in(owner)
    today = timezone.now().date()
    first = today.fromordinal(today.toordinal() - 89)
    days = f"range=custom&from={first}&to={today}"

    def page(path: str) -> None:
        answer = client.get(f"/o/demo-1/{path.format(days=days)}")
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code}")

    def news() -> None:
        with connection.cursor() as cursor:
            cursor.execute(_NEW_RECORDS, [_NEW])

    def mean(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
        work()
        took = 0.0
        for _ in range(_RUNS):
            before()
            begun = time.process_time() + _cpu_of(backend)
            work()
            took += time.process_time() + _cpu_of(backend) - begun
        return took / _RUNS * 1000

    roll_up()
    figures = {f"roll-up of {_NEW:,} new records": mean(roll_up, before=news)}
    for name, path in _PAGES.items():
        figures[name] = mean(lambda path=path: page(path))  # type: ignore[misc]
    return figures


def _cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.reading", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.measure:
        sys.stdout.write(json.dumps(measure()))
        return 0
    from stack import postgres
    from tests.bench import hub

    hub.make_secrets()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.server(Path(folder) / "pg", durable=True) as dsn,
    ):
        found = {rows: _of(dsn, rows) for rows in asked.rows}
    PAGE.write_text(with_section(PAGE.read_text(), table(found)))
    return 0


def _of(dsn: str, rows: int) -> dict[str, float]:
    import psycopg

    name = f"reading_{rows}"
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
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

    run("manage.py", "migrate", "--verbosity=0", "--skip-checks")
    run("manage.py", "demo_data", f"--rows={rows}")
    figures: dict[str, float] = json.loads(run("-m", "tests.bench.reading", "--measure"))
    return figures


def table(found: Mapping[int, Mapping[str, float]]) -> str:
    """The section: milliseconds by what is read, a column for each number of requests."""
    names = list(next(iter(found.values())))
    lines = [
        HEADING,
        "",
        "Written by `make bench-usage`: milliseconds of processor time, of the web process and its "
        "database process together, by the number of requests in the books. These are made by "
        "`manage.py demo_data` (90 days, 3 organisations, 50 keys, 20 models); a figure is the "
        "mean of ten runs for the owner of the largest organisation.",
        "",
        "|  | " + " | ".join(f"{rows:,}" for rows in found) + " |",
        "| --- |" + " --- |" * len(found),
    ]
    for name in names:
        lines.append(
            f"| {name} | " + " | ".join(f"{of[name]:,.0f}" for of in found.values()) + " |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
