"""A month's statement compared with the other places that report its charges: the ledger, the
invoice and the page of usage. Each is computed from different rows, so that equal figures prove
something (W43, W44).

The ledger has a charge in the month in which it was posted, and the page of usage has a request in
the month in which it was admitted. The difference is what began in one month and ended in the next,
and corrections of earlier charges.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Sum

from accounts.models import Organisation
from billing.invoices.billing_details import zone_of
from billing.invoices.rules import SETTLED_LINES
from billing.ledger.movements import Movement, movement_of
from billing.ledger.statement import month_before
from billing.ledger.statement_months import MonthStatement, month_statement, wallet_nano
from billing.models import Invoice, InvoiceKind, InvoiceState
from billing.periods.months import month_span
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import first_id_at
from usage.filters.visibility import Where, run
from usage.models import DetachedMonth, LateTruth
from usage.months.detached import detached_within
from usage.rollups.levels import read_freshness, summed

# A request ends at most this long after its admission, because its hold expires earlier.
_REQUEST_MAX: Final = dt.timedelta(days=1)
_OF_LINES: Final = (*SETTLED_LINES, "correction")


class Check(NamedTuple):
    """The month's charges according to another source, and according to the statement. `parts` lead
    from the source's own figure to the one to compare: (label, nano)."""

    name: str
    nano: int
    expected_nano: int
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def ties(self) -> bool:
        return self.nano == self.expected_nano

    @property
    def difference_nano(self) -> int:
        return self.nano - self.expected_nano


@dataclass(frozen=True)
class TieOut:
    """A statement and its checks. There are no checks while the month is running, or while its
    requests are not summed yet. It is not compared with the page of usage if requests that began
    before an edge of the month and ended after it may be in the files of `detached` months."""

    statement: MonthStatement
    state: str
    invoice: Invoice | None
    checks: tuple[Check, ...]
    detached: tuple[DetachedMonth, ...] = ()

    @property
    def ties(self) -> bool:
        return all(check.ties for check in self.checks)


class MonthEntry(NamedTuple):
    month: dt.date
    state: str
    invoice: Invoice | None


class Proof(NamedTuple):
    """The movements of all months, and the current balance of the accounts.

    `chained` means that each month opens with the previous closing balance, the first with 0.
    `balance_nano` is the accounts' balance, and the closing balance of the last month.
    """

    months: list[TieOut]
    chained: bool
    balance_nano: int

    @property
    def ties(self) -> bool:
        return self.chained and all(month.ties for month in self.months)

    @property
    def detached(self) -> list[DetachedMonth]:
        """Return the detached months because of which statements are not compared with usage."""
        by_month = {one.month: one for month in self.months for one in month.detached}
        return [by_month[month] for month in sorted(by_month)]


def months_of(organisation: Organisation) -> list[MonthEntry]:
    """Return the months since the organisation's creation, the current one first."""
    zone = zone_of(organisation)
    by_month = _invoices(organisation)
    return [
        MonthEntry(month, _state(by_month.get(month), month_span(month, zone)), by_month.get(month))
        for month in _months(organisation, zone)
    ]


def has_month(organisation: Organisation, month: dt.date) -> bool:
    """Return whether there is a statement of the month."""
    return month in _months(organisation, zone_of(organisation))


def tie_out(organisation: Organisation, month: dt.date) -> TieOut:
    """Return the statement of a month in the organisation's time zone, and its checks."""
    return _tie_out(organisation, month, _invoices(organisation).get(month))


def proof(organisation: Organisation) -> Proof:
    """Check that entries, balances, statements and dashboards agree over the whole life of an
    organisation."""
    by_month = _invoices(organisation)
    months = [
        _tie_out(organisation, month, by_month.get(month))
        for month in _months(organisation, zone_of(organisation))
    ]
    newest_first = [month.statement for month in months]
    chained = newest_first[-1].opening_nano == 0 and all(
        later.opening_nano == earlier.closing_nano for later, earlier in pairwise(newest_first)
    )
    return Proof(months, chained, newest_first[0].closing_nano)


def _tie_out(organisation: Organisation, month: dt.date, invoice: Invoice | None) -> TieOut:
    statement = month_statement(organisation, month, zone_of(organisation))
    # If the zone has changed since, the invoice covers another period.
    same = invoice is not None and (invoice.from_at, invoice.until_at) == statement.span
    summed_to = read_freshness().complete_to
    checks: tuple[Check, ...] = ()
    detached = _detached_at_edges(statement.span)
    if summed_to is not None and statement.span.end_at + _REQUEST_MAX <= summed_to:
        compared = _checks(organisation, statement, invoice if same else None, used=not detached)
        checks = tuple(compared)
    return TieOut(statement, _state(invoice, statement.span), invoice, checks, detached)


