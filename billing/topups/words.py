"""The payment methods and the states of top-ups on pages."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from billing.approvals.approvals import Line
from billing.approvals.rules import Change
from billing.currency.money import parse_usd
from billing.currency.words import total_text
from billing.models import TopUp, TopUpState
from lib.tables.table import Badge

METHODS: Final[dict[str, Promise]] = {
    "stripe": gettext_lazy("Card"),
    "manual": gettext_lazy("Bank transfer"),
}
_TOP_UPS: Final[dict[str, Badge]] = {
    TopUpState.ORDERED: Badge(gettext_lazy("Not paid yet"), icon="circle-dashed"),
    TopUpState.PENDING: Badge(gettext_lazy("Awaiting confirmation"), "info", "clock"),
    TopUpState.PAID: Badge(gettext_lazy("Paid"), "ok"),
    TopUpState.FAILED: Badge(gettext_lazy("Failed"), "bad"),
    TopUpState.EXPIRED: Badge(gettext_lazy("Expired"), icon="clock"),
    TopUpState.CANCELLED: Badge(gettext_lazy("Cancelled"), icon="ban"),
}
TOP_UP_STATES: Final = {str(state): badge.text for state, badge in _TOP_UPS.items()}


def top_up_badge(top_up: TopUp) -> Badge:
    """Return the state of a top-up. A dispute or refund takes precedence over the payment."""
    if top_up.disputed_nano:
        return Badge(gettext_lazy("Disputed"), "bad")
    if top_up.state == TopUpState.PAID and top_up.refunded_nano:
        whole = top_up.refunded_nano == top_up.amount_nano
        text = gettext_lazy("Refunded") if whole else gettext_lazy("Partially refunded")
        return Badge(text, icon="rotate-ccw")
    return _TOP_UPS[top_up.state]


def show_transfer(change: Change) -> Line:
    """Return one value of a transfer that a second operator approves."""
    after = change["after"] or ""
    if change["name"] == "amount":
        return Line(gettext("Amount"), "", total_text(parse_usd(after)))
    return Line(gettext("Bank reference"), "", after)
