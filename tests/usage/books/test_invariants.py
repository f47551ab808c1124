"""Each invariant names the row that breaks it (I25)."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.postgres.functions import TransactionNow
from django.core.management import call_command
from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.credits import codes, promo
from billing.ledger.ledger import post
from billing.ledger.posting import Entry, Posting
from billing.models import Account, BooksWalk, Hold, Invoice, PromoGrant, SubscriptionPlan
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import unit_term, write_plan
from billing.subscriptions.subscriptions import choose_plan
from billing.topups import topups
from config.system.rows import system_rows
from config.system.state import system_state
from lib import clock
from outbox.models import Fact
from tests.support.books import post_as_before
from tests.support.cast import Cast, actor, assemble, make_key
from tests.support.growing_books import GrowingBooks
from tests.support.invoicing import charged, mid_month
from tests.support.stage import scene
from tests.usage import rows
from tests.usage.books.walks import walk_to_the_end
from usage.books import check as books_check
from usage.books import full_walk
from usage.books import walk as books_walk
from usage.books.invariants import INVARIANTS, Span, broken_invariants, rows_that_break
from usage.limits import budget_simulation
from usage.models import BooksCheck, DetachedMonth, MonthFile
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db


def credited_key(people: Cast) -> Key:
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    return key


@pytest.fixture
def key(people: Cast) -> Key:
    return credited_key(people)


def broken() -> dict[str, list[Any]]:
    with connection.cursor() as cursor:
        return broken_invariants(cursor)


def test_hold_not_resolved_in_time(key: Key) -> None:
    """I24."""
    attempt = rows.admit(key, clock.now())
    Hold.objects.update(expires_at=TransactionNow() - dt.timedelta(seconds=60))
    assert broken() == {}
    Hold.objects.update(expires_at=TransactionNow() - dt.timedelta(seconds=61))
    (result,) = broken().values()
    assert [row[0] for row in result] == [attempt.id]


def test_held_money_differing_from_the_holds(key: Key) -> None:
    name = "what is held is the sum of the holds that are not resolved"
    first, second = rows.admit(key, clock.now()), rows.admit(key, clock.now())
    assert broken() == {}
    for attempt in (first, second):  # less than is held, then nothing
        Hold.objects.filter(id=attempt.id).update(state="settled", resolved_at=clock.now())
        assert [row[0] for row in broken()[name]] == [key.organisation_id]


@pytest.mark.parametrize("more_nano", [-1, 1])
def test_revenue_differing_from_the_records(key: Key, more_nano: int) -> None:
    """I10."""
    rows.happen(key, charge_nano=5)
    revenue = Account.objects.filter(organisation_id=key.organisation_id, kind="revenue")
    assert broken() == {}
    revenue.update(balance_nano=5 + more_nano)
    name = "I10 revenue is the sum of the records"
    assert broken()[name] == [(key.organisation_id, 5, 5 + more_nano)]


def test_rollup_differing_from_its_records(key: Key) -> None:
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
def test_times_and_savings_differing_from_their_records(key: Key, wrong: str) -> None:
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
def test_hour_or_day_differing_from_its_parts(
    key: Key, table: str, at: dt.datetime, name: str
) -> None:
    """I16: also by the walk, which looks at it in one span; and one that is missing."""
    rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        assert broken() == {}
        cursor.execute(f"UPDATE {table} SET charge_nano = charge_nano + 1")
        assert broken()[name] == [(key.organisation_id, at, 5, 6)]
        broken_value = books_walk.broken_in_all()
        assert broken_value.broken[name] == [(key.organisation_id, at, 5, 6)]
        cursor.execute(f"DELETE FROM {table}")
    assert broken()[name] == [(key.organisation_id, at, 5, None)]


@pytest.mark.parametrize("trigger", ["written_once", "never_emptied"])
def test_removed_guard(trigger: str) -> None:
    """I2."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE billing_ledgerline DISABLE TRIGGER {trigger}")
    assert broken() == {"I2 what is written once is guarded": [("billing_ledgerline", trigger)]}


def test_a_charge_that_differs_from_its_meters_and_price(key: Key) -> None:
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
    message = f"I10 cost recomputes: {wrong.id} charged 210001, expected 210000"
    assert out.getvalue() == f"{message}\n1 row is wrong.\n"
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
    *page_text, more, count = out.getvalue().splitlines()
    assert [line.split(":")[0] for line in page_text] == ["I10 cost recomputes"] * 5
    assert (more, count) == ("I10 cost recomputes: and 3 more", "8 rows are wrong.")


