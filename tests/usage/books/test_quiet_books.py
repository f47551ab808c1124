"""P33: books that nobody writes are checked once, and whatever is written, also by hand, has them
checked again. Time may break an invariant too."""

import datetime as dt
import re
import time
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import Mock

import pytest
from django.db import connection

from accounts.models import Key
from billing.models import BooksWalk, Hold
from lib import clock
from tests.support import cast
from tests.usage.rows import admit, credit, end
from usage.books import check, invariants, written_rows
from usage.books import seals as books_seals
from usage.books import walk as books_walk
from usage.books.check import check_when_due
from usage.books.walk import Findings
from usage.books.written_rows import CHECKED, TURN
from usage.models import BooksCheck

pytestmark = pytest.mark.django_db
# How far the rollups are, which a record that they have not summed changes too.
NOT_COUNTED: Final = {"usage_rollupwatermark"}
# Of the books' own 280: a look is paid for twice a minute.
STATEMENTS_MAX: Final = 26
WRITES: Final = {
    "a balance": "UPDATE billing_account SET balance_nano = balance_nano",
    # By hand, past the trigger that forbids it.
    "a record": "SET LOCAL session_replication_role = replica;"
    "UPDATE usage_usagerecord SET charge_nano = charge_nano",
    "an organisation": "UPDATE accounts_organisation SET name = name",
}


@pytest.fixture
def key() -> Key:
    created, _ = cast.make_key(cast.assemble().core)
    credit(created)
    end(admit(created))
    return created


@pytest.fixture
def checks(key: Key, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The whole checks, after one of books that were last written long before."""
    check_when_due()
    assert BooksCheck.objects.get().broken == {}
    long_ago, now = clock.now() - dt.timedelta(minutes=9), clock.now()
    BooksWalk.objects.filter(name="quiet").update(
        after=written_rows.count_written_rows(CHECKED), began_at=long_ago, ended_at=now
    )
    BooksWalk.objects.filter(name=check.DAY_TURN).update(ended_at=now)
    counted = Mock(return_value={})
    monkeypatch.setattr(check, "check_books", counted)
    return counted


def run(statement: str) -> Callable[[Key], None]:
    def write(_: Key) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return write


def test_unwritten_books_cost_a_few_statements(checks: Mock) -> None:
    statements: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    ran_at = BooksCheck.objects.get().ran_at
    with connection.execute_wrapper(count):
        check_when_due()
    assert not checks.called
    assert len(statements) <= STATEMENTS_MAX, statements
    assert BooksCheck.objects.get().ran_at > ran_at


@pytest.mark.parametrize("what", ["a balance", "a record", "an organisation", "a hold"])
def test_any_write_is_checked_at_the_next_look(key: Key, checks: Mock, what: str) -> None:
    BooksWalk.objects.filter(name="quiet").update(ended_at=clock.now() - dt.timedelta(minutes=5))
    tomorrow = clock.now() + dt.timedelta(days=1)
    BooksWalk.objects.update_or_create(
        name=TURN, defaults={"ended_at": clock.now(), "rest_until": tomorrow}
    )
    write = admit if what == "a hold" else run(WRITES[what])
    write(key)
    check_when_due()
    assert checks.call_count == 1
    # The walks of all rows begin at once, too.
    assert BooksWalk.objects.get(name=TURN).rest_until < tomorrow
    # What is written all the time is checked each minute.
    check_when_due()
    assert checks.call_count == 1


def test_a_hold_that_is_open_too_long_needs_no_write(key: Key, checks: Mock) -> None:
    admit(key)
    late = clock.now() - dt.timedelta(minutes=2)
    Hold.objects.filter(state="open").update(expires_at=late)
    BooksWalk.objects.filter(name="quiet").update(
        after=written_rows.count_written_rows(CHECKED),
        ended_at=clock.now() - dt.timedelta(minutes=5),
    )
    check_when_due()
    assert checks.call_count == 1


def test_books_are_checked_each_hour_whatever_was_counted(checks: Mock) -> None:
    hours_ago = clock.now() - dt.timedelta(hours=2)
    BooksWalk.objects.filter(name="quiet").update(
        began_at=hours_ago - dt.timedelta(hours=1), ended_at=hours_ago
    )
    check_when_due()
    assert checks.call_count == 1


@pytest.mark.parametrize("read", [{"day"}, {"dayseals"}, {"day", "dayseals"}, set[str]()])
def test_what_was_read_of_the_day_waits_for_the_other(
    key: Key, monkeypatch: pytest.MonkeyPatch, read: set[str]
) -> None:
    """Both read the whole day: begun again and again until both have ended at once, they would do
    so until midnight."""
    check_when_due()
    minutes = [clock.now() - dt.timedelta(minutes=n) for n in (3, 2, 1)]
    BooksWalk.objects.filter(name=check.DAY_TURN).update(
        after=written_rows.count_written_rows(), began_at=minutes[0], ended_at=None
    )
    for name in ("day", "dayseals"):
        # Complete, or begun before the last write.
        began_at = minutes[1] if name in read else minutes[0] - dt.timedelta(minutes=1)
        ends = {"began_at": began_at, "ended_at": minutes[2]}
        BooksWalk.objects.update_or_create(name=name, defaults=ends)
    begun = list[str]()
    monkeypatch.setattr(books_walk, "walk_day", lambda *_: begun.append("day"))
    monkeypatch.setattr(books_seals, "check_seals_of_day", lambda *_: begun.append("dayseals"))
    check._check_today(Findings(time.monotonic() + 60, 60), clock.now())
    assert {*begun} == {"day", "dayseals"} - read


def test_every_table_that_a_check_reads_is_counted() -> None:
    texts = [*invariants.INVARIANTS.values(), invariants.SUMS]
    tables = set(
        re.findall(r"\b(?:FROM|JOIN)\s+((?:accounts|billing|usage)_\w+)", "\n".join(texts))
    )
    assert len(tables) > 20
    assert tables - {*CHECKED} == NOT_COUNTED
