"""Monthly documents: drafted, proposed by one operator, closed by another (I18, I19).

A draft is created once from the ledger, after the books of its month are complete. Its usage lines
never change; seller, buyer, taxes and total are computed again when it is proposed and when it is
closed. Closing assigns a gapless number, posts the taxes, rounding and corrections, and makes the
document immutable in the database.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.models import Organisation, User
from billing.approvals.approvals import request_approval
from billing.approvals.rules import Change
from billing.currency.money import format_usd
from billing.invoices.billing_details import bank_account, buyer_of, seller
from billing.invoices.dues import charged_before, uncovered_nano
from billing.invoices.rules import Line, Tax, TaxRow, add_totals, format_document_number, taxes_of
from billing.ledger.funding import close_invoice
from billing.ledger.ledger import lock_wallet, post
from billing.ledger.movements import Movement, movement_of
from billing.models import (
    Invoice,
    InvoiceCounter,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    TaxRate,
)
from billing.periods.months import month_after
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused, check_text
from outbox.facts import put

REASON_MAX: Final = 500
INVOICE: Final = "invoice"
"""The kind of its approvals."""
_SERIES: Final[Mapping[str, str]] = {
    InvoiceKind.INVOICE: "INV",
    InvoiceKind.CREDIT_NOTE: "CN",
    InvoiceKind.DEBIT_NOTE: "DN",
}
# The kinds of lines that are computed again with the totals.
_MADE: Final = ("tax", "rounding")


class InvoiceRefused(Refused):
    """The document does not allow this operation now."""


def draft_invoice(
    organisation: Organisation,
    month: dt.date,
    zone: ZoneInfo,
    span: Span,
    lines: Sequence[Line],
    movement: Movement,
) -> Invoice:
    """Write the draft of a month, or return the existing one."""
    with transaction.atomic():
        lock_wallet(organisation.id)
        there = Invoice.objects.filter(
            organisation=organisation, month=month, kind=InvoiceKind.INVOICE
        ).first()
        if there is not None:
            return there
        invoice = Invoice.objects.create(
            organisation=organisation,
            kind=InvoiceKind.INVOICE,
            month=month,
            zone=zone.key,
            from_at=span.start_at,
            until_at=span.end_at,
            currency=organisation.currency,
            movement=movement,
        )
        _write_lines(invoice, lines, 0)
        _compose(invoice)
        audit.record(SYSTEM, organisation, "invoice.drafted", invoice, **_invoice_facts(invoice))
    return invoice


def propose_invoice(actor: Actor, invoice: Invoice) -> Invoice:
    """Propose a draft as the first operator. Raises InvoiceRefused."""
    user = _person(actor)
    with transaction.atomic():
        locked = _lock(invoice, InvoiceState.DRAFT)
        _compose(locked)
        locked.state, locked.proposed_by = InvoiceState.PROPOSED, user
        locked.proposed_at = clock.now()
        locked.save()
        _ask(actor, locked)
    return locked


def propose_note(
    actor: Actor, invoice: Invoice, kind: InvoiceKind, net_nano: int, reason: str
) -> Invoice:
    """Propose a credit or debit note on a closed invoice. `net_nano` (above 0) is the amount before
    taxes; the taxes are those of the invoice. Raises InvoiceRefused."""
    user = _person(actor)
    reason = check_text("reason", reason, REASON_MAX)
    if not reason:
        raise InvoiceRefused("reason", gettext("Enter a reason. The customer will see it."))
    if net_nano <= 0:
        raise InvoiceRefused("amount", gettext("The amount must be greater than zero."))
    with transaction.atomic():
        locked = _lock(invoice, InvoiceState.CLOSED)
        if locked.kind != InvoiceKind.INVOICE:
            raise InvoiceRefused("invoice", gettext("Only an invoice can be corrected."))
        left_nano = creditable_nano(locked)
        if kind == InvoiceKind.CREDIT_NOTE and net_nano > left_nano:
            text = gettext("At most %(left)s USD of this invoice can be credited.")
            raise InvoiceRefused("amount", text % {"left": format_usd(left_nano)})
        note = Invoice.objects.create(
            organisation=locked.organisation,
            kind=kind,
            state=InvoiceState.PROPOSED,
            corrects=locked,
            reason=reason,
            month=locked.month,
            zone=locked.zone,
            from_at=locked.from_at,
            until_at=locked.until_at,
            currency=locked.currency,
            proposed_by=user,
            proposed_at=clock.now(),
        )
        amount_nano = -net_nano if kind == InvoiceKind.CREDIT_NOTE else net_nano
        _write_lines(note, [Line("note", amount_nano, text=reason)], 0)
        _compose(note)
        _ask(actor, note)
    return note


def creditable_nano(invoice: Invoice) -> int:
    """Return the amount before taxes of an invoice that can still be credited by notes."""
    return max(invoice.net_nano + sum(note.net_nano for note in invoice.notes.all()), 0)


def unpropose(invoice: Invoice) -> None:
    """Turn a proposed invoice into a draft again, or delete a proposed note. Raises
    InvoiceRefused."""
    with transaction.atomic():
        locked = _lock(invoice, InvoiceState.PROPOSED)
        if locked.kind != InvoiceKind.INVOICE:
            locked.delete()
            return
        locked.state, locked.proposed_by, locked.proposed_at = InvoiceState.DRAFT, None, None
        locked.save()


def changes_of(invoice: Invoice) -> list[Change]:
    """Compose a proposed document again, and return what its closing changes. Raises
    InvoiceRefused."""
    locked = _lock(invoice, InvoiceState.PROPOSED)
    _compose(locked)
    return _changes(locked)


def _changes(invoice: Invoice) -> list[Change]:
    values = {
        "document": str(invoice.kind), "month": f"{invoice.month:%Y-%m}",
        "total": format_usd(invoice.total_nano), "checksum": invoice.checksum,
    }  # fmt: skip
    return [Change(name=name, before=None, after=after) for name, after in values.items()]


def _ask(actor: Actor, invoice: Invoice) -> None:
    organisation = invoice.organisation
    request_approval(
        actor, INVOICE, id_text(invoice.id), _changes(invoice), reason=invoice.reason,
        about=f"{organisation.name} {invoice.month:%Y-%m}", organisation=organisation,
    )  # fmt: skip


def close_document(actor: Actor, invoice: Invoice) -> Invoice:
    """Close a document whose closing another operator has approved. It gets its number and never
    changes again. Raises InvoiceRefused."""
    user = _person(actor)
    with transaction.atomic():
        wallet = lock_wallet(invoice.organisation_id)
        locked = _lock(invoice, InvoiceState.PROPOSED)
        if locked.kind == InvoiceKind.INVOICE and locked.movement != movement_of(
            locked.organisation_id, Span(locked.from_at, locked.until_at)
        ):
            raise InvoiceRefused(
                "invoice", gettext("The ledger of this month no longer matches the document.")
            )
        now = clock.now()
        locked.number = _next_number(_SERIES[locked.kind], now.year)
        corrected_nano = 0 if locked.kind == InvoiceKind.INVOICE else locked.net_nano
        if corrected_nano or locked.tax_nano or locked.rounding_nano:
            posting = close_invoice(
                locked.id, corrected_nano, locked.tax_nano, locked.rounding_nano, wallet
            )
            cause = {"document": locked.number, "reason": locked.reason}
            post(posting, actor=user.email, cause=cause)
        locked.charged_nano = charged_before(locked)
        locked.due_nano = uncovered_nano(locked)
        locked.state, locked.closed_by, locked.closed_at = InvoiceState.CLOSED, user, now
        locked.save()
        audit.record(
            actor, locked.organisation, "invoice.closed", locked,
            number=locked.number, **_invoice_facts(locked),
        )  # fmt: skip
        put(
            "invoice.closed", locked.organisation_id, number=locked.number,
            document=str(locked.kind), month=f"{locked.month:%Y-%m}",
            total=format_usd(locked.total_nano), currency=locked.currency,
        )  # fmt: skip
    return locked


def lines_of(invoice: Invoice) -> list[Line]:
    """Return the lines of a document, in their order."""
    return [
        Line(**{name: getattr(row, name) for name in Line.__dataclass_fields__})
        for row in invoice.lines.order_by("n")
    ]


def checksum_of(invoice: Invoice) -> str:
    """Return the checksum of the parties, the period, all lines, the totals and the movements."""
    lines = [
        [
            line.kind, line.amount_nano, line.project, line.team, line.model, line.meter,
            line.rate_nano_per_million, line.multiplier_ppm, line.quantity,
            line.origin.isoformat() if line.origin else None, line.rate_ppm, line.text,
        ]
        for line in lines_of(invoice)
    ]  # fmt: skip
    whole = {
        "organisation": str(invoice.organisation_id),
        "kind": str(invoice.kind),
        "corrects": str(invoice.corrects_id) if invoice.corrects_id else None,
        "reason": invoice.reason,
        "period": [
            invoice.zone,
            *(at.astimezone(dt.UTC).isoformat() for at in (invoice.from_at, invoice.until_at)),
        ],
        "currency": invoice.currency,
        "seller": invoice.seller,
        "buyer": invoice.buyer,
        "lines": lines,
        "totals": [
            invoice.net_nano, invoice.tax_nano, invoice.rounding_nano, invoice.total_nano,
        ],
        "movement": invoice.movement,
    }  # fmt: skip
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _compose(invoice: Invoice) -> None:
    """Compute and save the parties, taxes, totals and checksum again."""
    if invoice.corrects is not None:
        party, invoice.buyer = invoice.corrects.seller, invoice.corrects.buyer
        taxed = invoice.corrects.lines.filter(kind="tax").order_by("n")
        taxes = [Tax(line.text, line.rate_ppm) for line in taxed]
    else:
        buyer = buyer_of(invoice.organisation)
        party, invoice.buyer = seller().document(), buyer.document()
        invoice.buyer["legal_name"] = buyer.legal_name or invoice.organisation.name
        last_day = month_after(invoice.month) - dt.timedelta(days=1)
        taxes = taxes_of(_tax_rows(), buyer.country, bool(buyer.tax_id), last_day)
    # A note repeats the seller of its invoice, but asks for money on the account of today.
    invoice.seller = {**party, "bank_account": bank_account()}
    kept = [line for line in lines_of(invoice) if line.kind not in _MADE]
    lines, totals = add_totals(kept, taxes)
    invoice.lines.filter(kind__in=_MADE).delete()
    _write_lines(invoice, lines[len(kept) :], len(kept))
    invoice.net_nano, invoice.tax_nano = totals.net_nano, totals.tax_nano
    invoice.rounding_nano, invoice.total_nano = totals.rounding_nano, totals.total_nano
    invoice.checksum = checksum_of(invoice)
    invoice.save()


def _tax_rows() -> list[TaxRow]:
    return [
        TaxRow(row.name, row.country, row.rate_ppm, row.valid_from, row.reverse_charge_text)
        for row in TaxRate.objects.all()
    ]


def _write_lines(invoice: Invoice, lines: Sequence[Line], first: int) -> None:
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            n=n,
            **{name: getattr(line, name) for name in Line.__dataclass_fields__},
        )
        for n, line in enumerate(lines, first)
    )


def _next_number(series: str, year: int) -> str:
    InvoiceCounter.objects.bulk_create(
        [InvoiceCounter(series=series, year=year)], ignore_conflicts=True
    )
    counter = InvoiceCounter.objects.select_for_update().get(series=series, year=year)
    counter.last += 1
    counter.save(update_fields=["last"])
    return format_document_number(series, year, counter.last)


def _lock(invoice: Invoice, state: InvoiceState) -> Invoice:
    """Lock the document and return it as it is now. Raises InvoiceRefused unless it is in
    `state`."""
    # Lock the accounts before anything else: all transactions lock in this order.
    lock_wallet(invoice.organisation_id)
    locked = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("organisation", "corrects")
        .filter(id=invoice.id)
        .first()
    )
    if locked is None or locked.state != state:
        raise InvoiceRefused("invoice", gettext("Someone else has already acted on this."))
    return locked


def _invoice_facts(invoice: Invoice) -> dict[str, str]:
    return {
        "kind": str(invoice.kind),
        "month": f"{invoice.month:%Y-%m}",
        "total": format_usd(invoice.total_nano),
        "checksum": invoice.checksum,
    }


def _person(actor: Actor) -> User:
    access.require(actor, "credits.write")
    if actor.user is None:
        raise InvoiceRefused("invoice", gettext("Only a person can do this."))
    return actor.user
