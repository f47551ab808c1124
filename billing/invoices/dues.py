"""What a customer owes, and the unpaid part of each closed invoice.

A document is paid by cash that is not needed for other documents. Charges after the last closed
month are on no document yet. They are neither due, nor do they use up cash that comes in: this pays
the documents first.
"""

import datetime as dt
from typing import Final
from uuid import UUID

from django.db.models import Max, QuerySet, Sum

from billing.invoices.rules import covered_nano
from billing.ledger.ledger import lock_wallet
from billing.ledger.movements import charged_nano, movement_of
from billing.models import Invoice, InvoiceDue, InvoiceKind, InvoiceState
from billing.periods.period_starts import Span
from lib import clock

# The database's clock may be ahead of ours.
_SLACK: Final = dt.timedelta(hours=1)


def left_nano(invoice: Invoice) -> int:
    """Return the unpaid amount of a closed invoice."""
    due = InvoiceDue.objects.filter(invoice=invoice).first()
    return due.left_nano if due else 0


def uncovered_nano(document: Invoice) -> int:
    """Return the part of a document's total that the balance does not cover, once the document is
    posted and its `charged_nano` is known."""
    if document.total_nano <= 0:
        return 0
    others = InvoiceDue.objects.filter(invoice__organisation_id=document.organisation_id)
    due_nano = int(others.aggregate(nano=Sum("left_nano"))["nano"] or 0)
    total_nano = document.total_nano
    owed = _owed_nano(document.organisation_id, document.charged_nano)
    return total_nano - covered_nano(total_nano, owed, due_nano)


def owed_nano(organisation_id: UUID) -> int:
    """Return how much cash is missing for the organisation's closed documents."""
    lock_wallet(organisation_id)
    last = _closed(organisation_id).order_by("-closed_at", "-id").first()
    return _owed_nano(organisation_id, last.charged_nano if last else None)


def charged_before(document: Invoice) -> int:
    """Return all that was ever charged before the end of the last closed month, or of this
    document's if it ends later. Runs under the wallet's lock."""
    invoices = _closed(document.organisation_id).filter(kind=InvoiceKind.INVOICE)
    closed_to = invoices.aggregate(to=Max("until_at"))["to"]
    from_at = max(closed_to or document.until_at, document.until_at)
    later = movement_of(document.organisation_id, Span(from_at, clock.now() + _SLACK))
    return charged_nano(document.organisation_id, without=later)


def _owed_nano(organisation_id: UUID, charged_before_nano: int | None) -> int:
    """Return how far the cash is below 0: the debt plus the used part of the credit line. What is
    held for requests is not spent yet, and promotional credit pays no invoice."""
    wallet = lock_wallet(organisation_id)
    cash_nano = wallet.available_nano + wallet.held_nano - wallet.promo_nano
    if charged_before_nano is not None:
        cash_nano += charged_nano(organisation_id) - charged_before_nano
    return max(wallet.owed_nano - cash_nano, 0)


def _closed(organisation_id: UUID) -> QuerySet[Invoice]:
    return Invoice.objects.filter(organisation_id=organisation_id, state=InvoiceState.CLOSED)


def store_unpaid(invoice: Invoice, nano: int) -> None:
    if nano > 0:
        InvoiceDue.objects.update_or_create(invoice=invoice, defaults={"left_nano": nano})
    else:
        InvoiceDue.objects.filter(invoice=invoice).delete()
