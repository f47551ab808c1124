"""I19: the month of late usage is that of the organisation's zone, of a charge and of what corrects
it."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.models import Key
from billing.ledger.ledger import post
from billing.ledger.posting import Entry, Posting
from billing.models import Posting as StoredPosting
from billing.periods.months import month_span
from tests.usage import rows
from usage.months.invoice_lines import gather

ZONES: Final = ("Asia/Tokyo", "America/Los_Angeles")
HOURS: Final = (-10, -1, 1, 10)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ZONES)
def test_late_usage_is_of_the_month_of_its_zone(key: Key, zone: str) -> None:
    here, owner = ZoneInfo(zone), key.organisation_id
    span = month_span(dt.date(2026, 12, 1), here)
    ended_at = span.start_at + dt.timedelta(days=2)
    months = set[dt.date]()
    for hours in HOURS:
        # Around the beginning of November in UTC and in each zone; all of it ends in December.
        at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
        version = rows.price_version(f"m{hours}")
        record = rows.happen(
            key, at, model=f"m{hours}", price_version_id=version.id, ended_at=ended_at
        )
        lines = (Entry("revenue", owner, 3), Entry("customer:available", owner, -3))
        post(Posting(f"adjust:{record.id}:late", "correct", lines))
        months.add(at.astimezone(here).date().replace(day=1))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for id_ in StoredPosting.objects.filter(kind="correct").values_list("id", flat=True):
            cursor.execute(
                "UPDATE billing_posting SET created_at = %s, id = %s WHERE id = %s",
                [ended_at, rows.id_at(ended_at), id_],
            )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    origins = {
        (line.kind, line.model): line.origin for line in gather(key.organisation, here, span).lines
    }
    assert len(origins) == 2 * len(HOURS)
    for (_, model), origin in origins.items():
        at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC) + dt.timedelta(hours=int(model[1:]))
        assert origin == at.astimezone(here).date().replace(day=1)
    assert months == {dt.date(2026, 10, 1), dt.date(2026, 11, 1)}
