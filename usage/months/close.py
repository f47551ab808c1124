"""The close of a month: a draft for each organisation, a checklist, and approval by two operators.

A month is drafted once the ledger is sealed beyond its end, so that no running transaction can
still write into it, and a forbidden write is detected. Later postings belong to the month in which
they are posted, whatever the month of their request (I18).
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Max
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.models import Organisation
from billing.approvals.approvals import (
    Kind,
    Line,
    decide,
    id_of,
    organisation_id_of,
    register,
    waiting,
)
from billing.approvals.rules import Change
from billing.credits.promo import count_spending
from billing.currency.money import parse_usd
from billing.currency.words import total_text
from billing.invoices import invoices
from billing.invoices.billing_details import seller, zone_of
from billing.invoices.document import KINDS, month_word
from billing.invoices.invoices import InvoiceRefused
from billing.invoices.payments import note_closed
from billing.invoices.rules import SETTLED_LINES
from billing.ledger.ledger import lock_wallet
from billing.ledger.movements import moved_nano
from billing.models import (
    Approval,
    Hold,
    HoldState,
    Invoice,
    InvoiceKind,
    InvoiceState,
    Seal,
    SealKind,
)
from billing.periods.months import last_month, month_after, month_span
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import first_id_at, id_text
from usage.models import BooksCheck
from usage.months.invoice_lines import CHARGED, FEES, SETTLED, gather

# How long before a month's end a request that is still under review may have begun.
_WAITS: Final = dt.timedelta(days=62)


class Check(NamedTuple):
    """One line of the checklist; `detail` says what is missing."""

    name: str
    text: str | Promise
    ok: bool
    detail: str = ""


def draft_invoices() -> int:
    """Draft every month that is over and has no document yet. Return how many were drafted."""
    sealed_to = Seal.objects.filter(kind=SealKind.LEDGER).aggregate(to=Max("to_at"))["to"]
    if sealed_to is None:
        return 0
    return sum(
        _draft(organisation, month, zone, span)
        for organisation in Organisation.objects.order_by("id")
        for month, zone, span in _periods(organisation)
        if span.end_at <= sealed_to
    )


def _periods(organisation: Organisation) -> Iterator[tuple[dt.date, ZoneInfo, Span]]:
    """Yield the months to draft: those since the last document, or the previous month if there is
    none. The first begins where the last document ended, even if the time zone has changed
    since."""
    zone = zone_of(organisation)
    newest = last_month(clock.now(), zone)
    last = (
        Invoice.objects.filter(organisation=organisation, kind=InvoiceKind.INVOICE)
        .order_by("-month")
        .first()
    )
    month = newest if last is None else month_after(last.month)
    start_at = month_span(month, zone).start_at if last is None else last.until_at
    while month <= newest:
        end_at = month_span(month, zone).end_at
        yield month, zone, Span(start_at, end_at)
        month, start_at = month_after(month), end_at


def _draft(organisation: Organisation, month: dt.date, zone: ZoneInfo, span: Span) -> bool:
    contents = gather(organisation, zone, span)
    if not contents.lines:
        return False
    invoices.draft_invoice(organisation, month, zone, span, contents.lines, contents.movement)
    return True


def checklist(invoice: Invoice) -> list[Check]:
    """Return the conditions for proposing and for closing a document, each with whether it
    holds."""
    checks = [
        Check(
            "seller", gettext_lazy("The seller's legal name is set"),
            bool(seller().legal_name), gettext("Enter the seller's legal name."),
        ),
        _invariants(invoice),
    ]  # fmt: skip
    if invoice.kind != InvoiceKind.INVOICE:
        return checks
    return [
        _check_sealed(invoice),
        *checks,
        _ties(invoice),
        _check_holds(invoice),
        _reviews(invoice),
    ]


def propose(actor: Actor, invoice: Invoice) -> Invoice:
    """Propose a draft whose checklist is complete. Raises InvoiceRefused."""
    _refuse_unchecked(invoice)
    return invoices.propose_invoice(actor, invoice)


def close(actor: Actor, invoice: Invoice, checksum: str) -> Invoice:
    """Approve as another operator that a document with this checksum is closed. Raises Refused."""
    approval = waiting(invoices.INVOICE, id_text(invoice.id))
    if approval is None:
        raise InvoiceRefused("invoice", gettext("Someone else has already acted on this."))
    if checksum not in [change["after"] for change in approval.changes]:
        raise InvoiceRefused(
            "invoice", gettext("The document has changed since it was proposed. Propose it again.")
        )
    decide(actor, approval, approve=True)
    return Invoice.objects.get(id=invoice.id)


def _proposed(approval: Approval) -> Invoice:
    invoice = Invoice.objects.filter(id=id_of(approval)).first()
    if invoice is None:
        raise InvoiceRefused("invoice", gettext("Someone else has already acted on this."))
    return invoice


def _changes(approval: Approval) -> list[Change]:
    invoice = _proposed(approval)
    _refuse_unchecked(invoice)
    return invoices.changes_of(invoice)


def _apply(actor: Actor, approval: Approval) -> None:
    document = _proposed(approval)
    # Promotional credit that is spent, but not counted yet, would be taken for missing cash.
    count_spending(document.organisation_id)
    note_closed(invoices.close_document(actor, document))


def _show(change: Change) -> Line:
    after = change["after"] or ""
    if change["name"] == "document":
        return Line(gettext("Type"), "", str(KINDS[after]))
    if change["name"] == "month":
        return Line(gettext("Month"), "", month_word(dt.date.fromisoformat(f"{after}-01")))
    if change["name"] == "total":
        return Line(gettext("Total"), "", total_text(parse_usd(after)))
    return Line(gettext("Checksum"), "", f"{after[:16]}…")


register(
    Kind(
        invoices.INVOICE,
        gettext_lazy("Invoice"),
        "credits.write",
        changes=_changes,
        apply=_apply,
        end=lambda actor, approval: invoices.unpropose(_proposed(approval)),
        show=_show,
        page="document",
        # Lock the accounts before anything else: all transactions lock in this order.
        lock=lambda approval: lock_wallet(organisation_id_of(approval)),
        subject_of=lambda approval: approval.subject,
    )
)


def find_unclosed(from_at: dt.datetime, until_at: dt.datetime) -> Iterator[Organisation]:
    """Yield the organisations with charges in a period that no closed invoice covers to its end."""
    for organisation in Organisation.objects.order_by("id"):
        documents = Invoice.objects.filter(organisation=organisation, kind=InvoiceKind.INVOICE)
        closed_to = documents.filter(state=InvoiceState.CLOSED).aggregate(to=Max("until_at"))["to"]
        start_at = max(closed_to or from_at, from_at)
        if start_at >= until_at:
            continue
        waits = documents.exclude(state=InvoiceState.CLOSED).filter(from_at__lt=until_at).exists()
        zone = zone_of(organisation)
        if waits or gather(organisation, zone, Span(start_at, until_at)).lines:
            yield organisation


def _refuse_unchecked(invoice: Invoice) -> None:
    for check in checklist(invoice):
        if not check.ok:
            raise InvoiceRefused("invoice", check.detail)


def _check_sealed(invoice: Invoice) -> Check:
    sealed = Seal.objects.filter(kind=SealKind.LEDGER, to_at__gte=invoice.until_at).exists()
    text = gettext_lazy("The ledger is complete to the end of the month")
    return Check(
        "books", text, sealed, gettext("The ledger is not sealed to the end of the month.")
    )


def _invariants(invoice: Invoice) -> Check:
    last = BooksCheck.objects.filter(id=1).first()
    text = gettext_lazy("The ledger has been checked since, and every check passed")
    if last is None or last.ran_at < invoice.until_at:
        return Check("invariants", text, False, gettext("The ledger has not been checked since."))
    detail = gettext("A ledger check failed. See System health.")
    return Check("invariants", text, not last.broken, detail)


def _ties(invoice: Invoice) -> Check:
    """Compare the lines with the ledger's movement (I19). Promotional credit is compared with the
    accounts that it came from, while its lines are computed from the accounts that it went to."""
    of_lines = {
        kind: sum(line.amount_nano for line in invoice.lines.all() if line.kind in kinds)
        for kind, kinds in {
            "settled": SETTLED_LINES, "corrected": ("correction",),
            "given": ("credit", "included"), "fees": ("subscription",),
        }.items()
    }  # fmt: skip
    moved = invoice.movement
    of_ledger = {
        "settled": moved_nano(moved, SETTLED, "revenue"),
        "corrected": moved_nano(moved, ["correct"], "revenue"),
        "given": moved_nano(moved, ["consume"], "promo:available")
        + moved_nano(moved, CHARGED, "included:units"),
        "fees": moved_nano(moved, ["adjust"], FEES),
    }
    ties = of_lines == of_ledger
    text = gettext_lazy("The lines add up to the ledger's charges")
    return Check("ties", text, ties, gettext("The records and the ledger differ."))


def _check_holds(invoice: Invoice) -> Check:
    open_holds = Hold.objects.filter(
        organisation_id=invoice.organisation_id,
        state=HoldState.OPEN,
        opened_at__lt=invoice.until_at,
    ).exists()
    text = gettext_lazy("No request from this month is still running")
    return Check(
        "holds", text, not open_holds, gettext("A request from this month is still running.")
    )


def _reviews(invoice: Invoice) -> Check:
    parameters = {
        "organisation": invoice.organisation_id,
        "first_id": first_id_at(invoice.from_at - _WAITS),
        "until_id": first_id_at(invoice.until_at),
    }
    with connection.cursor() as cursor:
        cursor.execute(_UNDECIDED, parameters)
        ((waiting,),) = cursor.fetchall()
    text = gettext_lazy("Every unpriced request has been reviewed")
    detail = gettext("Requests from this month are waiting under Reviews.")
    return Check("reviews", text, not waiting, detail)


_UNDECIDED: Final = """
    SELECT EXISTS (
        SELECT FROM usage_usagerecord r
        WHERE r.organisation_id = %(organisation)s AND 'quarantine' = ANY (r.flags)
        AND r.id >= %(first_id)s AND r.id < %(until_id)s
        AND NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = r.id))"""
