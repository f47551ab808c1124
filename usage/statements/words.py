"""Display names of the parts of a statement."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lib.tables.table import Badge

GROUP_WORDS: Final[dict[str, Promise]] = {
    "topups": _("Top-ups"),
    "returned": _("Refunds and chargebacks"),
    "credits": _("Credits and codes"),
    "usage": _("Usage"),
    "subscriptions": _("Subscription and included usage"),
    "adjustments": _("Corrections and taxes"),
}
TABS: Final[dict[str, Promise]] = {
    "model": _("Model"),
    "key": _("Key"),
    "user": _("Person"),
}
"""The groupings of usage, as named in `usage.filters.filters`."""
STATES: Final[dict[str, Badge]] = {
    "open": Badge(_("Still open"), "info", "clock"),
    "over": Badge(_("Waiting to be closed"), icon="clock"),
    "closed": Badge(pgettext_lazy("month", "Closed"), "ok"),
}
CHECKS: Final[dict[str, Promise]] = {
    "ledger": _("Ledger: all movements of the balance"),
    "invoice": _("Invoice: lines of usage and corrections"),
    "usage": _("Usage page"),
}
PARTS: Final[dict[str, Promise]] = {
    "shown": _("Shown for the month"),
    "before": _("Requests that began before it and ended in it"),
    "after": _("Requests that began in it and ended after it"),
    "corrected": _("Corrections posted in it"),
}
