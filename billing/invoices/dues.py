"""What a customer owes, and the unpaid part of each closed invoice."""

from uuid import UUID

from django.db.models import Sum

from billing.invoices.rules import covered_nano
from billing.ledger.ledger import lock_wallet
from billing.models import Invoice, InvoiceDue


def left_nano(invoice: Invoice) -> int:
    """Return the unpaid amount of a closed invoice."""
    due = InvoiceDue.objects.filter(invoice=invoice).first()
    return due.left_nano if due else 0


def uncovered_nano(document: Invoice) -> int:
    """Return the part of a document's total that the balance does not cover, once the document is
    posted."""
    if document.total_nano <= 0:
        return 0
    others = InvoiceDue.objects.filter(invoice__organisation_id=document.organisation_id)
    due_nano = int(others.aggregate(nano=Sum("left_nano"))["nano"] or 0)
    total_nano = document.total_nano
    return total_nano - covered_nano(total_nano, owed_nano(document.organisation_id), due_nano)


def owed_nano(organisation_id: UUID) -> int:
    """Return how far the organisation's cash is below 0: its debt plus the used part of its credit
    line. What is held for requests is not spent yet, and promotional credit pays no invoice."""
    wallet = lock_wallet(organisation_id)
    cash_nano = wallet.available_nano + wallet.held_nano - wallet.promo_nano
    return max(wallet.owed_nano - cash_nano, 0)


def store_unpaid(invoice: Invoice, nano: int) -> None:
    if nano > 0:
        InvoiceDue.objects.update_or_create(invoice=invoice, defaults={"left_nano": nano})
    else:
        InvoiceDue.objects.filter(invoice=invoice).delete()
