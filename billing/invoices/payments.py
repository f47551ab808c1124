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
from django.db.models import Max, Q, Sum
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.currency.money import format_usd
from billing.invoices.dues import left_nano, owed_nano, store_unpaid
from billing.invoices.invoices import InvoiceRefused
from billing.invoices.rules import PAYMENT_DAYS, paid_part_nano
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
    """The payment state of a closed invoice, its unpaid amount, and the last day on which this can
    be paid in time. The state is None for a draft, and for a note, which changes the amount due of
    its invoice."""

    state: PaymentState | None
    left_nano: int
    due_on: dt.date


class _Notes(NamedTuple):
    """What the closed notes of an invoice add up to, and when the last one left something due."""

    total_nano: int
    due_at: dt.datetime | None


def payments_of(invoices: Collection[Invoice]) -> dict[UUID, Payment]:
    """Return how each of these documents was paid, by its id."""
    ids = [invoice.id for invoice in invoices]
    due = InvoiceDue.objects.filter(invoice__in=ids).values_list("invoice_id", "left_nano")
    left, notes = dict(due), _notes_of(ids)
    return {
        invoice.id: _payment(invoice, left.get(invoice.id, 0), notes.get(invoice.id))
        for invoice in invoices
    }


def payment_of(invoice: Invoice) -> Payment:
    """Return how one document was paid."""
    return payments_of([invoice])[invoice.id]


def _payment(invoice: Invoice, left: int, notes: _Notes | None) -> Payment:
    noted_nano, due_at = notes or (0, None)
    due_on = _pay_by(invoice, due_at or invoice.closed_at or clock.now())
    state: PaymentState | None
    if invoice.state != InvoiceState.CLOSED or invoice.kind != InvoiceKind.INVOICE:
        state = None
    elif left:
        state = "overdue" if due_on < _today(invoice) else "due"
    else:
        voided = invoice.total_nano > 0 and noted_nano <= -invoice.total_nano
        state = "void" if voided else "paid"
    return Payment(state, left, due_on)


def issued_due_on(document: Invoice) -> dt.date:
    """Return the day by which the document itself asks for payment. A later debit note that leaves
    something due gives its invoice a new day, which `payment_of` returns."""
    return _pay_by(document, document.closed_at or clock.now())


def _pay_by(document: Invoice, closed_at: dt.datetime) -> dt.date:
    return closed_at.astimezone(ZoneInfo(document.zone)).date() + dt.timedelta(days=PAYMENT_DAYS)


def noted_nano(invoice: Invoice) -> int:
    """Return how much closed notes change the invoice's total."""
    notes = _notes_of([invoice.id]).get(invoice.id)
    return notes.total_nano if notes else 0


def _notes_of(ids: Collection[UUID]) -> dict[UUID, _Notes]:
    notes = Invoice.objects.filter(corrects__in=ids, state=InvoiceState.CLOSED).order_by()
    sums = notes.values_list("corrects_id").annotate(
        nano=Sum("total_nano"), due_at=Max("closed_at", filter=Q(due_nano__gt=0))
    )
    return {id: _Notes(int(nano), due_at) for id, nano, due_at in sums if id is not None}


def note_closed(document: Invoice) -> None:
    """Update the amount due after a document was closed and posted. Runs in the same transaction,
    under the wallet's lock."""
    invoice = document.corrects or document
    left = left_nano(invoice)
    if document.total_nano > 0:
        store_unpaid(invoice, left + document.due_nano)
        _record_balance_payment(invoice, document.total_nano - document.due_nano)
    elif document.corrects is not None:
        store_unpaid(invoice, max(left + document.total_nano, 0))


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
        store_unpaid(invoice, left - amount_nano)
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
        owed = owed_nano(organisation_id)
        dues = list(
            InvoiceDue.objects.select_related("invoice")
            .filter(invoice__organisation_id=organisation_id)
            .order_by("invoice__closed_at", "invoice_id")
        )
        came_nano = sum(due.left_nano for due in dues) - owed
        for due in dues:
            paid_nano = paid_part_nano(due.left_nano, came_nano)
            if paid_nano <= 0:
                break
            came_nano -= paid_nano
            store_unpaid(due.invoice, due.left_nano - paid_nano)
            _record_balance_payment(due.invoice, paid_nano)


def _record_balance_payment(invoice: Invoice, nano: int) -> None:
    if nano > 0:
        InvoicePayment.objects.create(
            invoice=invoice, amount_nano=nano, source=PaymentSource.BALANCE, paid_on=_today(invoice)
        )


def _today(invoice: Invoice) -> dt.date:
    return clock.now().astimezone(ZoneInfo(invoice.zone)).date()
