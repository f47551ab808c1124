"""What pages and jobs are measured on: books that hold, and never beside somebody's own."""

import datetime as dt
import random
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import PriceVersion
from lib import clock
from usage.books.charge_check import wrong_charges
from usage.books.check import check_books
from usage.books.invariants import broken_invariants
from usage.management import demo_data
from usage.models import BooksCheck, Rollup, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


def test_books_of_demo_data_hold() -> None:
    check_books()
    out = StringIO()
    call_command("demo_data", rows=400, days=40, stdout=out)
    assert out.getvalue().startswith("400 requests from ")
    final = UsageRecord.objects.filter(final=True)
    assert final.count() == 400
    assert sum(Rollup.objects.values_list("requests", flat=True)) == 400
    assert len(set(final.values_list("organisation_id", flat=True))) == 3
    first, last = final.earliest("admitted_at"), final.latest("admitted_at")
    assert last.admitted_at - first.admitted_at > dt.timedelta(days=35)
    with connection.cursor() as cursor:
        assert broken_invariants(cursor) == {}
        cursor.execute("SELECT count(*) FROM usage_usagerecord_other")
        assert cursor.fetchone() == (0,)
    assert list(wrong_charges()) == []
    BooksCheck.objects.update(rest_until=clock.now())
    assert check_books() == {}
    with pytest.raises(CommandError, match="has requests already"):
        call_command("demo_data", rows=1)


def test_demo_models_cost_less_than_they_are_sold_for() -> None:
    rates = {"in_text": 500, "in_cache_read": 250, "out_text": 2_000, "out_reasoning": 2_000}
    sold, cost = (
        PriceVersion(rates={"meters": {name: rate * 10**7 * part for name, rate in rates.items()}})
        for part in (5, 4)
    )
    channels = [(UUID(int=1), "a"), (UUID(int=2), "b")]
    for seed in range(9):
        shape = demo_data._shape(random.Random(seed), "m", sold, cost, channels)
        assert shape.charge_nano * 4 == shape.cost_nano * 5 > 0
