"""What an idle installation does again and again reads rows in proportion to what is new, however
large the tables are, and whatever the planner knows of them: by counting rows, for seconds depend
on the machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

import pytest
from django.db import connection, transaction
from django.db.models import F

from accounts.models import Erasure, Key
from billing.models import PromoGrant
from config.jobs import sweeping
from config.jobs.dropped_lines import count_dropped_lines
from config.jobs.schedule import SCHEDULE
from config.jobs.waiting_work import waiting_jobs
from gateway.models import ChannelTestRun, MediaTask, PricePreview
from lib import clock
from lib.ids import new_id
from notify.models import Delivery
from outbox.models import Fact
from playground.models import Run
from tests.config.jobs.test_waiting_work import MAKERS, key, people
from tests.runner import databases
from tests.support import cast
from tests.usage.rows import CHANNEL, admit, end
from usage.management import demo_data
from usage.models import BooksCheck

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["key", "people"]

NEW: Final = 10
# A table with so many rows is one that grows.
LARGE: Final = 2_000
ASKED: Final = "what waits"
# What grows with every request.
BOOKS: Final = ("usage_", "billing_hold", "billing_posting", "billing_ledger")
FRESH: Final = "fresh statistics"
# What a statement may read beside what is new: a range of pages of the index of postings by time.
ROWS_MAX: Final = 1_200
# Of what is new a statement may read a request's attempt, hold, posting and record, and join them.
ROWS_FOR_EACH: Final = 40
# These look at what is old again, on purpose. How much of their time that takes is limited; what
# they read of what is new is counted in tests/usage/books/test_invariant_reads.py.
WALKS: Final = {
    "usage.tasks.check_books", "usage.tasks.check_whole_books", "billing.tasks.check_trail",
}  # fmt: skip
# Facts are kept for a month: what is read of them once an hour does not grow with the years.
KEPT_SHORT: Final = {("notify.tasks.drop_old", "outbox_fact")}
# Backups read everything, and are made once a day.
READ_ALL: Final = {"config.tasks.back_up"}


MADE: Final = (
    "a delivery", "a preview", "a test of all channels", "an expired grant", "a run",
)  # fmt: skip
_ID: Final = {"id": "gen_random_uuid()"}
# What else an installation has much of, and the values of each row that only one may have.
CLONED: Final[dict[str, dict[str, str]]] = {
    "accounts_auditevent": {**_ID, "at": "clock_timestamp()"},
    "accounts_erasure": {**_ID, "user_id": "n + 1000000", "pseudonym": "n"},
    "billing_promogrant": _ID,
    "gateway_channeltestrun": _ID,
    "gateway_mediatask": {**_ID, "public_id": "'task_' || n"},
    "gateway_pricepreview": _ID,
    "notify_delivery": {**_ID, "fact_id": "gen_random_uuid()"},
    "outbox_fact": _ID,
    "playground_conversation": _ID,
    "playground_run": {**_ID, "token": "gen_random_uuid()"},
}


class Read(NamedTuple):
    """A statement with the rows that it read of each large table, and its plan."""

    work: str
    statement: str
    rows: dict[str, int]

    def counted(self, *, all_of_it: bool) -> int:
        """The rows that count. What waits is asked every other second. What is asked less often,
        of what people make by hand, may read more until there are statistics, which the server
        takes within a minute."""
        return sum(
            rows
            for table, rows in self.rows.items()
            if (all_of_it or self.work == ASKED or table.startswith(BOOKS))
            and (self.work, table) not in KEPT_SHORT
        )

    def __str__(self) -> str:
        return f"{self.work}: {self.rows}: {' '.join(self.statement.split())[:300]}"


def works() -> dict[str, Callable[[], object]]:
    """All that the scheduler, the jobs and the watchers of web processes repeat, by name."""
    jobs = {job.task: job.task.rpartition(".") for job in SCHEDULE if job.task not in READ_ALL}
    return {
        ASKED: waiting_jobs,
        **{
            task: getattr(import_module(module), name).run
            for task, (module, _, name) in jobs.items()
        },
        "web: holds": sweeping._sweep,
        "web: jobs": sweeping._watch,
        "web: dropped lines": count_dropped_lines,
        "web: its report": sweeping._reports(sweeping.LoopLag()),
    }


def large_tables(rows_min: int) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, oid FROM pg_class WHERE relkind = 'r' AND pg_stat_get_live_tuples(oid)"
            " > %s AND relnamespace = 'public'::regnamespace",
            [rows_min],
        )
        return dict(cursor.fetchall())


@contextmanager
def counted(tables: dict[str, int], work: str, reads: list[Read]) -> Iterator[None]:
    """Add what each statement of this connection reads of the tables."""
    counting = False

    def count(execute: Any, text: Any, *rest: Any) -> Any:
        nonlocal counting
        statement = str(text)
        if counting or statement.lstrip().startswith(("SET", "LOCK", "SAVEPOINT", "RELEASE")):
            return execute(text, *rest)
        counting = True
        try:
            before = rows_read(tables)
            result = execute(text, *rest)
            after = rows_read(tables)
        finally:
            counting = False
        rows = {name: after[name] - before[name] for name in tables if after[name] > before[name]}
        if rows:
            reads.append(Read(work, statement, rows))
        return result

    with connection.execute_wrapper(count):
        yield


def rows_read(tables: dict[str, int]) -> dict[str, int]:
    """The rows of each table that this connection and all before it have read: what is not yet in
    the server's statistics is known to the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot(), pg_stat_force_next_flush()")
        cursor.execute(_ROWS_READ, [list(tables.values())])
        return dict(cursor.fetchall())


