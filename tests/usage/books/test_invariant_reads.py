"""The check of what is new reads rows in proportion to what is new, also of tables that were filled
since their statistics were taken: by counting rows, for seconds depend on the machine."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from lib import clock
from usage.books.invariants import INVARIANTS, SUMS, Span
from usage.books.walk import Findings, _sums, prepare_tables
from usage.management import demo_data

pytestmark = [pytest.mark.django_db(transaction=True)]

REQUESTS = 30_000
NEW = 200
LARGE = ("billing_posting", "billing_ledgerline", "billing_hold", "usage_attempt", "usage_usagerec",
         "usage_rollup", "usage_hourrollup", "usage_dayrollup")  # fmt: skip
DAYS = "I16 a day is the sum of its hours"
# How often a statement looks for postings by their time, in an index that knows only ranges of
# blocks, and how many rows it reads for each posting.
ASKED_MAX = 5
ROWS_PER_POSTING = 12


@pytest.fixture(params=["no statistics", "statistics of empty tables"])
def filled(
    transactional_db: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of which the planner knows nothing, or what was true before they were filled. All rows
    are of the middle of a month: a month that has few rows is read whole, which is cheaper."""
    if request.param == "statistics of empty tables":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def leave_out(execute: Any, text: str, parameters: Any, many: bool, context: Any) -> Any:
        if not text.startswith(("ANALYZE", "VACUUM")):
            execute(text, parameters, many, context)

    with connection.execute_wrapper(leave_out):
        end_at = clock.now().replace(day=1) - dt.timedelta(days=10)
        with monkeypatch.context() as patched:
            patched.setattr(clock, "now", lambda: end_at)
            demo_data.fill(REQUESTS, days=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'billing_posting'")
        ((known,),) = cursor.fetchall()
        assert known < REQUESTS / 100
        cursor.execute("SELECT pg_stat_force_next_flush()")


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """How many rows of large tables each statement of the check reads."""
    names = {text: name for name, text in INVARIANTS.items()} | {SUMS: "sums"}
    read: dict[str, float] = {}

    def explain(execute: Any, text: str, parameters: Any, many: bool, context: Any) -> Any:
        if name := names.get(text):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", parameters)
                ((plan,),) = cursor.fetchall()
            [one] = json.loads(plan) if isinstance(plan, str) else plan
            read[name] = rows_read(one["Plan"])
        return execute(text, parameters, many, context)

    with connection.execute_wrapper(explain):
        yield read


def rows_read(node: dict[str, Any]) -> float:
    rows = 0.0
    if node["Node Type"] == "Bitmap Index Scan" and node["Index Name"] != "posting_by_time":
        rows = node["Actual Loops"] * node["Actual Rows"]
    if node.get("Relation Name", "").startswith(LARGE):
        counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        rows = node["Actual Loops"] * sum(node.get(count, 0) for count in counts)
    return rows + sum(rows_read(below) for below in node.get("Plans", ()))


def rows_in_range() -> int:
    """How many postings a range of blocks has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 32 * count(*) / (pg_relation_size('billing_posting') / 8192)"
            " FROM billing_posting"
        )
        ((rows,),) = cursor.fetchall()
    return int(rows)


def check_by_reading_little_else(in_range: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT created_at FROM billing_posting ORDER BY created_at DESC OFFSET %s LIMIT 1",
            [NEW - 1],
        )
        ((since,),) = cursor.fetchall()
    prepare_tables()
    findings = Findings(float("inf"), 60)
    before = _sums(Span(None, since), findings)
    with counted() as read:
        findings.check_span(Span(since))
        _sums(Span(since), findings)
        findings.check_present(Span(since), before)
    assert (findings.broken, findings.unfinished) == ({}, [])
    assert read.keys() == {*INVARIANTS, "sums"}
    # What is new may begin in one range and end in the next.
    most = ROWS_PER_POSTING * NEW + ASKED_MAX * 2 * in_range
    # Of a day all hours are read, however little is new.
    of_a_day = {DAYS: hours_of_a_day()}
    assert most < REQUESTS
    assert {n: rows for n, rows in read.items() if rows > most + of_a_day.get(n, 0)} == {}


def hours_of_a_day() -> int:
    """How many rows the sums of hours have, which are those of one day."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_hourrollup")
        ((rows,),) = cursor.fetchall()
    return int(rows)


def test_new_data_is_checked_by_reading_little_else(filled: None) -> None:
    check_by_reading_little_else(rows_in_range())
    # As older processes post, also beside newer ones.
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute(_LINES_APART)
        cursor.execute("VACUUM FULL billing_posting")
    check_by_reading_little_else(rows_in_range())


_LINES_APART = """
    SET LOCAL session_replication_role = replica;
    INSERT INTO billing_ledgerline (posting_id, account_id, amount_nano)
    SELECT entry.posting_id, entry.account_id, entry.amount_nano FROM billing_ledgerentry entry;
    UPDATE billing_posting SET account_ids = NULL, amounts_nano = NULL, entry_id = NULL"""
