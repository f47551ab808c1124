"""What the books, the jobs and the pages of one installation cost, by name: `reading.py` asks for
it at each number of requests.

The installation is that of DATABASE_URL, filled by `manage.py demo_data`. Its books go on to hold;
what is added to them without a posting, and what is taken away, comes last.
"""

import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from tests.bench.cost import Cost, cost_of, seconds_of

_RUNS: Final = 5
_NEW: Final = 1_000
# What comes in 20 seconds at 3,000 a second.
_BURST: Final = 60_000
_FILE_ROWS: Final = 1_000_000
# A pair of filters that takes longer is asked for again: others may use the machine.
_SLOW_MS: Final = 500
PAGES: Final = {
    "Home, its shell": "",
    "Home, its panel of spending": "_f/home/spend",
    "Home, its panel of causes of errors": "_f/home/errors",
    "Home, its panel of recent requests": "_f/home/latest",
    "Usage, 7 days": "usage?range=7d",
    "Usage, 30 days": "usage",
    "Usage, 90 days": "usage?{days}",
    "Usage, 90 days, tokens by key": "usage?{days}&metric=tokens&group_by=key",
    "Usage, 90 days, Europe/Berlin": "usage?{days}&tz=Europe/Berlin",
    "Usage, 90 days, Asia/Kolkata": "usage?{days}&tz=Asia/Kolkata",
    "Usage, 90 days, its panel of changes": "usage/_f/changes?{days}",
    "Usage, 90 days, its panel of times": "usage/_f/times?{days}",
    "Usage, 90 days, its panel of what happened": "usage/_f/marks?{days}",
    "Explore, 30 days, by model": "usage/explore",
    "Explore, 90 days, by model and key": "usage/explore?{days}&group_by=model&then_by=key",
    "Explore, 7 days, by customer": "usage/explore?range=7d&group_by=customer",
    "Requests, 30 days": "requests",
    "Requests, 90 days": "requests?{days}",
    "Requests, 90 days, of a model and a person": (
        "requests?{days}&model=demo-model-3&user=person-1-2@demo.example"
    ),
    "Requests, 90 days, failed, of a customer": (
        "requests?{days}&customer=customer-1&status=error"
    ),
    "Requests, 90 days, a filter that fits nothing": (
        "requests?{days}&status=stopped&model=demo-model-20&min_cost=9"
    ),
    "Requests, 90 days, a channel that has none": (
        "requests?{days}&channel=00000000000000000000000007"
    ),
    "Ledger": "billing",
    "Statements": "billing/statements",
    "Keys": "keys",
    "Members": "team",
    "Holds, none held": "billing/holds",
}
# Of each kind what many requests have, what few have, and what none has.
_FILTERS: Final = {
    "model": ("demo-model-1", "nothing"),
    "user": ("person-1-8@demo.example",),
    "key": ("{busy_key}", "{quiet_key}"),
    "team": ("research",),
    "channel": ("{channel}", "00000000000000000000000007"),
    "project": ("search", "nothing"),
    "customer": ("customer-3", "nothing"),
    "tag": ("eu", "nothing"),
    "app": ("openai-python", "nothing"),
    "status": ("error", "stopped"),
    "cause": ("upstream_error",),
    "min_cost": ("0.000001", "9"),
}

_NEW_RECORDS: Final = """
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
        FROM usage_usagerecord WHERE final AND status = 200 ORDER BY admitted_at DESC LIMIT %s
    ) latest"""
_MONTHS: Final = """
    SELECT parent.relname, part.relname FROM pg_inherits
    JOIN pg_class part ON part.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
    WHERE parent.relname = ANY (%s) AND part.relname LIKE %s"""
_MONTH: Final = (
    "SELECT to_char(min(admitted_at) + interval '1 month', 'YYYY_MM') FROM usage_attempt"
)


class Pairs(NamedTuple):
    """The first pages of the log by any two filters: how many were asked for, and what somebody
    waits for them, in milliseconds."""

    asked: int
    median_ms: float
    slowest_ms: float
    slowest: str


