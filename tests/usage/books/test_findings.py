"""P33: a row that breaks a rule of the ledger is listed until an operator has acknowledged it with
a reason; checks of another version than the schema's stand aside."""

import datetime as dt
import logging
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Key, KeyKind
from accounts.secrets.key_ring import seal_key
from billing.balances import balances
from billing.models import Account, BooksWalk, BudgetWindow
from billing.seals import seals
from config.system.state import system_state
from lib import clock
from lib.database.code_migrations import code_migrations
from outbox.models import Fact
from tests.support import cast
from tests.support.cast import Cast, make_key, signed_in
from tests.support.invoicing import charged, mid_month, post_at
from tests.usage import rows
from tests.usage.books.walks import walk_to_the_end
from usage.books import check as books_check
from usage.books import findings, full_walk
from usage.books import walk as books_walk
from usage.limits import budget_simulation
from usage.models import BooksCheck, Finding
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db
NEWEST = max(name for room, name in code_migrations() if room == "usage")
BALANCE = "I3 a cached balance is the sum of its lines"


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    return key


def check() -> dict[str, list[str]]:
    BooksCheck.objects.update(rest_until=clock.now())
    result = books_check.check_books()
    assert result is not None
    return result


def balance(key: Key) -> Any:
    return Account.objects.filter(organisation_id=key.organisation_id, kind="customer:available")


def change(key: Key, nano: int) -> None:
    account = balance(key).get()
    balance(key).update(balance_nano=account.balance_nano + nano)


def test_corrected_findings_stay_listed_until_acknowledged(key: Key, people: Cast) -> None:
    assert check() == {}
    change(key, 1)
    assert BALANCE in check()
    finding = Finding.objects.get(invariant=BALANCE)
    account = balance(key).get()
    assert (finding.object, finding.found) == (str(account.id), str(account.balance_nano))
    assert int(finding.found) - int(finding.expected) == 1
    assert finding.holds
    change(key, -1)
    assert check() == {}
    finding.refresh_from_db()
    assert (finding.holds, finding.acknowledged_at) == (False, None)
    assert finding.last_seen_at >= finding.first_seen_at
    assert system_state().open_findings == 1
    dora = cast.actor(people.dora)
    findings.acknowledge(dora, finding, "  A test of ours. ")
    finding.refresh_from_db()
    assert (finding.reason, finding.acknowledged_by) == ("A test of ours.", people.dora)
    assert system_state().open_findings == 0
    event = AuditEvent.objects.get(action="finding.acknowledged")
    assert (event.reason, event.detail["object"]) == ("A test of ours.", str(account.id))
    with pytest.raises(findings.FindingRefused):
        findings.acknowledge(dora, finding, "again")


def test_persisting_acknowledged_finding_is_not_new(key: Key, people: Cast) -> None:
    check()
    change(key, 1)
    check()
    dora = cast.actor(people.dora)
    findings.acknowledge(dora, Finding.objects.get(), "Known")
    # Something else happens.
    balances.add_opening_credit(people.stranger, 5)
    assert BALANCE in check()
    assert Finding.objects.count() == 1
    # It became another one.
    change(key, 1)
    check()
    assert [one.acknowledged_at is None for one in Finding.objects.order_by("id")] == [False, True]


def test_a_walks_finding_holds_until_the_walk_misses_it(key: Key) -> None:
    record = rows.happen(key, rows.NOON, price_version_id=rows.price_version().id)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        cursor.execute("SET LOCAL session_replication_role = replica")
    for charge, holds in ((210_001, True), (210_000, False)):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE usage_usagerecord SET charge_nano = %s", [charge])
        walk_all()
        finding = Finding.objects.get(invariant=full_walk.CHARGED)
        assert (finding.object, finding.holds) == (str(record.id), holds)
    assert (finding.expected, finding.found) == ("210000", "210001")


def walk_all() -> None:
    """Every walk, from its beginning to its end."""
    check()
    walk_to_the_end()


