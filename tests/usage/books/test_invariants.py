"""Each invariant names the row that breaks it (I25)."""

import contextlib
import datetime as dt
from io import StringIO
from typing import Any

import pytest
from django.contrib.postgres.functions import TransactionNow
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import Key
from billing.models import Account, BooksWalk, Hold
from config.system.rows import system_rows
from config.system.state import system_state
from lib import clock
from outbox.models import Fact
from tests.books import post_as_before
from tests.cast import Cast, make_key
from tests.usage import rows
from usage.books import check as books_check
from usage.books import full_walk
from usage.books import walk as books_walk
from usage.books.invariants import INVARIANTS, broken_invariants
from usage.models import BooksCheck
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    return key


def broken() -> dict[str, list[Any]]:
    with connection.cursor() as cursor:
        return broken_invariants(cursor)


def test_a_hold_that_nobody_resolved_in_time(key: Key) -> None:
    """I24."""
    attempt = rows.admit(key, clock.now())
    Hold.objects.update(expires_at=TransactionNow() - dt.timedelta(seconds=60))
    assert broken() == {}
    Hold.objects.update(expires_at=TransactionNow() - dt.timedelta(seconds=61))
    (found,) = broken().values()
    assert [row[0] for row in found] == [attempt.id]


def test_held_money_that_is_not_the_sum_of_the_holds(key: Key) -> None:
    name = "what is held is the sum of the holds that are not resolved"
    first, second = rows.admit(key, clock.now()), rows.admit(key, clock.now())
    assert broken() == {}
    for attempt in (first, second):  # less than is held, then nothing
        Hold.objects.filter(id=attempt.id).update(state="settled", resolved_at=clock.now())
        assert [row[0] for row in broken()[name]] == [key.organisation_id]


@pytest.mark.parametrize("more_nano", [-1, 1])
def test_revenue_that_is_not_the_sum_of_the_records(key: Key, more_nano: int) -> None:
    """I10."""
    rows.happen(key, charge_nano=5)
    revenue = Account.objects.filter(organisation_id=key.organisation_id, kind="revenue")
    assert broken() == {}
    revenue.update(balance_nano=5 + more_nano)
    name = "I10 revenue is the sum of the records"
    assert broken()[name] == [(key.organisation_id, 5, 5 + more_nano)]


def test_a_rollup_that_is_not_the_sum_of_its_records(key: Key) -> None:
    """I16: what was rolled up is compared, what is still to be is not."""
    rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        # As if every transaction so far had ended.
        cursor.execute("UPDATE usage_rollupwatermark SET xid = xid + 1000000")
        assert broken() == {}
        for table in ("usage_rollup", "usage_hourrollup", "usage_dayrollup"):
            cursor.execute(f"UPDATE {table} SET charge_nano = charge_nano + 1")
        assert broken() == {
            "I16 a rollup is the sum of its records": [
                (key.organisation_id, rows.NOON, 5, 6),
            ]
        }
        cursor.execute("UPDATE usage_rollupwatermark SET xid = 0")
    assert broken() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "total_histogram = total_histogram * '1e12'",
        "ttft_histogram = ttft_histogram + 1",
        "timed_tokens = timed_tokens + 1",
        "timed_ms = NULL",
        "saved_nano = 8",
        "errors = 1",
    ],
)
def test_times_and_savings_that_are_not_those_of_their_records(key: Key, wrong: str) -> None:
    """I16: on every level; what is not known, since it is from before it was kept, is not wrong."""
    rows.happen(key, charge_nano=5, saved_nano=7)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        cursor.execute("UPDATE usage_rollupwatermark SET xid = xid + 1000000")
        assert broken() == {}
        for table, name in (
            ("usage_dayrollup", "I16 a day is the sum of its hours"),
            ("usage_hourrollup", "I16 an hour is the sum of its quarters"),
            ("usage_rollup", "I16 a rollup is the sum of its records"),
        ):
            cursor.execute(f"UPDATE {table} SET {wrong}")
            assert name in broken(), table
        for table in ("usage_rollup", "usage_hourrollup", "usage_dayrollup"):
            cursor.execute(
                f"UPDATE {table} SET total_histogram = NULL, ttft_histogram = NULL,"
                " timed_tokens = NULL, timed_ms = NULL, saved_nano = NULL, errors = 0"
            )
        assert broken() == {}
        cursor.execute("UPDATE usage_rollupwatermark SET xid = 0")