class Filed(NamedTuple):
    """An export: rows for each second of processor time, and the most memory of its process."""

    rows: int
    rows_per_s: float
    peak_mb: float


class Measured(NamedTuple):
    """What was measured of one installation. Of the books microseconds of the database's process
    for a request; of what is compared, milliseconds of it."""

    books: dict[str, float]
    jobs: dict[str, Cost]
    pages: dict[str, Cost]
    pairs: Pairs
    files: dict[str, Filed]
    month_ms: float
    peer: list[tuple[str, str, float]]
    idle: dict[str, float] | None = None
    """Milliseconds of processor time for each second with nobody there, by part."""


class Installation:
    """The one of DATABASE_URL, seen by the owner of its largest organisation."""

    def __init__(self) -> None:
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
        from tests.support import cast

        setup_test_environment()
        with connection.cursor() as cursor:
            # All of a statement's work is then its own process's.
            cursor.execute("SET max_parallel_workers_per_gather = 0")
            cursor.execute("SELECT pg_backend_pid()")
            self.backend: int = cursor.fetchone()[0]
        self.owner = User.objects.get(email="owner-1@demo.example")
        self.owner.operator = True
        self.owner.save(update_fields=["operator"])
        self._client = cast.signed_in(self.owner)
        today = timezone.now().date()
        self.days = f"range=custom&from={today - dt.timedelta(days=89)}&to={today}"

    def read(self, path: str) -> None:
        answer = self._client.get(f"/o/demo-1/{path.format(days=self.days)}")
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code}")

    def cost_of(self, work: Callable[[], object], **more: Any) -> Cost:
        return cost_of(work, self.backend, **{"runs": _RUNS, **more})


def measure() -> Measured:
    """All of it."""
    from tests.bench import spend_logs

    here = Installation()
    books, jobs = _books(here)
    pages = {name: here.cost_of(partial(here.read, path)) for name, path in PAGES.items()}
    pairs, files = _pairs(here), _files()
    asked = spend_logs.measure(os.environ["DATABASE_URL"], _RUNS)
    peer = [(one.name, one.page, one.database_ms) for one in asked]
    jobs[f"roll-up of {_BURST:,} new records"] = _burst(here)
    return Measured(books, jobs, pages, pairs, files, _drop_month(), peer)


def _books(here: Installation) -> tuple[dict[str, float], dict[str, Cost]]:
    """What a request costs the books; and what each job costs after a thousand of them."""
    from accounts.models import Key
    from accounts.secrets.key_ring import seal_key
    from billing.seals.seals import seal_all
    from lib import clock
    from tests.bench.books import Books
    from usage.books.check import check_books
    from usage.models import BooksCheck
    from usage.rollups.rollups import roll_up

    written: list[dict[str, float]] = []
    books = Books(os.environ["DATABASE_URL"], Key.objects.get(name="service-1"))

    def add() -> None:
        written.append(books.write(_NEW))
        # What was written in the last second may still be behind a transaction.
        time.sleep(1.1)

    def check() -> None:
        BooksCheck.objects.update(rest_until=clock.now())
        if check_books() != {}:
            raise SystemExit("the books are wrong")

    check()
    jobs = {
        f"roll-up of {_NEW:,} new requests": here.cost_of(roll_up, before=add),
        f"seal of {_NEW:,} new requests": here.cost_of(lambda: seal_all(seal_key()), before=add),
        f"check of each minute, {_NEW:,} new requests": here.cost_of(check, before=add),
        "check of each minute, nothing new": here.cost_of(check),
    }
    # The first ones plan their statements.
    names = written[0]
    return {name: min(one[name] for one in written[1:]) for name in names}, jobs


