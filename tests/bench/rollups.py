"""How old the sums of usage become under load at the end of a quarter of an hour, and how many
records a run reads: with sums of minutes, and without them, from the records of the whole quarter.

    make bench-rollups                some minutes and 3 GB of the disk; prints a table
    make bench-rollups ARGS="--rate 1000 --seconds 90"

The quarter before the current one is filled up to its last `seconds`. Then one more connection
writes records at that rate as settlements do, straight into the books: the relay would need more
than a small machine has beside it. The job runs as the worker runs it, resting in between.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from tests.bench import hub, machine
from tests.bench.spread import median

ROOT: Final = Path(__file__).parents[2]
_PEOPLE: Final = 300
_MODELS: Final = 4
_EVERY_S: Final = 2.0
_BATCH_S: Final = 0.1
# Most requests take seconds; one in a hundred as long as three minutes.
_WRITE: Final = """
    INSERT INTO usage_usagerecord (organisation_id, id, request_id, final, team_id, key_id, user_id,
        model, channel_id, channel_name, upstream_model, dialect, operation, stream, source,
        admitted_at, ended_at, status, meters, charge_nano, hold_nano, basis, ttft_ms, total_ms,
        saved_nano, message, finish_reason, flags)
    SELECT %(organisation)s, fresh, fresh, true, %(organisation)s, md5('key' || person)::uuid,
        person, 'model-' || model, %(organisation)s, 'provider', 'model', 'openai', 'chat', true,
        'api', admitted_at, now(), 200,
        '{"in_text": 1200, "out_text": 340, "in_cache_read": 1024}', 1250000, 5000000, 'measured',
        200 + n %% 700, 900 + n %% 5000, 0, '', 'stop', '{}'
    FROM (
        SELECT n, 1 + (random() * (%(people)s - 1))::int AS person,
               1 + (random() * (%(models)s - 1))::int AS model,
               %(at)s - CASE WHEN n %% 100 = 0 THEN random() * interval '3 minutes'
                        ELSE -ln(1 - random()) * interval '4 seconds' END AS admitted_at
        FROM generate_series(1, %(records)s) AS n
    ) made, LATERAL (
        SELECT (lpad(to_hex((extract(epoch FROM admitted_at) * 1000)::bigint), 12, '0') || '70008'
            || lpad(to_hex((random() * 1e15)::bigint), 15, '0'))::uuid AS fresh) named"""
_READ: Final = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
    FROM pg_stat_user_tables WHERE relname LIKE 'usage_usagerecord%'"""


class Seen(NamedTuple):
    """Of the runs within a time: the records that came and that runs read, how long a run took, and
    how old the sums were just before a run replaced them, in seconds."""

    runs: int
    came: int
    read: int
    took_s: float
    oldest_s: float
    middle_s: float


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench-rollups")
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.measure:
        measure(asked.rate, asked.seconds)
        return
    hub.make_secrets()
    others = machine.Others()
    with tempfile.TemporaryDirectory(prefix="rollups-") as name:
        with hub.database(Path(name)) as (dsn, _):
            command = [sys.executable, "-m", "tests.bench.rollups", "--measure"]
            numbers = [f"--rate={asked.rate}", f"--seconds={asked.seconds}"]
            subprocess.run(
                [*command, *numbers], cwd=ROOT, env={**os.environ, "DATABASE_URL": dsn}, check=True
            )
        sys.stdout.write(f"\n{machine.machine_line()}; {others.line()}.\n")


def measure(rate: int, seconds: int) -> None:
    """Fill the quarter of the installation of DATABASE_URL, and print what its runs do."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    import datetime as dt

    from accounts.models import Organisation
    from lib import clock
    from usage.buckets.buckets import BUCKET, bucket_of
    from usage.rollups import rollups

    organisation = Organisation.objects.create(name="Busy", slug="busy")
    writer = _Writer(os.environ["DATABASE_URL"], organisation.id)
    rollups.roll_up()
    end_at = bucket_of(clock.now())
    started_at = end_at - dt.timedelta(seconds=seconds)
    at = end_at - BUCKET
    while at < started_at:
        at += dt.timedelta(seconds=1)
        writer.write(rate, at)
    writer.connection.execute("VACUUM ANALYZE usage_usagerecord")
    lines = [
        "| Sums | runs | records that came | records that a run read | a run, seconds | age before "
        "the next run, seconds | the most |",
        "| --- " * 7 + "|",
    ]
    for name, kept in (
        ("from minutes", rollups.MINUTES_KEPT),
        ("from records", -dt.timedelta(days=2)),
    ):
        rollups.MINUTES_KEPT = kept  # type: ignore[misc]
        rollups.roll_up()
        seen = _watch(writer, rollups.roll_up, rate, seconds, started_at)
        lines.append(
            f"| {name} | {seen.runs} | {seen.came:,} | {seen.read // max(seen.runs, 1):,} | "
            f"{seen.took_s:.2f} | {seen.middle_s:.1f} | {seen.oldest_s:.1f} |"
        )
    before = _sums(writer.connection)
    rollups.rebuild()
    same = "the same" if _sums(writer.connection) == before else "NOT THE SAME"
    sys.stdout.write("\n".join(lines) + f"\n\nRebuilt, every sum is {same}.\n")


class _Writer:
    """A connection that writes records."""

    def __init__(self, dsn: str, organisation_id: Any) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._known = {"organisation": organisation_id, "people": _PEOPLE, "models": _MODELS}

    def write(self, records: int, at: Any) -> None:
        self.connection.execute(_WRITE, {**self._known, "records": records, "at": at})


def _watch(writer: _Writer, roll_up: Any, rate: int, seconds: int, started_at: Any) -> Seen:
    """Run the job beside a writer whose clock begins at `started_at`. Sums that still wait for a
    run at the end count too."""
    import datetime as dt

    began, stopped, came = time.monotonic(), threading.Event(), 0

    def write() -> None:
        nonlocal came
        while not stopped.is_set():
            passed = time.monotonic() - began
            due = int(passed * rate) - came
            if due:
                writer.write(due, started_at + dt.timedelta(seconds=passed))
                came += due
            time.sleep(_BATCH_S)

    thread = threading.Thread(target=write)
    read_before = _count()
    writer.write(rate, started_at)
    roll_up()
    seen_at, began = began, time.monotonic()
    took, ages = [began - seen_at], [began - seen_at]
    thread.start()
    try:
        while (now := time.monotonic()) - began < seconds:
            result = roll_up(rest=True)
            end = time.monotonic()
            if result is not None:
                # Until then readers saw what the run before saw when it began.
                ages.append(end - seen_at)
                took.append(end - now)
                seen_at = now
            time.sleep(max(0.0, _EVERY_S - (end - now)))
        ages.append(time.monotonic() - seen_at)
    finally:
        stopped.set()
        thread.join()
    read = _count() - read_before
    roll_up()
    return Seen(len(took), rate + came, read, median(took), max(ages), median(ages))


def _count() -> int:
    """Return how many records the job's connection has read so far."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(_READ)
        return int(cursor.fetchone()[0] or 0)


def _sums(connection: "psycopg.Connection[Any]") -> Any:
    return connection.execute(
        "SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM usage_rollup r"
    ).fetchone()


if __name__ == "__main__":
    main(sys.argv[1:])
