"""The receipt of a payment as text in one language, for its page and its PDF."""

from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext

from billing.invoices.billing_details import buyer_of, seller
from billing.invoices.document import DocumentDisplay, RowDisplay, amount, party
from billing.invoices.pdf import document_pdf
from billing.models import TopUp
from billing.topups.words import METHODS


def receipt_pdf(top_up: TopUp, language: str) -> bytes:
    """Return the PDF of a payment's receipt. Raises FontMissing and ExtraMissing."""
    return document_pdf(lambda: describe_receipt(top_up, language), language)


def describe_receipt(top_up: TopUp, language: str) -> DocumentDisplay:
    """Return the receipt of a paid top-up. `language` must be the active language. The receipt's
    number is the number of the top-up; both parties have their present details."""
    buyer = buyer_of(top_up.organisation)
    named = {**buyer.document(), "legal_name": buyer.legal_name or top_up.organisation.name}
    method = str(METHODS.get(top_up.processor, top_up.processor))
    rows = [(gettext("Payment by %(method)s") % {"method": method}, top_up.amount_nano)]
    rows += [
        (word, -nano)
        for word, nano in (
            (gettext("Refunded"), top_up.refunded_nano),
            (gettext("Reversed by the bank"), top_up.disputed_nano),
        )
        if nano
    ]
    paid_at = top_up.paid_at or top_up.created_at
    return DocumentDisplay(
        language=language,
        title=gettext("Payment receipt"),
        number=top_up.outer_id,
        closed_on=date_format(paid_at.astimezone(ZoneInfo(buyer.zone)), "DATE_FORMAT"),
        draft="",
        period="",
        corrects="",
        reason_word=gettext("Payment"),
        reason=top_up.payment_id,
        parties=(
            (gettext("Paid to"), party(seller().document())),
            (gettext("Paid by"), party(named)),
        ),
        heads=(
            gettext("Description"), "", "", "",
            gettext("Amount (%(currency)s)") % {"currency": top_up.currency},
        ),
        rows=tuple(RowDisplay(word, "", "", "", "", amount(nano)) for word, nano in rows),
        totals=(
            (
                gettext("Total (%(currency)s)") % {"currency": top_up.currency},
                amount(sum(nano for _, nano in rows)),
            ),
        ),
        notes=(
            gettext("This confirms a payment into the balance. It is no invoice and shows no tax."),
        ),
        checksum="",
    )  # fmt: skip
