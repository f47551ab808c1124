"""The company of the documentation's pictures: its books hold, whatever was checked before."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.secrets.key_ring import seal_key
from billing.models import BooksWalk
from billing.seals.seals import broken_seals, seal_all
from lib import clock
from tools import company
from tools.screenshots import HUB
from usage.books import full_walk
from usage.books.charge_check import wrong_charges
from usage.books.check import check_books
from usage.books.invariants import broken_invariants
from usage.models import BooksCheck, Finding
from usage.rollups.rollups import rebuild

pytestmark = [pytest.mark.django_db(transaction=True)]


def check_again() -> None:
    """As each minute, and as beside it: new entries, seals, and a turn of each walk."""
    BooksCheck.objects.update(rest_until=clock.now())
    check_books()
    seal_all(seal_key())
    for _ in full_walk.WALKS:
        BooksWalk.objects.update(rest_until=clock.now())
        full_walk.check_whole()


def test_demo_books_balance_after_earlier_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I3, I23, P22: its postings are of the last month, long after the first check and seal."""
    # One request of each source on a day is enough of the same.
    few = [source._replace(per_day=1) for source in company._SOURCES]
    monkeypatch.setattr(company, "_SOURCES", few)
    members.add_person("demo@weir.example", name="Ada Brook", operator=True, actor=SYSTEM)
    file = tmp_path / "hub.yaml"
    file.write_text(HUB.format(provider="http://127.0.0.1:9/v1", services="http://127.0.0.1:9"))
    call_command("apply", str(file), stdout=StringIO())
    check_again()
    company.make()
    rebuild()
    for _ in range(3):
        check_again()
    assert list(Finding.objects.values_list("invariant", "object", "expected", "found")) == []
    with connection.cursor() as cursor:
        assert broken_invariants(cursor) == {}
        assert broken_seals(cursor, seal_key()) == []
    assert list(wrong_charges()) == []