# What somebody changes of an old month by hand, and what names it.
CHANGED = {
    "a line of a posting": (
        "ALTER TABLE billing_posting DROP CONSTRAINT posting_balanced; UPDATE billing_posting"
        " SET amounts_nano[1] = amounts_nano[1] + 1 WHERE kind = 'settle'",
        "I1 every posting sums to 0",
    ),
    "two lines of a posting that still sum to 0": (
        "UPDATE billing_posting SET amounts_nano = ARRAY(SELECT 2 * n FROM unnest(amounts_nano) n)"
        " WHERE kind = 'opening'",
        "I3 what was summed before is the sum of what stands there",
    ),
    "the cause of a sealed posting": (
        "UPDATE billing_posting SET cause = '{\"x\": 1}' WHERE kind = 'settle'",
        "P22 a sealed row is as it was",
    ),
    "a seal": ("UPDATE billing_seal SET rows = rows + 1", "P22 a sealed row is as it was"),
    "the meters of a usage record": (
        "UPDATE usage_usagerecord SET meters = jsonb_set(meters, '{out_text}', '101')",
        "I10 cost recomputes",
    ),
    "the charge of a usage record": (
        "UPDATE usage_usagerecord SET charge_nano = charge_nano + 1",
        "I10 revenue of a record is its charge",
    ),
    "an attempt": (
        "UPDATE usage_attempt SET hold_nano = hold_nano + 1",
        "I5 every hold has its attempt, every attempt its hold",
    ),
    "a rollup of a quarter of an hour": (
        "UPDATE usage_rollup SET charge_nano = charge_nano + 1",
        "I16 a rollup is the sum of its records",
    ),
    "a histogram": (
        "UPDATE usage_rollup SET timed_tokens = timed_tokens + 1",
        "I16 a rollup is the sum of its records",
    ),
    "a rollup of an hour": (
        "UPDATE usage_hourrollup SET charge_nano = charge_nano + 1",
        "I16 an hour is the sum of its quarters",
    ),
    "a rollup of a day": (
        "UPDATE usage_dayrollup SET charge_nano = charge_nano + 1",
        "I16 a day is the sum of its hours",
    ),
    **{
        f"a row of {table} whose organisation is gone": (
            f"INSERT INTO {table} SELECT (planted).* FROM (SELECT jsonb_populate_record(row,"
            " jsonb_build_object('organisation_id', gen_random_uuid())) AS planted"
            f" FROM {table} row) again",
            "every row has its organisation",
        )
        for table in (
            "usage_attempt",
            "usage_usagerecord",
            "usage_rollup",
            "usage_hourrollup",
            "usage_dayrollup",
        )
    },
}


def test_walks_find_a_changed_row_of_an_old_month(key: Key) -> None:
    """Of each table; the minute's check is not asked for it."""
    version = rows.price_version()
    charged(key, mid_month(), 210_000, price_version_id=version.id)
    post_at(mid_month(), "opening")
    seals.seal_all(seal_key())
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
        # As if every transaction so far had ended.
        cursor.execute("UPDATE usage_rollupwatermark SET xid = xid + 1000000")
        walk_all()
        assert findings.wrong_now() == {}
        for what, (text, invariant) in CHANGED.items():
            sid = transaction.savepoint()
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(text)
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
            walk_all()
            cursor.execute("UPDATE usage_rollupwatermark SET xid = 0")
            assert invariant in findings.wrong_now(), what
            transaction.savepoint_rollback(sid)


@pytest.mark.parametrize("column", ["held_nano", "spent_nano"])
def test_the_next_check_finds_a_changed_budget_counter(key: Key, column: str) -> None:
    budget = budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="key", subject=str(key.id), amount_nano=10**9,
        period="month",
    )  # fmt: skip
    now = clock.now()
    day = dt.timedelta(days=1)
    BudgetWindow.objects.update(starts_at=now - day, ends_at=now + day, cap_nano=10**9)
    window = BudgetWindow.objects.get(budget=budget)
    assert check() == {}
    BudgetWindow.objects.filter(id=window.id).update(**{column: 1})
    (result,) = check().values()
    assert result == [str(window.id)]


def test_many_findings_are_one_letter_and_one_an_hour(key: Key) -> None:
    """P29: whatever is found in one check, and in the minutes behind it."""
    check()
    Account.objects.filter(organisation_id=key.organisation_id).update(balance_nano=7)
    assert sum(map(len, check().values())) > 1
    (message,) = Fact.objects.filter(kind="books.wrong")
    assert message.body["count"] == Finding.objects.count()
    change(key, 1)
    BooksCheck.objects.update(rest_until=clock.now())
    Account.objects.create(
        organisation_id=key.organisation_id, kind="customer:debt", balance_nano=3
    )
    check()
    assert Fact.objects.filter(kind="books.wrong").count() == 1
    long_ago = clock.now() - dt.timedelta(minutes=61)
    Fact.objects.update(created_at=long_ago)
    Finding.objects.exclude(told_at=None).update(told_at=long_ago)
    check()
    assert Fact.objects.filter(kind="books.wrong").count() == 2


