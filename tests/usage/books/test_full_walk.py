"""The walks through the whole books take a limited share of a core."""

import datetime as dt
import time

import pytest
from django.db import connection, transaction

from billing.models import BooksWalk
from billing.seals.seals import seal_all
from lib import clock
from tests.support import cast
from tests.usage.rows import admit, credit
from usage.books import full_walk, written_rows
from usage.books.full_walk import QUIET_SHARE, SHARE, WALKS, check_whole
from usage.books.written_rows import TURN, count_written_rows

TOOK_S = 0.5


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How many rows were written. Each turn takes as long, and is a whole walk."""
    rows = ["7"]
    times = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: next(times) * TOOK_S)
    monkeypatch.setattr(full_walk, "WALKS", dict.fromkeys(WALKS, lambda walk, unfinished: True))
    monkeypatch.setattr(full_walk, "AGAIN", dt.timedelta())
    monkeypatch.setattr(written_rows, "count_written_rows", lambda: rows[0])
    return rows


def rest_s() -> float:
    """How long the next turn waits after this one."""
    BooksWalk.objects.filter(name=TURN).update(rest_until=clock.now())
    check_whole()
    rest = BooksWalk.objects.get(name=TURN).rest_until - clock.now()
    return rest.total_seconds()


@pytest.mark.django_db
def test_walked_and_unwritten_books_rest_longer(written: list[str]) -> None:
    """P33: a row that was written, also by hand, is walked at the whole share."""
    busy, quiet = (
        pytest.approx(TOOK_S * (1 / share - 1), rel=0.05) for share in (SHARE, QUIET_SHARE)
    )
    for count in ("7", "8"):
        written[0] = count
        # The turn that notices the change, and those before each walk has ended once more.
        assert [rest_s() for _ in WALKS] == [busy] * len(WALKS)
        assert [rest_s(), rest_s()] == [quiet, quiet]


@pytest.mark.django_db(transaction=True)
def test_manual_change_counts_as_written() -> None:
    key, _ = cast.make_key(cast.assemble().core)
    credit(key)

    def count_after(statement: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            # Postgres reports what a session wrote once a second, or now.
            cursor.execute("SELECT pg_stat_force_next_flush()")
        return int(count_written_rows().split()[0])

    before = count_after("SELECT 1")
    assert (
        count_after("UPDATE billing_walletsetting SET organisation_id = organisation_id") == before
    )
    assert count_after("UPDATE billing_account SET id = id") > before
    # A row of a month.
    admit(key)
    before = count_after("SELECT 1")
    assert count_after("UPDATE billing_hold SET mark = mark") > before
    # A seal, as each quiet hour gets one; but one that is changed counts.
    before = count_after("SELECT 1")
    assert seal_all(b"k" * 32) > 0
    assert count_after("SELECT 1") == before
    forging = "SET LOCAL session_replication_role = replica; UPDATE billing_seal SET rows = rows"
    with transaction.atomic():
        count_after(forging)
    assert count_after("SELECT 1") > before