def do_all(tables: dict[str, int], *, walks: bool = False) -> list[Read]:
    """Do all of it once, each as if it were due; what looks at what is old only with `walks`."""
    reads: list[Read] = []
    for name, work in works().items():
        if name in WALKS and not walks:
            continue
        BooksCheck.objects.update(rest_until=clock.now())
        with counted(tables, name, reads):
            work()
    return reads


def assert_little_is_read(tables: dict[str, int], new: int, when: str) -> None:
    most = ROWS_MAX + new * ROWS_FOR_EACH
    assert most < LARGE
    much = [
        read for read in do_all(tables) if read.counted(all_of_it=when.startswith(FRESH)) > most
    ]
    assert not much, f"{when}: " + "\n".join(map(str, much))


# The installation --------------------------------------------------------------------------------


def fill(key: Key, rows: int) -> None:
    """Books of so many requests, and much else that no job waits for any more. The planner knows
    what was true before."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with connection.execute_wrapper(leave_out_statistics):
        demo_data.fill(rows, days=20)
    Fact.objects.all().delete()
    for name in MADE:
        MAKERS[name][1](key)
    MediaTask.objects.create(
        id=new_id(), public_id="task", organisation=key.organisation, team_id=key.team_id,
        request_id=new_id(), operation="videos", model="video", form="videos", state="failed",
        channel_id=CHANNEL, upstream_id="theirs", seconds=8, size="1280x720", ended_at=clock.now(),
        expires_at=clock.now(),
    )  # fmt: skip
    now = clock.now()
    Erasure.objects.create(user=cast.person("gone"), done_at=now, step="")
    Fact.objects.update(taken_at=now)
    Delivery.objects.update(state="sent")
    PricePreview.objects.update(state="done")
    PromoGrant.objects.update(expired_nano=F("amount_nano"))
    Run.objects.update(ended_at=now)
    ChannelTestRun.objects.update(ended_at=now)
    with transaction.atomic(), connection.cursor() as cursor:
        # Neither the triggers of tables that are only appended to, nor keys to other tables.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, unique in CLONED.items():
            values = ", ".join(f"'{column}', {value}" for column, value in unique.items())
            cursor.execute(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(one)"
                f" || jsonb_build_object({values}))).* "
                f"FROM (SELECT * FROM {table} LIMIT 1) one, generate_series(1, %s) n",
                [rows // 4],
            )


def leave_out_statistics(execute: Any, text: str, *rest: Any) -> Any:
    if not text.startswith(("ANALYZE", "VACUUM")):
        execute(text, *rest)


def forget_statistics() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM pg_statistic")
        cursor.execute(
            "UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0"
            " WHERE relkind IN ('r', 'p', 'i') AND relnamespace = 'public'::regnamespace"
        )


def take_statistics() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


STATISTICS: Final[dict[str, Callable[[], None]]] = {
    "statistics of empty tables": lambda: None,
    "no statistics": forget_statistics,
    FRESH: take_statistics,
}


def is_summed() -> bool:
    """Whether the watermark of the sums is beyond every record."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM usage_usagerecord WHERE xid >="
            " (SELECT xid::text::xid8 FROM usage_rollupwatermark))"
        )
        return bool(cursor.fetchone()[0])


def read_little(key: Key, rows: int) -> None:
    fill(key, rows)
    tables = large_tables(LARGE)
    assert tables.keys() > CLONED.keys()
    # What is still to do after so much.
    databases.run_until(lambda: do_all(tables, walks=True), is_summed)
    for when, change in STATISTICS.items():
        change()
        # Plans of before are forgotten, as when the server takes statistics by itself.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        do_all(tables)
        assert_little_is_read(tables, 0, f"{when}, nothing new")
        for _ in range(NEW):
            end(admit(key, clock.now()))
        assert_little_is_read(tables, NEW, f"{when}, {NEW} new requests")


def test_an_idle_hub_reads_no_more_as_its_books_grow(key: Key) -> None:
    read_little(key, 10_000)


@pytest.mark.slow
def test_an_idle_hub_reads_no_more_with_a_million_requests(key: Key) -> None:
    read_little(key, 1_000_000)


_ROWS_READ: Final = """
    SELECT c.relname,
           pg_stat_get_tuples_returned(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)
           + greatest(
               pg_stat_get_tuples_fetched(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid),
               (SELECT coalesce(sum(pg_stat_get_tuples_returned(i.oid)
                                    + pg_stat_get_xact_tuples_returned(i.oid)), 0)
                FROM pg_index JOIN pg_class i ON i.oid = indexrelid
                -- Those of a BRIN index are not rows.
                JOIN pg_am ON pg_am.oid = i.relam AND amname = 'btree'
                WHERE indrelid = c.oid))::bigint
    FROM pg_class c WHERE c.oid = ANY (%s)"""
