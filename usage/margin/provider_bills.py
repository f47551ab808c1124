"""Reconciliation: compare a provider's bill with the costs in our records, and work off the
differences (W79).

The cost of a request is its record's cost, or its charge if no cost price is known. A bill covers
UTC days and some channels. A difference above the tolerance stays open until it is settled with a
note.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from accounts.audit import audit
from billing.currency.money import format_usd
from lib import clock
from lib.files.sheets import SheetUnreadable, sheet_rows
from lib.ids import first_id_at, id_text
from lib.refusal import check_text
from outbox.facts import put
from usage.margin.provider_bill_lines import BillLine, BillRefused, Columns, bill_lines
from usage.models import BillDifference, BillMapping, ProviderBill
from usage.months.detached import detached_on

DIFFERENCES_MAX: Final = 10_000
DAYS_MAX: Final = 100
NOTE_MAX: Final = 500
# No record is of another year, and such days may be outside of the ids and the calendar.
_YEARS: Final = (2000, 2199)
# Ids come from the processes' clocks, times from the database's. They differ by less than an hour.
_SLACK: Final = dt.timedelta(hours=1)


def visible_bills(actor: Actor) -> QuerySet[ProviderBill]:
    """Return every bill, newest first, for operators. Each has `difference_count` and `open_count`,
    the number of those that are not settled."""
    require(actor, "credits.read")
    rows = ProviderBill.objects.select_related("created_by").annotate(
        difference_count=Count("differences"),
        open_count=Count("differences", filter=Q(differences__settled_at=None)),
    )
    return rows.order_by("-id")


def access_bill(actor: Actor, id: str) -> ProviderBill:
    """Return a bill. Raises Http404."""
    return get_by_id(visible_bills(actor), id)


def access_difference(actor: Actor, bill: ProviderBill, n: int) -> BillDifference:
    """Return a difference of a bill. Raises Http404."""
    require(actor, "credits.read")
    difference = BillDifference.objects.filter(bill=bill, n=n).select_related("settled_by").first()
    if difference is None:
        raise Http404
    return difference


def kept_mappings(actor: Actor) -> QuerySet[BillMapping]:
    """Return how bills were read, by provider, for operators."""
    require(actor, "credits.read")
    return BillMapping.objects.order_by("provider")


def mapping_of(provider: str) -> BillMapping:
    """Return how the last bill of this provider was read, or a new mapping."""
    return BillMapping.objects.filter(provider=provider).first() or BillMapping(provider=provider)


def reconcile(
    actor: Actor,
    mapping: BillMapping,
    channels: Sequence[UUID],
    first_on: dt.date,
    last_on: dt.date,
    file: IO[bytes],
    file_name: str,
) -> ProviderBill:
    """Compare a bill with our records of the same days and channels. Store the differences and the
    mapping. Raises BillRefused, and then stores nothing."""
    require(actor, "credits.write")
    if not first_on <= last_on or (last_on - first_on).days >= DAYS_MAX:
        text = gettext("A bill covers from 1 to %(n)s days.") % {"n": DAYS_MAX}
        raise BillRefused("last_on", text)
    if not _YEARS[0] <= first_on.year <= last_on.year <= _YEARS[1]:
        text = gettext("Enter days from %(first)s to %(last)s.")
        raise BillRefused("first_on", text % {"first": _YEARS[0], "last": _YEARS[1]})
    _refuse_detached(first_on, last_on)
    columns = Columns(
        mapping.match,  # type: ignore[arg-type]
        mapping.request_column,
        mapping.day_column,
        mapping.model_column,
        mapping.amount_column,
    )
    bill = ProviderBill(
        provider=mapping.provider,
        file_name=check_text("file", file_name, 200),
        match=mapping.match,
        first_on=first_on,
        last_on=last_on,
        channel_ids=list(channels),
        tolerance_nano=mapping.tolerance_nano,
        created_by=actor.user,
    )
    with transaction.atomic():
        bill.lines, bill.billed_nano = _load(bill_lines(_sheet_rows(file), columns), bill)
        result = _compare(bill)
        bill.save(force_insert=True)
        BillDifference.objects.bulk_create(
            [BillDifference(bill=bill, n=n, **one) for n, one in enumerate(result, 1)],
            batch_size=1_000,
        )
        mapping.save()
        audit.record(
            actor, None, "provider_bill.compared", bill, provider=bill.provider, lines=bill.lines,
            billed=format_usd(bill.billed_nano), ours=format_usd(bill.ours_nano),
            differences=len(result),
        )  # fmt: skip
        if result:
            put(
                "bill.differs", None, bill=id_text(bill.id), provider=bill.provider,
                first_on=first_on.isoformat(), last_on=last_on.isoformat(), differences=len(result),
                billed=format_usd(bill.billed_nano), ours=format_usd(bill.ours_nano),
                currency="USD",
            )  # fmt: skip
    return bill


def settle_difference(actor: Actor, difference: BillDifference, note: str) -> None:
    """Settle a difference with a note about its cause. Raises BillRefused."""
    require(actor, "credits.write")
    note = check_text("note", note, NOTE_MAX)
    if not note:
        raise BillRefused("note", gettext("Enter what came of it."))
    with transaction.atomic():
        locked = BillDifference.objects.select_for_update().get(id=difference.id)
        locked.note, locked.settled_by, locked.settled_at = note, actor.user, clock.now()
        locked.save(update_fields=["note", "settled_by", "settled_at"])
        audit.record(actor, None, "bill_difference.settled", locked, note=note)


def reopen_difference(actor: Actor, difference: BillDifference) -> None:
    """Reopen a difference; its note stays."""
    require(actor, "credits.write")
    with transaction.atomic():
        locked = BillDifference.objects.select_for_update().get(id=difference.id)
        locked.settled_by, locked.settled_at = None, None
        locked.save(update_fields=["settled_by", "settled_at"])
        audit.record(actor, None, "bill_difference.reopened", locked)


def _refuse_detached(first_on: dt.date, last_on: dt.date) -> None:
    """Refuse months whose requests are detached, because every line of the bill would differ."""
    if months := detached_on(first_on, last_on):
        text = gettext("The requests of %(month)s are kept in a file. Attach it first.")
        raise BillRefused("first_on", text % {"month": months[0]})


def _sheet_rows(file: IO[bytes]) -> Iterator[Sequence[object]]:
    try:
        yield from sheet_rows(file)
    except SheetUnreadable as error:
        text = gettext("The file is neither CSV in UTF-8 nor XLSX, or too large when unpacked.")
        raise BillRefused("file", text) from error


def _load(lines: Iterable[BillLine], bill: ProviderBill) -> tuple[int, int]:
    """Load the lines into a table for comparison. Return how many, and their sum."""
    count = total_nano = 0
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        with cursor.copy("COPY bill_line (request_id, day, model, nano) FROM STDIN") as copy:
            for line in lines:
                if line.day is not None and not bill.first_on <= line.day <= bill.last_on:
                    text = gettext(
                        "The file has a line of %(day)s, outside of the days of the bill."
                    )
                    raise BillRefused("first_on", text % {"day": line.day.isoformat()})
                copy.write_row(line)
                count += 1
                total_nano += line.amount_nano
    if not count:
        raise BillRefused("file", gettext("The file has no lines."))
    return count, total_nano


def _compare(bill: ProviderBill) -> list[dict[str, Any]]:
    """Return the differences above the tolerance, and set the total of our records."""
    from_at, until_at = (
        dt.datetime.combine(day, dt.time(), dt.UTC)
        for day in (bill.first_on, bill.last_on + dt.timedelta(days=1))
    )
    parameters: dict[str, Any] = {
        "from": from_at,
        "until": until_at,
        "first_id": first_id_at(from_at - _SLACK),
        "until_id": first_id_at(until_at + _SLACK),
        "channels": bill.channel_ids,
        "tolerance": bill.tolerance_nano,
        "most": DIFFERENCES_MAX + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OURS, parameters)
        cursor.execute("SELECT coalesce(sum(nano), 0)::bigint FROM bill_ours")
        bill.ours_nano = int(cursor.fetchall()[0][0])
        cursor.execute(_BY_REQUEST if bill.match == "request" else _BY_DAY, parameters)
        rows = cursor.fetchall()
        cursor.execute("DROP TABLE bill_line, bill_ours")
    if len(rows) > DIFFERENCES_MAX:
        text = gettext(
            "More than %(n)s lines differ. Check the columns, the days and the channels."
        )
        raise BillRefused("file", text % {"n": DIFFERENCES_MAX})
    names = ("kind", "request_id", "day", "model", "billed_nano", "ours_nano")
    return [dict(zip(names, row, strict=True)) for row in rows]


_TABLE: Final = """
    CREATE TEMPORARY TABLE bill_line (request_id uuid, day date, model text, nano bigint NOT NULL)
    ON COMMIT DROP"""
_OURS: Final = """
    CREATE TEMPORARY TABLE bill_ours ON COMMIT DROP AS
    SELECT id AS request_id, (admitted_at AT TIME ZONE 'UTC')::date AS day,
           upstream_model AS model, coalesce(cost_nano, charge_nano) AS nano
    FROM usage_usagerecord
    WHERE id >= %(first_id)s AND id < %(until_id)s AND admitted_at >= %(from)s
    AND admitted_at < %(until)s AND channel_id = ANY (%(channels)s)
    AND coalesce(cost_nano, charge_nano) <> 0"""
_KIND: Final = """
    CASE WHEN b.nano IS NULL THEN 'not_billed' WHEN o.nano IS NULL THEN 'not_recorded'
    ELSE 'differs' END"""
_DIFFERS: Final = "abs(coalesce(b.nano, 0) - coalesce(o.nano, 0)) > %(tolerance)s"
_LARGEST: Final = """
    ORDER BY abs(coalesce(b.nano, 0) - coalesce(o.nano, 0)) DESC, 2, 3, 4 LIMIT %(most)s"""
_BY_REQUEST: Final = f"""
    SELECT {_KIND}, request_id, o.day, coalesce(o.model, ''), coalesce(b.nano, 0),
           coalesce(o.nano, 0)
    FROM (SELECT request_id, sum(nano)::bigint AS nano FROM bill_line GROUP BY 1) b
    FULL JOIN bill_ours o USING (request_id)
    WHERE {_DIFFERS} {_LARGEST}"""  # noqa: S608 - made of constants
_BY_DAY: Final = f"""
    SELECT {_KIND}, NULL::uuid, day, model, coalesce(b.nano, 0), coalesce(o.nano, 0)
    FROM (SELECT day, model, sum(nano)::bigint AS nano FROM bill_line GROUP BY 1, 2) b
    FULL JOIN (SELECT day, model, sum(nano)::bigint AS nano FROM bill_ours GROUP BY 1, 2) o
    USING (day, model)
    WHERE {_DIFFERS} {_LARGEST}"""  # noqa: S608 - made of constants
