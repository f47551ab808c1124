"""The kinds of ledger lines on pages."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

LINE_WORDS: Final[dict[str, Promise]] = {
    "usage": gettext_lazy("Usage"),
    "opening": gettext_lazy("Opening credit"),
    "adjust": gettext_lazy("Correction"),
    "promo": gettext_lazy("Promotional credit"),
    "subscription": gettext_lazy("Subscription"),
    "included": gettext_lazy("Included usage"),
    "reverse": gettext_lazy("Reversal"),
    "redeem": gettext_lazy("Code"),
    "lapse": gettext_lazy("Expired credit"),
    "topup": gettext_lazy("Top-up"),
    "refund": gettext_lazy("Refund"),
    "dispute": gettext_lazy("Chargeback"),
    "reinstate": gettext_lazy("Chargeback reversed"),
}


def line_word(kind: str) -> str:
    """Return the kind of a line in the page's language."""
    return str(LINE_WORDS.get(kind, kind))