@pytest.mark.parametrize(
    ("table", "at", "name"),
    [
        ("usage_hourrollup", rows.NOON, "I16 an hour is the sum of its quarters"),
        ("usage_dayrollup", rows.NOON.replace(hour=0), "I16 a day is the sum of its hours"),
    ],
)
def test_an_hour_or_a_day_that_is_not_the_sum_of_what_it_is_of(
    key: Key, table: str, at: dt.datetime, name: str
) -> None:
    """I16: also by the walk, which looks at it in one span; and one that is missing."""
    rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        assert broken() == {}
        cursor.execute(f"UPDATE {table} SET charge_nano = charge_nano + 1")
        assert broken()[name] == [(key.organisation_id, at, 5, 6)]
        found = books_walk.broken_in_all()
        assert found.broken[name] == [(key.organisation_id, at, 5, 6)]
        cursor.execute(f"DELETE FROM {table}")
    assert broken()[name] == [(key.organisation_id, at, 5, None)]


@pytest.mark.parametrize("trigger", ["written_once", "never_emptied"])
def test_a_guard_that_was_taken_away(trigger: str) -> None:
    """I2."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE billing_ledgerline DISABLE TRIGGER {trigger}")
    assert broken() == {"I2 what is written once is guarded": [("billing_ledgerline", trigger)]}


def test_a_charge_that_does_not_come_out_of_its_own_meters_and_price(key: Key) -> None:
    """I10: by the command, over records as requests leave them."""
    version = rows.price_version()
    right = rows.happen(key, price_version_id=version.id)
    assert right.charge_nano == 210_000
    out = StringIO()
    call_command("verify", stdout=out)
    assert "invariants hold" in out.getvalue()
    wrong = rows.happen(key, charge_nano=210_001, price_version_id=version.id)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", stdout=out)
    told = f"I10 cost recomputes: {wrong.id} charged 210001, expected 210000"
    assert out.getvalue() == f"{told}\n1 rows are wrong.\n"
    rows.happen(key, price_version_id=version.id, saved_nano=None)  # of before it was counted
    wrong = rows.happen(key, price_version_id=version.id, saved_nano=1)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", stdout=out)
    assert f"{wrong.id} saved 1, expected 0" in out.getvalue()
    for _ in range(6):
        rows.happen(key, charge_nano=210_001, price_version_id=version.id)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", stdout=out)
    *shown, more, count = out.getvalue().splitlines()
    assert [line.split(":")[0] for line in shown] == ["I10 cost recomputes"] * 5
    assert (more, count) == ("I10 cost recomputes: and 3 more", "8 rows are wrong.")


def test_a_check_that_takes_too_long_is_told_as_that_and_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I25: nobody takes silence for right books, nor a busy database for wrong ones."""
    monkeypatch.setitem(INVARIANTS, "slow", "SELECT pg_sleep(30)")
    monkeypatch.setattr(books_check, "QUERY_S", 0.3)
    assert books_check.check_books() == {}
    (problem,) = BooksWalk.objects.get(name="new").unfinished
    assert problem.startswith("slow: ")
    assert "statement timeout" in problem
    assert [fact.kind for fact in Fact.objects.all()] == ["books.unchecked"]
    state = system_state()
    assert state.books == (BooksCheck.objects.get().ran_at, 0, True, False)
    assert ("Partly verified", "warn") in [(row.value, row.tone) for row in system_rows(state)]
    assert books_check.check_books() is None
    BooksCheck.objects.update(rest_until=clock.now())
    monkeypatch.delitem(INVARIANTS, "slow")
    assert books_check.check_books() == {}
    assert BooksWalk.objects.get(name="new").unfinished == []


def edit(text: str) -> None:
    """As somebody who may do everything, without a trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(text)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every transaction so far had ended: what is here is not new any more."""
    at = clock.now() + dt.timedelta(seconds=1)
    monkeypatch.setattr(books_walk, "horizon", lambda cursor: (at, at))


def minute() -> set[str]:
    """What the minute's check finds."""
    BooksCheck.objects.update(rest_until=clock.now())
    found = books_check.check_books()
    assert found is not None
    assert BooksWalk.objects.get(name="new").unfinished == []
    # These records have no price.
    return set(found) - {full_walk.CHARGED}


def day() -> set[str]:
    """What the whole walk finds, to its end; then the minute's check tells it."""
    BooksWalk.objects.update(rest_until=clock.now())
    BooksWalk.objects.filter(name__in=full_walk.WALKS).update(began_at=None, ended_at=None)
    for _ in range(20):
        full_walk.check_whole()
        BooksWalk.objects.filter(name="turn").update(rest_until=clock.now())
    assert full_walk.complete_at() is not None
    return minute()