def test_overlong_check_is_reported_and_rests(
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


def settle(monkeypatch: pytest.MonkeyPatch, ahead_s: float = 1.0) -> None:
    """As if every transaction so far had ended: what is here is not new any more; what comes later
    is, if nothing is `ahead`."""
    at = clock.now() + dt.timedelta(seconds=ahead_s)
    monkeypatch.setattr(books_walk, "horizon", lambda cursor: (at, at))


def minute() -> set[str]:
    """What the minute's check finds."""
    BooksCheck.objects.update(rest_until=clock.now())
    result = books_check.check_books()
    assert result is not None
    assert BooksWalk.objects.get(name="new").unfinished == []
    # These records have no price.
    return set(result) - {full_walk.CHARGED}


def day() -> set[str]:
    """What the whole walk finds, to its end; then the minute's check tells it."""
    walk_to_the_end()
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
    "an account that was removed": (
        "DELETE FROM billing_account WHERE kind = 'revenue'",
        "I1 every line has its account",
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


@contextlib.contextmanager
def fault_within(text: str) -> Iterator[None]:
    """The books as somebody left them, for the length of the block."""
    sid = transaction.savepoint()
    edit(text)
    yield
    transaction.savepoint_rollback(sid)


@pytest.mark.parametrize("of_before", [False, True])
def test_todays_faults_are_found_each_minute_older_ones_by_walk(
    key: Key, of_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I25: also where the minute's check has been."""
    faults = {fault: pair for fault, pair in FAULTS.items() if ("of before" in fault) == of_before}
    rows.happen(key, clock.now(), charge_nano=5)
    if of_before:
        post_as_before()
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    assert minute() == set()
    settle(monkeypatch)
    for fault, (text, name) in faults.items():
        with fault_within(text):
            assert name in minute(), fault
            # It is told until all was looked at again.
            assert name in minute(), fault
    assert (minute(), day()) == (set(), set())
    for fault, (text, name) in faults.items():
        # Of the current day also where the minute's check has been (P33).
        with fault_within(text):
            assert name in minute(), fault
    leave_out_today(monkeypatch)
    for fault, (text, name) in faults.items():
        with fault_within(text):
            assert name not in minute(), fault
            assert name in verified(), fault
            assert name in day(), fault
            assert name in BooksCheck.objects.get().broken, fault


def days_walked(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the day is walked in the next four checks, which find nothing."""
    walked = []

    def walk_day(*parameters: Any) -> None:
        walked.append(1)
        real(*parameters)

    real = books_walk.walk_day
    with monkeypatch.context() as patch:
        patch.setattr(books_walk, "walk_day", walk_day)
        assert [minute() for _ in range(4)] == [set()] * 4
    return len(walked)


@pytest.mark.parametrize("text", [FAULTS["a charge that was changed"][0], "TRUNCATE billing_hold"])
def test_a_day_is_walked_again_only_when_a_row_was_written(
    key: Key, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """P33: also by hand. What an idle installation costs does not grow with its day."""
    rows.happen(key, clock.now(), charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    settle(monkeypatch, 0.0)
    assert days_walked(monkeypatch) == 1
    assert days_walked(monkeypatch) == 0
    with fault_within(text):
        assert minute() != set()
    assert day() == set()
    assert days_walked(monkeypatch) == 0
    rows.happen(key, clock.now(), charge_nano=5)
    assert days_walked(monkeypatch) >= 1
    assert days_walked(monkeypatch) == 0


def test_partly_read_day_is_walked_again(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """P33: also if Postgres gave no answer in time for a part of it."""
    rows.happen(key, clock.now(), charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    settle(monkeypatch, 0.0)
    real = books_walk.walk_day

    def unfinished(findings: books_walk.Findings, *rest: Any) -> None:
        findings.unfinished.append("I2: no answer in time")
        real(findings, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(books_walk, "walk_day", unfinished)
        BooksCheck.objects.update(rest_until=clock.now())
        books_check.check_books()
    assert days_walked(monkeypatch) >= 1
    assert days_walked(monkeypatch) == 0
    BooksWalk.objects.filter(name=books_walk.DAY).update(
        ended_at=clock.now() - dt.timedelta(hours=2)
    )
    assert days_walked(monkeypatch) == 1


def test_text_naming_no_attempt_is_wrong(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """I25: it ends no check."""
    name = "I6 a hold is resolved by exactly one posting"
    rows.happen(key, clock.now(), charge_nano=5)
    post_as_before()
    settle(monkeypatch)
    edit("UPDATE billing_posting SET idempotency_id = 'settle:' || repeat('x', 36)"
         " WHERE kind = 'settle'")  # fmt: skip
    assert name in verified()
    result = books_check.check_books()
    assert result is not None
    assert "invalid input syntax for type uuid" in str(result[name])


def test_stored_sums_are_compared_with_the_accounts(
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


def test_the_whole_walk_resumes_and_restarts_after_its_end(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        rows.happen(key, clock.now(), charge_nano=5)
    edit("UPDATE billing_posting SET created_at = now() + row_number * interval '1 s' FROM ("
         "SELECT id, row_number() OVER (ORDER BY id) FROM billing_posting) numbered "
         "WHERE numbered.id = billing_posting.id")  # fmt: skip
    at = clock.now() + dt.timedelta(minutes=1)
    monkeypatch.setattr(books_walk, "horizon", lambda cursor: (at, at))
    monkeypatch.setattr(books_walk, "_SPAN_ROWS", 1)
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
        result = whole.first()
        steps.append(result.to_at if result else None)
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
def test_a_check_that_is_behind_reports_it_and_continues_later(
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


# One row of everything that an invariant looks at -----------------------------------------------

USD = 10**9
HOUR = dt.timedelta(hours=1)


@scene
def whole() -> Key:
    """Books with everything in them, each as far as it may just be."""
    people = assemble()
    key = credited_key(people)
    acme, alice, dora = people.acme, actor(people.alice, people.acme), actor(people.dora)
    for amount_nano, period in ((10**12, "month"), (0, "day")):
        budget_simulation.create_budget(
            SYSTEM, acme, scope="organisation", subject="", amount_nano=amount_nano, period=period
        )
    rows.happen(key, clock.now(), charge_nano=5, hold_nano=5)
    rows.happen(key, clock.now(), charge_nano=7)
    rows.happen(key, clock.now(), charge_nano=0, basis="held")
    (code,) = codes.download_codes(SYSTEM, codes.create_batch(SYSTEM, "spring", USD, 1))
    codes.redeem(alice, acme, code)
    transfer = topups.order_top_up(alice, acme, 25 * USD, processor="manual")
    topups.confirm_transfer(dora, topups.open_checkout(transfer), "BANK-1")
    Account.objects.create(organisation=acme, kind="processor:clearing:manual")
    terms = Terms(10 * USD, 5 * USD, (unit_term("in_text", [], 100_000),))
    written = write_plan(dora, "Pro", terms)
    SubscriptionPlan.objects.filter(id=written.id).update(state="offered")
    choose_plan(alice, acme, SubscriptionPlan.objects.get(id=written.id))
    now = clock.now()
    Invoice.objects.create(
        organisation=acme, kind="invoice", state="closed", number="INV-1", month=now.date(),
        zone="UTC", from_at=now, until_at=now, proposed_by=people.dora, closed_by=people.alice,
    )  # fmt: skip
    PromoGrant.objects.create(
        organisation=acme, amount_nano=5, consumed_nano=5, expires_at=now - HOUR, source="used up"
    )
    # What is left of a grant that expired stands, where nothing is available.
    stranger = people.stranger
    with transaction.atomic():
        promo.grant(stranger, 5, "redeem:test", "redeem", expires_at=now + HOUR, actor="", cause={})
        lines = (
            Entry("customer:available", stranger.id, -5),
            Entry("equity:adjustment", stranger.id, 5),
        )
        post(Posting("test:spent", "adjust", lines))
    PromoGrant.objects.filter(organisation=stranger).update(expires_at=now - HOUR)
    return key


SUBSCRIPTION = "I19 what subscriptions were charged, and what that includes, is in the ledger"
CLOSED = "I19 the total of a closed invoice is the sum of its lines, and of what it posted"
EXPIRED = "I20 nothing is left of a grant that expired a minute ago and that nobody may use"
USED = "I22 a code is used as often as it was redeemed, and not too often"
PAID = "I21 a top-up is paid by exactly one posting of its amount"
MORE = "UPDATE billing_account SET balance_nano = balance_nano + 1 WHERE kind = "
# What is one too many or too few, and the invariant that names it.
ONE_OFF = [
    ("I4 no customer's balance is below its credit line",
     "ALTER TABLE billing_account DROP CONSTRAINT customer_balance_not_negative;"
     " UPDATE billing_account SET balance_nano = -1 WHERE kind = 'customer:held'"),
    ("I7 every late truth is posted once, and linked to its attempt",
     "UPDATE billing_posting SET kind = 'correct',"
     " idempotency_id = 'correct:' || gen_random_uuid() WHERE kind = 'opening'"),
    ("I15 what an attempt cost is owed to its provider",
     "UPDATE usage_usagerecord SET cost_nano = charge_nano + 1"),
    ("I15 what we owe is what was sold and what we bear", MORE + "'provider:payable'"),
    (CLOSED, "UPDATE billing_invoice SET total_nano = 1"),
    (CLOSED, "UPDATE billing_invoice SET tax_nano = 1"),
    ("I20 what is left of promo stands on its account", MORE + "'promo:available'"),
    (EXPIRED, "UPDATE billing_promogrant SET expires_at = now() - interval '61 s';"
     " UPDATE billing_hold SET opened_at = now() - interval '61 s'"),
    (SUBSCRIPTION, MORE + "'subscription:fees'"),
    (SUBSCRIPTION, MORE + "'included:issued'"),
    (SUBSCRIPTION, "UPDATE billing_subscriptioncharge SET included_nano = included_nano + 1"),
    ("I23 what is held of included units is the sum of the holds that are not resolved",
     "UPDATE billing_includedunits SET held = held + 1"),
    (PAID, "UPDATE billing_topup SET state = 'ordered'"),
    (PAID, "UPDATE billing_topup SET amount_nano = amount_nano + 1"),
    (PAID, "UPDATE billing_topup SET payment_id = 'BANK-2'"),
    ("I24 no payment that fits no top-up waits for more than a day",
     MORE + "'processor:clearing:manual'"),
    (USED, "UPDATE billing_code SET uses = 0"),
    (USED, "UPDATE billing_codebatch SET max_uses = 0"),
    ("I23 what a budget window holds is the sum of its holds that are not resolved",
     "UPDATE billing_budgetwindow SET held_nano = 1 WHERE cap_nano > 0"),
    ("I23 what a budget window has spent is in the records and corrections",
     "UPDATE billing_budgetwindow SET spent_nano = spent_nano + 1, cap_nano = cap_nano + 1"),
    ("P2 nothing stands above a budget's cap",
     "ALTER TABLE billing_budgetwindow DROP CONSTRAINT budget_never_exceeded;"
     " UPDATE billing_budgetwindow SET cap_nano = -1"),
    ("a request has one final record at most",
     "UPDATE usage_usagerecord SET request_id ="
     " (SELECT request_id FROM usage_usagerecord LIMIT 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wrong"), ONE_OFF)
def test_each_one_off_difference_is_named(whole: Key, name: str, wrong: str) -> None:
    assert broken() == {}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    edit(wrong)
    assert name in broken()


def test_an_expired_grant_may_remain_while_an_older_request_runs(whole: Key) -> None:
    """I20."""
    edit("UPDATE billing_promogrant SET expires_at = now() - interval '61 s';"
         " UPDATE billing_hold SET opened_at = now() - interval '62 s'")  # fmt: skip
    assert EXPIRED not in broken()


def test_growing_books_are_checked_from_the_last_check_on(key: Key) -> None:
    """As those of a hub that many tests share: what is new, and every balance."""
    older = charged(key, mid_month(), 5)
    books = GrowingBooks()
    with connection.cursor() as cursor:
        books.assert_balance(cursor)
        newer = rows.happen(key, clock.now(), charge_nano=7)
        for _ in range(2):  # what was summed is not summed again
            books.assert_balance(cursor)
        more = "UPDATE usage_usagerecord SET charge_nano = charge_nano + 1 WHERE id ="
        for wrong in (MORE + "'customer:available'", MORE + "'revenue'", f"{more} '{newer.id}'"):
            with fault_within(wrong), pytest.raises(AssertionError):
                books.assert_balance(cursor)
        # What was found right before is left to the check of the whole.
        with fault_within(f"{more} '{older.id}'"):
            books.assert_balance(cursor)
            assert broken()
        books.assert_balance(cursor)


def test_five_rows_of_an_invariant_are_shown(key: Key) -> None:
    for _ in range(6):
        rows.happen(key, charge_nano=5)
    edit("UPDATE usage_usagerecord SET hold_nano = charge_nano - 1")
    assert len(broken()["I13 nothing is charged above its hold"]) == 5


def test_the_oldest_lines_of_older_books_are_compared_too(key: Key) -> None:
    """I15: from the first posting on that has lines on the account."""
    rows.happen(key, clock.now(), charge_nano=5)
    post_as_before()
    assert broken() == {}
    edit("UPDATE usage_usagerecord SET cost_nano = charge_nano + 1")
    assert "I15 what an attempt cost is owed to its provider" in broken()


def test_violating_row_names_its_figures(key: Key) -> None:
    rows.happen(key, charge_nano=5)
    edit("UPDATE usage_usagerecord SET charge_nano = charge_nano + 1")
    with connection.cursor() as cursor:
        parameters = Span(None, None).parameters()
        (row,) = rows_that_break(cursor, "I10 revenue of a record is its charge", parameters, 5)
    assert {row.expected, row.found} == {5, 6}


QUARTER = dt.timedelta(minutes=15)
ROLLED = "I16 a rollup is the sum of its records"
SIGNED = "I16 the rollups of a detached month are what was signed"


def breaking(name: str, from_at: dt.datetime | None, to_at: dt.datetime | None) -> bool:
    """Whether rows of a span break an invariant."""
    with connection.cursor() as cursor:
        return bool(rows_that_break(cursor, name, Span(from_at, to_at).parameters(), 5))


def test_a_span_includes_its_start_and_excludes_its_end(key: Key) -> None:
    """I25: no row is between two spans, none is in both."""
    name = "I10 revenue of a record is its charge"
    rows.happen(key, charge_nano=5)
    edit("UPDATE usage_usagerecord SET charge_nano = charge_nano + 1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT created_at FROM billing_posting WHERE kind = 'settle'")
        at = cursor.fetchone()[0]
    tick = dt.timedelta(microseconds=1)
    assert breaking(name, at, at + tick)
    assert not breaking(name, at - tick, at)
    assert not breaking(name, at + tick, at + 2 * tick)


def test_a_quarter_of_an_hour_is_in_one_span(key: Key) -> None:
    """I16."""
    rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        cursor.execute("UPDATE usage_rollupwatermark SET xid = xid + 1000000")
    around = [(rows.NOON + n * QUARTER, rows.NOON + (n + 1) * QUARTER) for n in (-1, 0, 1)]
    assert [breaking(ROLLED, *span) for span in around] == [False, False, False]
    edit("UPDATE usage_rollup SET charge_nano = charge_nano + 1")
    assert [breaking(ROLLED, *span) for span in around] == [False, True, False]


@pytest.mark.parametrize(("later", "wrong"), [(0, False), (1, True)])
def test_rollups_are_compared_up_to_their_mark(key: Key, later: int, wrong: bool) -> None:
    """I16: transactions before the mark."""
    rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        cursor.execute("UPDATE usage_rollup SET charge_nano = charge_nano + 1")
        cursor.execute(
            "UPDATE usage_rollupwatermark SET xid = %s + ("
            "SELECT max(xid::text::bigint) FROM usage_usagerecord)", [later]
        )  # fmt: skip
    assert (ROLLED in broken()) is wrong


@pytest.mark.parametrize(
    ("from_at", "to_at", "rolled", "signed"),
    [
        (rows.NOON, rows.NOON + HOUR, False, True),
        (rows.NOON - HOUR, rows.NOON, True, False),
        (rows.NOON + QUARTER, rows.NOON + HOUR, True, False),
    ],
)
def test_a_detached_month_has_its_first_instant_and_not_its_last(
    key: Key, from_at: dt.datetime, to_at: dt.datetime, rolled: bool, signed: bool
) -> None:
    """I16: its sums are compared with what was signed, no longer with records."""
    record = rows.happen(key, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        cursor.execute("UPDATE usage_rollupwatermark SET xid = xid + 1000000")
    edit("UPDATE usage_rollup SET charge_nano = charge_nano + 1;"
         f" UPDATE usage_dayrollup SET bucket_at = '{rows.NOON.isoformat()}'")  # fmt: skip
    month = DetachedMonth.objects.create(
        month=from_at.date(), first_id=record.id, end_id=record.id, from_at=from_at, to_at=to_at,
        price_version_ids=[],
    )  # fmt: skip
    MonthFile.objects.create(
        month=month, name="m", bytes=0, digest=b"", rows={}, sums=[], signature=b"",
        rolled=[[str(key.organisation_id), 1, 5]] if signed else [],
    )  # fmt: skip
    assert breaking(ROLLED, None, None) is rolled
    assert not breaking(SIGNED, None, None)
    MonthFile.objects.update(rolled=[[str(key.organisation_id), 2, 5]])
    assert breaking(SIGNED, None, None)
    # A month is looked at in the span in which it ends.
    assert breaking(SIGNED, to_at - QUARTER, to_at)
    assert not breaking(SIGNED, to_at, to_at + QUARTER)
