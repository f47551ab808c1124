"""Corrections on pages: their kinds, and what would change."""

import datetime as dt
from typing import Final

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from billing.approvals.approvals import Line
from billing.approvals.rules import Change
from billing.currency.money import parse_usd
from billing.currency.words import total_text
from billing.models import CreditKind

CREDIT_KINDS: Final[dict[str, Promise]] = {
    CreditKind.CASH: gettext_lazy("Cash balance"),
    CreditKind.PROMO: gettext_lazy("Promotional credit"),
}


def show_correction(change: Change) -> Line:
    """Return one value of a correction that waits."""
    after = change["after"] or ""
    if change["name"] == "amount":
        nano = parse_usd(after)
        return Line(gettext("Amount"), "", ("+" if nano > 0 else "") + total_text(nano))
    if change["name"] == "kind":
        return Line(gettext("Type"), "", str(CREDIT_KINDS[after]))
    if change["name"] == "expires_at":
        at = dt.datetime.fromisoformat(after)
        return Line(gettext("Expires"), "", date_format(at, "DATETIME_FORMAT"))
    return Line(gettext("Document"), "", after)