def leave_out_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all that was written so far were of an older day."""
    monkeypatch.setattr(books_walk, "walk_day", lambda *_: None)


def verified() -> set[str]:
    """What the command finds."""
    out = StringIO()
    with contextlib.suppress(SystemExit):
        call_command("verify", stdout=out)
    return {line.split(": ")[0] for line in out.getvalue().splitlines() if ": " in line}


# What somebody did to the books behind our back, and what tells of it first.
FAULTS = {
    "a line that was changed": (
        "ALTER TABLE billing_posting DROP CONSTRAINT posting_balanced; UPDATE billing_posting"
        " SET amounts_nano[1] = amounts_nano[1] + 1 WHERE kind = 'settle'",
        "I1 every posting sums to 0",
    ),
    "a line of before that was changed": (
        "UPDATE billing_ledgerline SET amount_nano = amount_nano + 1 WHERE id = ("
        "SELECT max(id) FROM billing_ledgerline)",
        "I1 every posting sums to 0",
    ),
    "lines that were removed": (
        "UPDATE billing_posting SET account_ids = NULL, amounts_nano = NULL WHERE kind = 'settle'",
        "I1 every posting has its lines",
    ),
    "lines of before that were removed": (
        "DELETE FROM billing_ledgerline WHERE posting_id = ("
        "SELECT id FROM billing_posting WHERE kind = 'settle')",
        "I1 every posting has its lines",
    ),
    "a posting that was removed": (
        "DELETE FROM billing_posting WHERE kind = 'settle'",
        "I6 a hold is resolved by exactly one posting",
    ),
    "a posting of before that was removed": (
        "DELETE FROM billing_posting WHERE kind = 'settle'",
        "I1 every line has its posting",
    ),
    "a hold that was removed": (
        "DELETE FROM billing_hold",
        "I5 every hold has its attempt, every attempt its hold",
    ),
    "a hold of before without a posting": (
        "UPDATE billing_posting SET idempotency_id = 'held' WHERE kind = 'hold'",
        "I5 a hold has a posting of its own where it says so",
    ),
    "a hold of before that denies its posting": (
        "UPDATE billing_hold SET posted = false",
        "I5 a hold has a posting of its own where it says so",
    ),
    "a hold of before that was resolved twice": (
        "UPDATE billing_posting SET idempotency_id = replace(idempotency_id, 'hold:', 'void:')"
        " WHERE kind = 'hold'",
        "I6 a hold is resolved by exactly one posting",
    ),
    "a hold that was resolved twice": (
        "INSERT INTO billing_posting SELECT (posting).* FROM (SELECT jsonb_populate_record(posting,"
        " jsonb_build_object('id', left(id::text, 24) || right(gen_random_uuid()::text, 12),"
        " 'attempt_id', NULL, 'idempotency_id', 'void:' || attempt_id)) AS posting"
        " FROM billing_posting posting WHERE kind = 'settle') again",
        "I6 a hold is resolved by exactly one posting",
    ),
    "a hold that says that it was posted": (
        "UPDATE billing_hold SET posted = true",
        "I5 a hold has a posting of its own where it says so",
    ),
    "a record that was removed": (
        "DELETE FROM usage_usagerecord",
        "I10 every ended attempt has one record, and no open one has",
    ),
    "a charge that was changed": (
        "UPDATE usage_usagerecord SET charge_nano = charge_nano + 1",
        "I10 revenue of a record is its charge",
    ),
    "a charge above the hold": (
        "UPDATE usage_usagerecord SET hold_nano = charge_nano - 1",
        "I13 nothing is charged above its hold",
    ),
    "a charge without a posting": (
        "UPDATE usage_usagerecord SET id = (left(id::text, 35) || CASE right(id::text, 1)"
        " WHEN '0' THEN '1' ELSE '0' END)::uuid",
        "I10 what a record is charged is posted",
    ),
    "a count that was doubted after all": (
        "UPDATE usage_usagerecord SET basis = 'held'",
        "I14 a hold is kept until it is decided on what has no charge",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_of_today_each_minute_and_of_older_days_by_the_whole_walk(
    key: Key, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I25: also where the minute's check has been."""
    text, name = FAULTS[fault]
    rows.happen(key, clock.now(), charge_nano=5)
    if "of before" in fault:
        post_as_before()
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    assert minute() == set()
    settle(monkeypatch)
    sid = transaction.savepoint()
    edit(text)
    assert name in minute()
    # It is told until all was looked at again.
    assert name in minute()
    transaction.savepoint_rollback(sid)
    assert (minute(), day()) == (set(), set())
    sid = transaction.savepoint()
    edit(text)
    # Of the current day also where the minute's check has been (P33).
    assert name in minute()
    transaction.savepoint_rollback(sid)
    leave_out_today(monkeypatch)
    edit(text)
    assert name not in minute()
    assert name in verified()
    assert name in day()
    assert name in BooksCheck.objects.get().broken