def test_one_finding_delays_no_other_check(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a statement that fails."""
    from usage.books.invariants import INVARIANTS

    broken = dict(INVARIANTS)
    first = next(iter(broken))
    monkeypatch.setitem(INVARIANTS, first, "SELECT nobody")
    change(key, 1)
    assert BALANCE in check()
    assert first in BooksWalk.objects.get(name="new").unfinished[0]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO django_migrations (app, name, applied) VALUES ('usage', '9999_new', now())",
        f"DELETE FROM django_migrations WHERE app = 'usage' AND name = '{NEWEST}'",
    ],
)
def test_a_check_of_another_version_than_the_schema_stands_aside(
    key: Key, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """No letter for each update: one line a minute, and System health says so."""
    check()
    change(key, 1)
    BooksCheck.objects.update(rest_until=clock.now())
    with connection.cursor() as cursor:
        cursor.execute(text)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert books_check.check_books() is None
    assert len([line for line in caplog.records if "stands aside" in line.message]) == 1
    assert not Fact.objects.filter(kind__startswith="books.").exists()
    state = system_state()
    assert state.books is not None
    assert state.books.aside
    # For as long as an update never takes, it is told.
    BooksCheck.objects.update(
        aside_since=clock.now() - dt.timedelta(hours=2), rest_until=clock.now()
    )
    assert books_check.check_books() is None
    assert Fact.objects.get().kind == "books.unchecked"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '9999_new'")
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "SELECT 'usage', %(name)s, now() WHERE NOT EXISTS ("
            "SELECT FROM django_migrations WHERE app = 'usage' AND name = %(name)s)",
            {"name": NEWEST},
        )
    assert BALANCE in check()
    assert BooksCheck.objects.get().aside_since is None


def test_findings_during_a_migration_are_ignored(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that has begun before an update reads what the newer version has changed."""
    check()
    change(key, 1)
    walk = books_walk.walk

    def migrated_meanwhile(*arguments: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) "
                "VALUES ('usage', '9999_new', now())"
            )
        return walk(*arguments)

    newest = BooksWalk.objects.get(name="new").to_at
    monkeypatch.setattr(books_walk, "walk", migrated_meanwhile)
    BooksCheck.objects.update(rest_until=clock.now())
    assert books_check.check_books() is None
    assert not Finding.objects.exists()
    assert not Fact.objects.filter(kind__startswith="books.").exists()
    assert BooksWalk.objects.get(name="new").to_at == newest
    monkeypatch.undo()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '9999_new'")
    assert BALANCE in check()


def test_the_page_lists_and_acknowledges(key: Key, people: Cast) -> None:
    check()
    change(key, 1)
    check()
    finding = Finding.objects.get()
    dora = signed_in(people.dora)
    assert BALANCE in dora.get("/admin/findings").content.decode()
    assert "1 to acknowledge" in dora.get("/admin/health").content.decode()
    assert finding.object in dora.get(f"/admin/findings/{finding.id}").content.decode()
    url = f"/admin/findings/{finding.id}/acknowledge"
    assert dora.post(url, {"reason": " "}).status_code == 422
    assert dora.post(url, {"reason": "Put right"}).status_code == 303
    assert BALANCE not in dora.get("/admin/findings?state=open").content.decode()
    assert BALANCE in dora.get("/admin/findings?state=wrong").content.decode()
    assert signed_in(people.alice).get("/admin/findings").status_code in (403, 404)


def test_the_api_lists_reads_and_acknowledges(key: Key, people: Cast) -> None:
    check()
    change(key, 1)
    check()
    dora = signed_in(people.dora)
    (item,) = dora.get("/api/v1/findings?open=true").json()["items"]
    assert (item["invariant"], item["holds"]) == (BALANCE, True)
    assert dora.get(f"/api/v1/findings/{item['id']}").json() == item
    url = f"/api/v1/findings/{item['id']}/acknowledge"
    body = {"reason": "Put right"}
    done = dora.post(url, body, content_type="application/json").json()
    assert (done["acknowledged_by"], done["reason"]) == (people.dora.email, "Put right")
    again = dora.post(url, body, content_type="application/json")
    assert (again.status_code, "already" in again.content.decode()) == (422, True)
    assert dora.get("/api/v1/findings?open=true").json()["items"] == []
    assert dora.get("/api/v1/findings/999999").status_code == 404
    assert dora.get("/api/v1/system").json()["open_findings"] == 0
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    assert cast.with_key(text).get("/api/v1/findings").status_code in (403, 404)


def test_the_metrics_say_how_many_are_open(key: Key, people: Cast) -> None:
    check()
    change(key, 1)
    check()
    walk_all()
    text = signed_in(people.dora).get("/metrics").content.decode()
    assert "weir_ledger_findings_open 1.0" in text
    assert "weir_ledger_walked_timestamp_seconds " in text
