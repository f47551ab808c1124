"""I19: what happens in the first instant of a month is on its invoice, in the first one after it on
the next."""

import datetime as dt
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.models import Key
from billing.invoices.invoices import movement_of
from billing.ledger.funding import consume_promo
from billing.ledger.ledger import post
from billing.ledger.posting import Entry, Posting
from billing.period_starts import Span
from lib.ids import new_id
from tests.usage import rows
from usage.months.invoice_lines import gather

pytestmark = pytest.mark.django_db

UTC = ZoneInfo("UTC")
MONTH = Span(dt.datetime(2026, 10, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
TICK = dt.timedelta(microseconds=1)


def happen_at(key: Key, at: dt.datetime) -> None:
    """A charge, a correction, a fee and a use of promo, all of one instant."""
    owner = key.organisation_id
    version = rows.price_version()
    rows.happen(key, at, price_version_id=version.id, ended_at=at)
    lines = (Entry("revenue", owner, 3), Entry("customer:available", owner, -3))
    post(Posting(f"adjust:{new_id()}:late", "correct", lines))
    fee = (Entry("subscription:fees", owner, 4), Entry("customer:available", owner, -4))
    post(Posting(f"subscription:{new_id()}", "adjust", fee), cause={"reason": "Pro"})
    post(consume_promo(UUID(int=1), 1, 5, owner))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SELECT id FROM billing_posting")
        for (id_,) in cursor.fetchall():
            cursor.execute(
                "UPDATE billing_posting SET created_at = %s, id = %s WHERE id = %s",
                [at, rows.id_at(at), id_],
            )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.mark.parametrize(
    ("at", "inside"),
    [(MONTH.start_at - TICK, False), (MONTH.start_at, True),
     (MONTH.end_at - TICK, True), (MONTH.end_at, False)],
)  # fmt: skip
def test_an_instant_is_of_one_month(key: Key, at: dt.datetime, inside: bool) -> None:
    happen_at(key, at)
    found = gather(key.organisation, UTC, MONTH)
    lines = {"usage", "correction", "subscription", "credit"} if inside else set()
    assert {line.kind for line in found.lines} == lines
    assert bool(found.movement) is inside
    before = gather(key.organisation, UTC, Span(MONTH.start_at - (MONTH.end_at - MONTH.start_at),
                                                MONTH.start_at))  # fmt: skip
    assert bool(before.lines) is (at < MONTH.start_at)


def test_the_movement_counts_postings_and_sums_their_lines(key: Key) -> None:
    happen_at(key, MONTH.start_at)
    assert ["correct", "revenue", 1, 3] in movement_of(key.organisation_id, MONTH)
    assert ["consume", "promo:earmarked", 1, 5] in movement_of(key.organisation_id, MONTH)