def _pairs(here: Installation) -> Pairs:
    from django.db import connection

    from lib.ids import id_text

    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT r.key_id, max(r.channel_id::text) FROM usage_dayrollup r
            JOIN accounts_organisation o ON o.id = r.organisation_id
            WHERE o.slug = 'demo-1' GROUP BY 1 ORDER BY sum(r.requests) DESC""")
        keys = cursor.fetchall()
    busy, quiet, channel = keys[0][0], keys[-1][0], UUID(keys[0][1])
    ids = {"busy_key": busy, "quiet_key": quiet, "channel": channel}
    known = {name: id_text(id) for name, id in ids.items()}
    waits: dict[str, float] = {}
    for (one, left), (two, right) in itertools.combinations(_FILTERS.items(), 2):
        for first, second in itertools.product(left, right):
            pair = f"{one}={first}&{two}={second}".format(**known)
            read = partial(here.read, f"requests?{{days}}&{pair}")
            cost = here.cost_of(read, runs=1, warm=False)
            if cost.wall_ms > _SLOW_MS:
                cost = here.cost_of(read, runs=2, warm=False)
            waits[pair] = cost.wall_ms
    in_order = sorted(waits, key=lambda pair: waits[pair])
    slowest = in_order[-1]
    return Pairs(len(waits), waits[in_order[len(waits) // 2]], waits[slowest], slowest)


def _files() -> dict[str, Filed]:
    """An export in each form, by a process of its own, as a worker makes it."""
    results: dict[str, Filed] = {}
    for form in ("csv", "jsonl", "parquet", "xlsx"):
        command = [sys.executable, "-m", "tests.bench.growth", form]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[form] = Filed(*json.loads(done.stdout))
    return results


def export(form: str) -> Filed:
    """An export of the organisation's latest million requests, or of all."""
    here = Installation()
    from accounts.access.actors import actor_of_member, memberships
    from usage.exports import exports

    membership = memberships().get(user=here.owner, organisation__slug="demo-1")
    actor = actor_of_member(here.owner, membership.organisation, membership)
    asked = exports.start_export(actor, form, f"range=custom&{_latest(_FILE_ROWS)}", "en")
    begun = time.process_time() + seconds_of(here.backend)
    exports.make_next()
    took = time.process_time() + seconds_of(here.backend) - begun
    asked.refresh_from_db()
    if asked.state != "done":
        raise SystemExit(f"{form}: {asked.state} {asked.message}")
    filed = Filed(asked.done, asked.done / took, _peak_mb())
    exports.delete_export(actor, asked)
    return filed


def _peak_mb() -> float:
    """The most that this process has had; getrusage() tells what its parent had, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _latest(rows: int) -> str:
    """The days of the organisation's latest requests, that many or a few more."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(day)::date, max(day)::date FROM (
                SELECT r.bucket_at AS day, sum(sum(r.requests)) OVER (ORDER BY r.bucket_at DESC)
                    - sum(r.requests) AS after
                FROM usage_dayrollup r JOIN accounts_organisation o ON o.id = r.organisation_id
                WHERE o.slug = 'demo-1' GROUP BY 1) days
            WHERE after < %s""",
            [rows],
        )
        first, last = cursor.fetchone()
    return f"from={first}&to={last}"


def _burst(here: Installation) -> Cost:
    """What the roll-up of many costs: they have no books, and no other figure comes after it."""
    from django.db import connection

    from usage.rollups.rollups import roll_up

    with connection.cursor() as cursor:
        cursor.execute(_NEW_RECORDS, [_BURST])
    begun_own, begun, begun_wall = time.process_time(), seconds_of(here.backend), time.monotonic()
    roll_up()
    return Cost(
        (time.process_time() - begun_own) * 1000,
        (seconds_of(here.backend) - begun) * 1000,
        (time.monotonic() - begun_wall) * 1000,
    )


def _drop_month() -> float:
    """Milliseconds until a whole month of holds, attempts and records is gone."""
    from django.db import connection, transaction

    from usage.records.partitions import PARTITIONED

    with connection.cursor() as cursor:
        cursor.execute(_MONTH)
        (month,) = cursor.fetchone()
        cursor.execute(_MONTHS, [list(PARTITIONED), f"%_{month}"])
        tables = cursor.fetchall()
        begun = time.monotonic()
        with transaction.atomic():
            for table, part in tables:
                cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {part}")
                cursor.execute(f"DROP TABLE {part}")
    return (time.monotonic() - begun) * 1000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(export(sys.argv[1])))
