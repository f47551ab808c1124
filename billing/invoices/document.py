"""A document as text in one language. Its page and its PDF both use this text, so that their
figures agree. Amounts are exact decimals of the currency."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from billing.currency.display import TOTAL_PLACES, exact_places, pad
from billing.currency.money import format_usd
from billing.invoices.invoices import lines_of
from billing.invoices.payments import issued_due_on, payment_of
from billing.invoices.rules import Line, percent_text
from billing.models import Invoice, InvoiceKind, InvoicePayment, InvoiceState
from billing.prices.meter_words import meter_name
from billing.prices.words import rate_figure, unit_word
from lib.forms.country_and_zone_fields import country_name
from lib.numbers.formatting import group_digits
from lib.tables.table import Badge

KINDS: Final[Mapping[str, Promise]] = {
    InvoiceKind.INVOICE: _("Invoice"),
    InvoiceKind.CREDIT_NOTE: _("Credit note"),
    InvoiceKind.DEBIT_NOTE: _("Debit note"),
}
STATES: Final[Mapping[str, Badge]] = {
    "open": Badge(pgettext_lazy("state of an invoice", "Open"), "info", "circle-dashed"),
    "closed": Badge(_("Closed"), "ok", "lock"),
    "corrected": Badge(_("Corrected"), "warn", "pencil"),
}

PAYMENTS: Final[Mapping[str, Badge]] = {
    "paid": Badge(_("Paid"), "ok"),
    "due": Badge(_("Payment due"), "info", "clock"),
    "overdue": Badge(_("Overdue"), "bad"),
    "void": Badge(pgettext_lazy("state of an invoice", "Void"), icon="ban"),
}


@dataclass(frozen=True)
class RowDisplay:
    """One line of a document. Missing parts are empty."""

    what: str
    detail: str
    quantity: str
    unit: str
    rate: str
    amount: str


@dataclass(frozen=True)
class DocumentDisplay:
    """The whole document as text. `parties` are (heading, lines of text)."""

    language: str
    title: str
    number: str
    closed_on: str
    draft: str
    period: str
    corrects: str
    reason_word: str
    reason: str
    parties: tuple[tuple[str, tuple[str, ...]], ...]
    heads: tuple[str, ...]
    rows: tuple[RowDisplay, ...]
    totals: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    checksum: str


def state_of(invoice: Invoice, noted: bool) -> str:
    """Return `open`, `corrected` or `closed`. `noted`: whether a closed note corrects the
    document."""
    if invoice.state != InvoiceState.CLOSED:
        return "open"
    return "corrected" if noted else "closed"


def describe_payment(invoice: Invoice) -> dict[str, Any]:
    """Return how a document was paid, for its page. `payment_badge` is None for a document that
    shows no payment state."""
    state, left_nano, due_on = payment_of(invoice)
    return {
        "payment_badge": PAYMENTS[state] if state else None,
        "payments": list(
            InvoicePayment.objects.filter(invoice=invoice)
            .select_related("recorded_by")
            .order_by("id")
        ),
        "left_nano": left_nano,
        "due_on": due_on,
    }


def month_word(month: dt.date) -> str:
    return date_format(month, "YEAR_MONTH_FORMAT")


def amount(nano: int, places: int = TOTAL_PLACES) -> str:
    """Return ``1,284.07``: exact, grouped, in the document's currency, with at least `places`
    decimals."""
    whole, _, fraction = pad(format_usd(abs(nano)), places).partition(".")
    text = f"{int(whole):,}.{fraction}"
    return f"-{text}" if nano < 0 else text


def describe_document(invoice: Invoice, language: str) -> DocumentDisplay:
    """Return the document in `language`, which must be the active language."""
    lines = lines_of(invoice)
    # All amounts have the same decimals, except the total, which is in cents.
    parts = (invoice.net_nano, invoice.tax_nano, invoice.rounding_nano)
    places = exact_places(
        format_usd(nano) for nano in (*parts, *(one.amount_nano for one in lines))
    )
    rate_places = exact_places(_rate(line) for line in lines if line.kind == "usage")
    heads = (
        gettext("Description"), gettext("Quantity"), gettext("Unit"), gettext("Rate"),
        gettext("Amount (%(currency)s)") % {"currency": invoice.currency},
    )  # fmt: skip
    return DocumentDisplay(
        language=language,
        title=str(KINDS[invoice.kind]),
        number=invoice.number or "",
        closed_on=_day(invoice.closed_at, invoice) if invoice.closed_at else "",
        draft="" if invoice.number else gettext("Draft. Not an invoice yet."),
        period=_period(invoice),
        corrects=invoice.corrects.number or "" if invoice.corrects else "",
        reason_word=gettext("Reason"),
        reason=invoice.reason,
        parties=(
            (gettext("Seller"), party(invoice.seller)),
            (gettext("Buyer"), party(invoice.buyer)),
            *_account(invoice),
        ),
        heads=heads,
        rows=tuple(_row_display(line, places, rate_places) for line in lines),
        totals=(
            (gettext("Net"), amount(invoice.net_nano, places)),
            (gettext("Tax"), amount(invoice.tax_nano, places)),
            (gettext("Rounding"), amount(invoice.rounding_nano, places)),
            (
                gettext("Total (%(currency)s)") % {"currency": invoice.currency},
                amount(invoice.total_nano),
            ),
            *_due(invoice),
        ),
        notes=_notes(invoice),
        checksum=invoice.checksum,
    )


def _period(invoice: Invoice) -> str:
    zone = ZoneInfo(invoice.zone)
    first, end = invoice.from_at.astimezone(zone), invoice.until_at.astimezone(zone)
    return gettext("%(month)s: from %(first)s until %(end)s, %(zone)s") % {
        "month": month_word(invoice.month),
        "first": date_format(first, "DATETIME_FORMAT"),
        "end": date_format(end, "DATETIME_FORMAT"),
        "zone": invoice.zone,
    }


def _day(at: dt.datetime, invoice: Invoice) -> str:
    return date_format(at.astimezone(ZoneInfo(invoice.zone)), "DATE_FORMAT")


def party(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines of a party's address on a document."""
    lines = [stored.get("legal_name", ""), *str(stored.get("address", "")).splitlines()]
    lines.append(country_name(stored.get("country", "")))
    if tax_id := stored.get("tax_id"):
        lines.append(gettext("Tax ID: %(id)s") % {"id": tax_id})
    return tuple(line for line in lines if line)


