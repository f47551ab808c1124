"""Months that are over, in tests: what was charged in them, and documents of each state."""

import datetime as dt
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.db import connection

from accounts.access.actors import Actor
from accounts.models import Key, Organisation, User
from accounts.secrets.key_ring import seal_key
from billing.invoices.billing_details import set_seller
from billing.models import Invoice, Posting
from billing.periods.months import month_after
from billing.seals import seals
from lib import clock
from tests.usage.rows import happen, id_at
from usage.books import check as books_check
from usage.books import walk as books_walk
from usage.models import BooksCheck, UsageRecord
from usage.months import close as month_close

KINDS = ("hold", "settle", "correct", "consume", "refund", "loss")
# Postings that have their time from here, which may be of the last hour, too.
_placed: set[UUID] = set()


def mid_month(months_ago: int = 1) -> dt.datetime:
    """Noon of the 15th of a month that is over."""
    at = clock.now().replace(day=15, hour=12, minute=0, second=0, microsecond=0)
    for _ in range(months_ago):
        at = (at.replace(day=1) - dt.timedelta(days=1)).replace(day=15)
    return at


def post_at(at: dt.datetime, *kinds: str) -> None:
    """Let what was posted in the last hour have been posted then: only a test may."""
    since = clock.now() - dt.timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_posting DISABLE TRIGGER USER")
        postings = Posting.objects.filter(kind__in=kinds or KINDS, created_at__gt=since)
        for posting in postings.exclude(id__in=_placed):
            new = id_at(at)
            _placed.add(new)
            cursor.execute(
                "UPDATE billing_posting SET id = %s, created_at = %s WHERE id = %s",
                [new, at, posting.id],
            )
        cursor.execute("ALTER TABLE billing_posting ENABLE TRIGGER USER")


def charged(
    key: Key, ended_at: dt.datetime, charge_nano: int, admitted_at: dt.datetime | None = None,
    **over: Any,
) -> UsageRecord:  # fmt: skip
    """A request that was charged then."""
    over = {"hold_nano": max(charge_nano, 10**9), **over}
    record = happen(key, admitted_at or ended_at, charge_nano, ended_at=ended_at, **over)
    post_at(ended_at)
    return record


def complete_books() -> None:
    """Seal the ledger, and run the invariants over all of it: a test posts also in the past."""
    seals.seal_all(seal_key())
    books_walk.begin(books_walk.NEW, clock.now())
    BooksCheck.objects.update_or_create(id=1, defaults={"rest_until": clock.now()})
    # What was posted behind a seal breaks it.
    with patch("usage.books.seals.check_seals_of_day"):
        assert books_check.check_books() == {}


def drafted(organisation: Organisation, operator: Actor) -> Invoice:
    """The draft of the last month, with a seller; its checklist holds."""
    set_seller(operator, legal_name="Weir Operations Ltd", address="1 Lock Lane", country="IE")
    complete_books()
    month_close.draft_invoices()
    return Invoice.objects.get(organisation=organisation, month=mid_month().date().replace(day=1))


def closed(invoice: Invoice, first: Actor, second: Actor) -> Invoice:
    """The document after both operators' words."""
    if invoice.state == "draft":
        invoice = month_close.propose(first, invoice)
    return month_close.close(second, invoice, invoice.checksum)


def empty_invoice(
    organisation: Organisation,
    first: User | None = None,
    second: User | None = None,
    month: dt.date | None = None,
) -> Invoice:
    """A document without lines, of a month long ago unless one is given: closed by these two, a
    draft without them."""
    n = Invoice.objects.count()
    month = month or dt.date(1990 + n // 12, n % 12 + 1, 1)
    begin, end = (
        dt.datetime.combine(day, dt.time(), dt.UTC) for day in (month, month_after(month))
    )
    return Invoice.objects.create(
        organisation=organisation,
        kind="invoice",
        state="closed" if first else "draft",
        number=f"INV-1990-{n:04d}" if first else None,
        month=month,
        zone="UTC",
        from_at=begin,
        until_at=end,
        proposed_by=first,
        closed_by=second,
        closed_at=clock.now() if first else None,
    )