def test_a_text_that_names_no_attempt_is_wrong(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """I25: it ends no check."""
    name = "I6 a hold is resolved by exactly one posting"
    rows.happen(key, clock.now(), charge_nano=5)
    post_as_before()
    settle(monkeypatch)
    edit("UPDATE billing_posting SET idempotency_id = 'settle:' || repeat('x', 36)"
         " WHERE kind = 'settle'")  # fmt: skip
    assert name in verified()
    found = books_check.check_books()
    assert found is not None
    assert "invalid input syntax for type uuid" in str(found[name])


def test_what_was_summed_before_is_compared_with_what_stands_there(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I3: lines that were changed so that they still sum to 0."""
    name = "I3 what was summed before is the sum of what stands there"
    rows.happen(key, clock.now(), charge_nano=5)
    settle(monkeypatch)
    leave_out_today(monkeypatch)
    assert minute() == set()
    twice = "ARRAY(SELECT 2 * nano FROM unnest(amounts_nano) nano)"
    edit(f"UPDATE billing_posting SET amounts_nano = {twice}")
    assert minute() == set()
    assert name in day()
    edit(f"UPDATE billing_posting SET amounts_nano = {twice.replace('2 *', '1 / 2.0 *')}::bigint[]")
    assert name in minute()
    assert day() == set()


def test_the_whole_walk_goes_on_where_it_was_and_begins_anew_after_its_end(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        rows.happen(key, clock.now(), charge_nano=5)
    edit("UPDATE billing_posting SET created_at = now() + row_number * interval '1 s' FROM ("
         "SELECT id, row_number() OVER (ORDER BY id) FROM billing_posting) numbered "
         "WHERE numbered.id = billing_posting.id")  # fmt: skip
    at = clock.now() + dt.timedelta(minutes=1)
    monkeypatch.setattr(books_walk, "horizon", lambda cursor: (at, at))
    monkeypatch.setattr(books_walk, "_SPAN_ROWS", 2)
    monkeypatch.setattr(full_walk, "_TURN_S", 0)
    assert minute() == set()
    steps: list[dt.datetime | None] = []

    def turn() -> None:
        BooksWalk.objects.filter(name="turn").update(rest_until=clock.now())
        full_walk.check_whole()

    BooksWalk.objects.filter(name__in=["charges", "copies", "seals"]).update(ended_at=clock.now())
    whole = BooksWalk.objects.filter(name="whole")
    for _ in range(40):
        turn()
        if whole.filter(ended_at__isnull=False).exists():
            break
        found = whole.first()
        steps.append(found.to_at if found else None)
    on_the_way = [at for at in steps if at is not None]
    assert len(on_the_way) > 5
    assert on_the_way == sorted(set(on_the_way))
    # It rests for a while, also when another turn is due.
    assert whole.get().rest_until > clock.now()
    turn()
    assert whole.get().to_at is None
    BooksWalk.objects.update(rest_until=clock.now())
    BooksWalk.objects.exclude(name="whole").update(ended_at=clock.now() + dt.timedelta(hours=1))
    turn()
    assert whole.get().to_at == on_the_way[0]


def test_a_turn_is_followed_by_a_rest_of_nineteen_times_as_long(key: Key) -> None:
    """The walks take 5 % of one core."""
    rows.happen(key, clock.now(), charge_nano=5)
    minute()
    began = clock.now()
    full_walk.check_whole()
    ended = clock.now()
    rest = BooksWalk.objects.get(name="turn").rest_until - ended
    assert rest <= 19 * (ended - began)
    assert rest > dt.timedelta(0)
    before = list(BooksWalk.objects.order_by("name").values())
    full_walk.check_whole()
    assert list(BooksWalk.objects.order_by("name").values()) == before


@pytest.mark.parametrize("hours", [0, 1])
def test_what_the_check_is_behind_with_is_told_and_not_looked_at_at_once(
    key: Key, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """After an update of old books; not of what is new, with which the next check goes on."""
    rows.happen(key, clock.now(), charge_nano=5)
    settle(monkeypatch)
    monkeypatch.setattr(books_walk, "_SPAN_ROWS", 1)
    monkeypatch.setattr(books_check, "_WALK_S", 0)
    monkeypatch.setattr(books_check, "_HOUR", dt.timedelta(hours=hours))
    assert books_check.check_books() == {}
    unfinished = BooksWalk.objects.get(name="new").unfinished
    assert [text[:15] for text in unfinished] == ([] if hours else ["postings since "])
    kinds = list(Fact.objects.values_list("kind", flat=True))
    assert kinds == ([] if hours else ["books.unchecked"])
