"""W40, I18, I19: opening + lines = closing = what the accounts hold, whatever is kept already."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from accounts.models import Key
from billing.balances.balances import add_opening_credit, balance
from billing.ledger import statement
from billing.ledger.statement import Statement, month_after, month_before, month_of
from billing.models import Posting, StatementDay
from lib import clock
from tests.support import cast
from tests.usage.rows import admit, happen, id_at

USD = 10**9


@pytest.fixture
def key(people: cast.Cast) -> Key:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 100 * USD)
    return key


def move_postings(at: dt.datetime, *kinds: str) -> None:
    """Let what was posted in the last hour have been posted then: only a test may."""
    since = clock.now() - dt.timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_posting DISABLE TRIGGER USER")
        for posting in Posting.objects.filter(kind__in=kinds, created_at__gt=since):
            new = id_at(at)
            cursor.execute(
                "UPDATE billing_posting SET id = %s, created_at = %s WHERE id = %s",
                [new, at, posting.id],
            )
        cursor.execute("ALTER TABLE billing_posting ENABLE TRIGGER USER")


def test_months() -> None:
    assert month_of("2026-11") == dt.date(2026, 11, 1)
    assert month_after(dt.date(2026, 12, 1)) == dt.date(2027, 1, 1)
    assert month_of("2000-01") == dt.date(2000, 1, 1)
    assert month_of("2999-12") == dt.date(2999, 12, 1)
    assert month_before(dt.date(2026, 1, 1)) == dt.date(2025, 12, 1)


@pytest.mark.parametrize(
    "text",
    ["2026-13", "1999-12", "3000-01", "2026-1", "nonsense", "2026-11-01", "", "0000-01", "9999-12"],
)
def test_invalid_months(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        month_of(text)


def assert_ties(new_statement: Statement) -> None:
    assert (
        new_statement.opening_nano + sum(line.amount_nano for line in new_statement.lines)
        == new_statement.closing_nano
    )
    closing_nano = new_statement.closing_nano
    for line in new_statement.lines:
        assert line.balance_nano == closing_nano
        closing_nano -= line.amount_nano


def test_usage_is_one_line_per_day_and_everything_ties(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A day is closed ten minutes after it: not between two calls of this test.
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)
    today = (at - dt.timedelta(minutes=10)).replace(hour=0, minute=0, second=0, microsecond=0)
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 100 * USD)
    move_postings(today - dt.timedelta(days=70), "opening")
    for days, charge in ((40, 3), (40, 4), (1, 5)):
        happen(key, clock.now(), charge * USD, hold_nano=6 * USD)
        move_postings(today - dt.timedelta(days=days, hours=-3), "hold", "settle")
    admit(key, clock.now(), hold_nano=2 * USD)
    this = statement.statement(people.acme, month_of(None))
    then_month = (today - dt.timedelta(days=40)).date().replace(day=1)
    then = statement.statement(people.acme, then_month)
    assert [(line.kind, line.count, line.amount_nano) for line in then.lines] == [
        ("usage", 2, -7 * USD)
    ]
    # Above what else moved that day.
    assert then.lines[0].at == today - dt.timedelta(days=39, microseconds=1)
    assert this.closing_nano == 88 * USD
    assert this.closing_nano == sum(balance(people.acme)[:2])
    before = [then, this]
    for one in before:
        assert_ties(one)
    assert statement.close_days(3) == 3
    assert statement.close_days(1000) == 1
    assert StatementDay.objects.count() >= 2
    assert [statement.statement(people.acme, one.month) for one in before] == before
    assert statement.close_days(1000) == 0
    latest = statement.latest_statements(people.acme, 3)
    assert latest[-1] == this
    assert [one for one in latest if one.month == then_month] == [then]
    for days, spent in ((0, 0), (1, 5), (30, 5), (40, 12)):
        first = (today - dt.timedelta(days=days)).date()
        assert statement.spent_nano(latest, first) == spent * USD


def test_days_are_closed_after_any_time_without_usage(people: cast.Cast) -> None:
    """I18: each run starts at the next day with usage, so that an idle time ends no closing."""
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 100 * USD)
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    move_postings(today - dt.timedelta(days=190), "opening")
    used = [today - dt.timedelta(days=days) for days in (120, 50)]
    for day in used:
        happen(key, clock.now(), USD)
        # The first instant of its day: the id may be from the day before.
        move_postings(day, "hold", "settle")
    for _ in used:
        assert statement.close_days(31) == 31
    days = StatementDay.objects.values_list("day", flat=True).order_by("day")
    assert list(days) == [day.date() for day in used]
    assert statement.close_days(31) == 0


def test_a_day_of_free_requests_is_no_line(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core)
    add_opening_credit(people.acme, 5 * USD)
    happen(key, clock.now(), 0)
    lines = statement.statement(people.acme, month_of(None)).lines
    assert {(line.kind, line.count, line.amount_nano) for line in lines} == {
        ("opening", 1, 5 * USD),
    }


def test_the_opening_credit_is_a_line(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 5 * USD)
    result = statement.statement(people.acme, month_of(None))
    assert [(line.kind, line.amount_nano, line.balance_nano) for line in result.lines] == [
        ("opening", 5 * USD, 5 * USD)
    ]
    assert (result.opening_nano, result.closing_nano) == (0, 5 * USD)
    empty = statement.statement(people.stranger, month_of(None))
    assert (empty.opening_nano, empty.closing_nano, empty.lines) == (0, 0, [])


def test_page_reads_todays_requests_once(people: cast.Cast) -> None:
    """However many figures it shows: they are as many as were asked since midnight."""
    add_opening_credit(people.acme, 100 * USD)
    looked: list[str] = []

    def note(execute: Any, text: str, parameters: Any, many: bool, context: Any) -> Any:
        if isinstance(parameters, dict) and "billing_posting" in text:
            now = clock.now()
            looked.extend(
                name
                for name in ("live", "tail")
                if parameters[f"{name}_first"] <= now < parameters[f"{name}_until"]
            )
        return execute(text, parameters, many, context)

    client = cast.signed_in(people.alice)
    with connection.execute_wrapper(note):
        assert client.get("/o/acme/billing").status_code == 200
    assert looked == ["live"]
