"""What pages and jobs are measured on: books that hold, and never beside somebody's own."""

import datetime as dt
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum

from lib import clock
from usage.books.charge_check import wrong_charges
from usage.books.check import check_books
from usage.books.invariants import broken_invariants
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
    # The models cost four fifths of what they are sold for, down to a nano for each meter.
    sold, cost = (final.aggregate(nano=Sum(name))["nano"] for name in ("charge_nano", "cost_nano"))
    assert abs(sold * 4 - cost * 5) < 400 * 5 * 4
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