def _detached_at_edges(span: Span) -> tuple[DetachedMonth, ...]:
    """Return the detached months that may have requests which began before an edge of the span and
    ended after it."""
    months = [one for at in span for one in detached_within(Span(at - _REQUEST_MAX, at))]
    return tuple({one.month: one for one in months}.values())


def _checks(
    organisation: Organisation, statement: MonthStatement, invoice: Invoice | None, *, used: bool
) -> Iterator[Check]:
    used_nano = -statement.moved()["usage"]
    movement: Movement = (
        invoice.movement if invoice else movement_of(organisation.id, statement.span)
    )
    yield Check("ledger", wallet_nano(movement), statement.closing_nano - statement.opening_nano)
    if invoice is not None:
        of_lines = [row.amount_nano for row in invoice.lines.filter(kind__in=_OF_LINES)]
        yield Check("invoice", sum(of_lines), used_nano)
    if not used:
        return
    shown_nano = _reported_nano(organisation, statement.span)
    began_before = _crossed_nano(organisation, statement.span.start_at)
    ended_after = _crossed_nano(organisation, statement.span.end_at)
    corrected_nano = -wallet_nano(movement, ["correct"])
    parts = (
        ("shown", shown_nano),
        ("before", began_before),
        ("after", -ended_after),
        ("corrected", corrected_nano),
    )
    yield Check("usage", sum(nano for _, nano in parts), used_nano, parts)


def paid_to_providers_nano(organisation: Organisation, span: Span) -> int:
    """Return what the organisation paid its providers itself, with its own keys, for requests
    admitted in the span, and for corrections in it: at the models' prices here. The amount is in no
    balance."""
    where = Where("r.organisation_id = %(organisation)s", {"organisation": organisation.id})
    rows = summed(where, [span])
    ((nano,),) = run(
        f"SELECT coalesce(sum(r.own_nano), 0)::bigint FROM {rows.text} r",  # noqa: S608 - own names
        rows.parameters,
    )
    corrected = LateTruth.objects.filter(
        organisation_id=organisation.id,
        own_change_nano__isnull=False,
        posted_at__gte=span.start_at,
        posted_at__lt=span.end_at,
    ).aggregate(nano=Sum("own_change_nano"))["nano"]
    return int(nano) + int(corrected or 0)


def _reported_nano(organisation: Organisation, span: Span) -> int:
    """Return the charges that the page of usage shows for requests admitted in that time."""
    where = Where("r.organisation_id = %(organisation)s", {"organisation": organisation.id})
    rows = summed(where, [span])
    ((nano,),) = run(
        f"SELECT coalesce(sum(r.charge_nano), 0)::bigint FROM {rows.text} r",  # noqa: S608 - own names
        rows.parameters,
    )
    return int(nano)


def _crossed_nano(organisation: Organisation, at: dt.datetime) -> int:
    """Return the charges after an instant for requests admitted before it."""
    ((nano,),) = run(
        _CROSSED,
        {
            "organisation": organisation.id,
            "at": at,
            "first_id": first_id_at(at - _REQUEST_MAX),
            "until_id": first_id_at(at + dt.timedelta(hours=1)),
        },
    )
    return int(nano)


def _months(organisation: Organisation, zone: ZoneInfo) -> list[dt.date]:
    month = clock.now().astimezone(zone).date().replace(day=1)
    begun = organisation.created_at.astimezone(zone).date().replace(day=1)
    months = [month]
    while month > begun:
        month = month_before(month)
        months.append(month)
    return months


def _invoices(organisation: Organisation) -> dict[dt.date, Invoice]:
    invoices = Invoice.objects.filter(organisation=organisation, kind=InvoiceKind.INVOICE)
    return {
        invoice.month: invoice for invoice in invoices.select_related("closed_by", "proposed_by")
    }


def _state(invoice: Invoice | None, span: Span) -> str:
    """Return the state of a month's invoice: `open` while it still changes, `over` while it waits
    for its close, or `closed`."""
    if clock.now() < span.end_at:
        return "open"
    return "closed" if invoice and invoice.state == InvoiceState.CLOSED else "over"


_CROSSED: Final = """
    SELECT coalesce(sum(charge_nano), 0)::bigint FROM usage_usagerecord
    WHERE organisation_id = %(organisation)s AND id >= %(first_id)s AND id < %(until_id)s
    AND admitted_at < %(at)s AND ended_at >= %(at)s"""