def _row_display(line: Line, places: int, rate_places: int) -> RowDisplay:
    if line.kind == "usage":
        return RowDisplay(
            f"{line.project or line.team or '–'} · {line.model}",
            _join_texts(meter_name(line.meter), _origin(line)),
            group_digits(line.quantity),
            unit_word(line.meter),
            pad(_rate(line), rate_places),
            amount(line.amount_nano, places),
        )
    rate = f"{percent_text(line.rate_ppm)}%" if line.kind == "tax" and line.rate_ppm else ""
    return RowDisplay(
        _line_text(line), _origin(line), "", "", rate, amount(line.amount_nano, places)
    )


def _rate(line: Line) -> str:
    return rate_figure(line.meter, line.rate_nano_per_million, line.multiplier_ppm)


def _line_text(line: Line) -> str:
    place = line.project or line.team
    if line.kind == "correction":
        return _join_texts(gettext("Correction"), place, line.model)
    if line.kind == "subscription":
        return gettext("Subscription: %(plan)s") % {"plan": line.text}
    words = {
        "own_key": _join_texts(gettext("Fee for your own key"), place, line.model),
        "cached": _join_texts(gettext("Served from cache"), place, line.model),
        "remainder": _join_texts(
            gettext("Rounding per request, and amounts above a hold not charged"), place
        ),
        "credit": gettext("Promotional credit used"),
        "included": gettext("Included usage used"),
        "rounding": gettext("Rounding of the total"),
    }
    return words.get(line.kind) or line.text


def _origin(line: Line) -> str:
    if line.origin is None:
        return ""
    return gettext("from %(month)s") % {"month": month_word(line.origin)}


def _join_texts(*texts: str) -> str:
    return " · ".join(text for text in texts if text)


def _account(invoice: Invoice) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the seller's bank account, if the document asks for payment and the account was known
    when it was closed."""
    account = str(invoice.seller.get("bank_account", ""))
    if not invoice.due_nano or not account:
        return ()
    reference = gettext("Reference: %(number)s") % {"number": invoice.number}
    return ((gettext("Pay to"), (*account.splitlines(), reference)),)


def _due(invoice: Invoice) -> tuple[tuple[str, str], ...]:
    """Return what the balance covered when the document was closed, and what was then due."""
    if not invoice.due_nano:
        return ()
    words = {"day": _due_day(invoice), "currency": invoice.currency}
    return (
        (gettext("Paid from the balance"), amount(invoice.due_nano - invoice.total_nano)),
        (gettext("Due by %(day)s (%(currency)s)") % words, amount(invoice.due_nano)),
    )


def _due_day(invoice: Invoice) -> str:
    return date_format(issued_due_on(invoice), "DATE_FORMAT")


def _notes(invoice: Invoice) -> tuple[str, ...]:
    rounded = gettext(
        "Lines are exact. Only the total is rounded, to the cent, half to even; the difference "
        "is a line of its own."
    )
    # What is due is known when the document is closed. Notes that were closed before documents
    # stored it, which have no account either, said nothing about their payment.
    is_known = invoice.kind == InvoiceKind.INVOICE or "bank_account" in invoice.seller
    return (rounded, _payment_note(invoice)) if invoice.number and is_known else (rounded,)


def _payment_note(invoice: Invoice) -> str:
    if invoice.due_nano:
        text = gettext(
            "Please pay %(amount)s %(currency)s by %(day)s: top up the balance, or transfer the "
            "amount to the seller with the reference %(number)s."
        )
        return text % {
            "amount": amount(invoice.due_nano),
            "currency": invoice.currency,
            "day": _due_day(invoice),
            "number": invoice.number,
        }
    if invoice.kind == InvoiceKind.CREDIT_NOTE:
        return gettext("The total was added to the balance. This is not a payment request.")
    if invoice.kind == InvoiceKind.DEBIT_NOTE:
        return gettext("The total was paid from the balance. This is not a payment request.")
    return gettext(
        "Usage and subscriptions were paid from the balance. This is not a payment request."
    )
