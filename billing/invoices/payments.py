"""Payments of invoices: from the balance, or recorded by an operator.

Usage, subscriptions and taxes are paid from the balance, so most invoices are paid when they are
closed. An amount that the balance does not cover is due. It is assigned to the newest invoice,
because the debt at its close stems from its month. Incoming money pays the oldest invoice first.
"""

import datetime as dt
from collections.abc import Collection
from typing import Final, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.currency.money import format_usd
from billing.invoices.invoices import InvoiceRefused
from billing.invoices.rules import PAYMENT_DAYS, covered_nano
from billing.ledger.ledger import lock_wallet
from billing.models import (
    Invoice,
    InvoiceDue,
    InvoiceKind,
    InvoicePayment,
    InvoiceState,
    PaymentSource,
)
from lib import clock
from lib.database.tenancy import use_tenant
from lib.refusal import check_text

REFERENCE_MAX: Final = 120
PaymentState = Literal["paid", "due", "overdue", "void"]


class Payment(NamedTuple):
    """The payment state of a closed invoice, and its unpaid amount. The state is None for a draft,
    and for a note, which changes the amount due of its invoice."""

    state: PaymentState | None
    left_nano: int


def payments_of(invoices: Collection[Invoice]) -> dict[UUID, Payment]:
    """Return how each of these documents was paid, by its id."""
    ids = [invoice.id for invoice in invoices]
    due = InvoiceDue.objects.filter(invoice__in=ids).values_list("invoice_id", "left_nano")
    left, noted = dict(due), _noted_nano(ids)
    return {
        invoice.id: Payment(
            _payment_state(invoice, left.get(invoice.id, 0), noted.get(invoice.id, 0)),
            left.get(invoice.id, 0),
        )
        for invoice in invoices
    }


def payment_of(invoice: Invoice) -> Payment:
    """Return how one document was paid."""
    return payments_of([invoice])[invoice.id]


def _payment_state(invoice: Invoice, left: int, noted: int) -> PaymentState | None:
    if invoice.state != InvoiceState.CLOSED or invoice.kind != InvoiceKind.INVOICE:
        return None
    if left:
        return "overdue" if due_on(invoice) < _today(invoice) else "due"
    return "void" if invoice.total_nano > 0 and noted <= -invoice.total_nano else "paid"


def left_nano(invoice: Invoice) -> int:
    """Return the unpaid amount of a closed invoice."""
    due = InvoiceDue.objects.filter(invoice=invoice).first()
    return due.left_nano if due else 0


def due_on(invoice: Invoice) -> dt.date:
    """Return the last day on which the invoice can be paid in time."""
    closed_at = invoice.closed_at or clock.now()
    return closed_at.astimezone(ZoneInfo(invoice.zone)).date() + dt.timedelta(days=PAYMENT_DAYS)


def noted_nano(invoice: Invoice) -> int:
    """Return how much closed notes change the invoice's total."""
    return _noted_nano([invoice.id]).get(invoice.id, 0)


def _noted_nano(ids: Collection[UUID]) -> dict[UUID, int]:
    notes = Invoice.objects.filter(corrects__in=ids, state=InvoiceState.CLOSED).order_by()
    sums = notes.values_list("corrects_id").annotate(Sum("total_nano"))
    return {id: int(nano) for id, nano in sums if id is not None}


def note_closed(document: Invoice) -> None:
    """Update the amount due after a document was closed and posted. Runs in the same transaction,
    under the wallet's lock."""
    invoice = document.corrects or document
    due = InvoiceDue.objects.filter(invoice=invoice).first()
    left = due.left_nano if due else 0
    if document.total_nano > 0:
        uncovered = document.total_nano - _paid_part_nano(document)
        _store_unpaid(invoice, left + uncovered)
        _record_balance_payment(invoice, document.total_nano - uncovered)
    elif document.corrects is not None:
        _store_unpaid(invoice, max(left + document.total_nano, 0))


def record_payment(
    actor: Actor, invoice: Invoice, amount_nano: int, *, reference: str, paid_on: dt.date
) -> InvoicePayment:
    """Record that an invoice, or a part of it, was paid. Raises InvoiceRefused."""
    if actor.user is None:
        raise InvoiceRefused("invoice", gettext("Only a person can do this."))
    reference = check_text("reference", reference, REFERENCE_MAX)
    if not reference:
        raise InvoiceRefused("reference", gettext("Enter the reference of the payment."))
    with transaction.atomic():
        lock_wallet(invoice.organisation_id)
        left = left_nano(invoice)
        if paid_on > _today(invoice):
            raise InvoiceRefused("paid_on", gettext("The date is in the future."))
        if not 0 < amount_nano <= left:
            text = gettext("Enter an amount of at most %(left)s USD, which is still due.")
            raise InvoiceRefused("amount", text % {"left": format_usd(left)})
        payment = InvoicePayment.objects.create(
            invoice=invoice,
            amount_nano=amount_nano,
            source=PaymentSource.RECORDED,
            reference=reference,
            paid_on=paid_on,
            recorded_by=actor.user,
        )
        _store_unpaid(invoice, left - amount_nano)
        audit.record(
            actor, invoice.organisation, "invoice.payment_recorded", invoice,
            number=invoice.number, amount=format_usd(amount_nano), reference=reference,
            paid_on=paid_on.isoformat(),
        )  # fmt: skip
    return payment


def settle_invoices() -> int:
    """Pay due invoices from money that has come in. Return the number of organisations that had due
    invoices."""
    owners = set(InvoiceDue.objects.values_list("invoice__organisation_id", flat=True))
    for organisation_id in sorted(owners):
        with use_tenant(organisation_id):
            _settle(organisation_id)
    return len(owners)


def _settle(organisation_id: UUID) -> None:
    with transaction.atomic():
        owed_nano = _owed_nano(organisation_id)
        dues = list(
            InvoiceDue.objects.select_related("invoice")
            .filter(invoice__organisation_id=organisation_id)
            .order_by("invoice__closed_at", "invoice_id")
        )
        came_nano = sum(due.left_nano for due in dues) - owed_nano
        for due in dues:
            paid_nano = min(due.left_nano, came_nano)
            if paid_nano <= 0:
                break
            came_nano -= paid_nano
            _store_unpaid(due.invoice, due.left_nano - paid_nano)
            _record_balance_payment(due.invoice, paid_nano)


def _paid_part_nano(document: Invoice) -> int:
    others = InvoiceDue.objects.filter(invoice__organisation_id=document.organisation_id)
    due_nano = int(others.aggregate(nano=Sum("left_nano"))["nano"] or 0)
    return covered_nano(document.total_nano, _owed_nano(document.organisation_id), due_nano)


def _owed_nano(organisation_id: UUID) -> int:
    """Return how far the organisation is below 0: its debt plus the used part of its credit
    line."""
    wallet = lock_wallet(organisation_id)
    return max(wallet.owed_nano - wallet.available_nano, 0)


def _store_unpaid(invoice: Invoice, nano: int) -> None:
    if nano > 0:
        InvoiceDue.objects.update_or_create(invoice=invoice, defaults={"left_nano": nano})
    else:
        InvoiceDue.objects.filter(invoice=invoice).delete()


def _record_balance_payment(invoice: Invoice, nano: int) -> None:
    if nano > 0:
        InvoicePayment.objects.create(
            invoice=invoice, amount_nano=nano, source=PaymentSource.BALANCE, paid_on=_today(invoice)
        )


def _today(invoice: Invoice) -> dt.date:
    return clock.now().astimezone(ZoneInfo(invoice.zone)).date()
