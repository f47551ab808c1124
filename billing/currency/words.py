"""The names of the currency, the kinds of ledger lines and the states of top-ups on pages."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, pgettext

from billing.currency.display import (
    TOTAL_PLACES,
    Nano,
    charge_places,
    display,
    places_beside,
    price_places,
)
from billing.limits.charge_rule import ChargeRule
from billing.models import CreditKind, TopUp, TopUpState
from lib.tables.table import Badge


def money_symbol() -> str:
    """Return the symbol of USD in the page's language: ``$`` in all present languages."""
    return pgettext("currency", "$")


def total_text(nano: int) -> str:
    """Return a total, to the cent."""
    return display(nano, TOTAL_PLACES, money_symbol())


def charge_text(nano: int) -> str:
    """Return the charge of one request or session."""
    return display(nano, charge_places([nano]), money_symbol())


def limit_text(nano: Nano) -> str:
    """Return a limit, such as a budget's, in full."""
    return display(nano, price_places([nano]), money_symbol())


def beside_text(nano: Nano, limit_nano: Nano) -> str:
    """Return an amount that stands beside its limit."""
    return display(nano, places_beside(limit_nano, nano), money_symbol())


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


CHARGE_RULES: Final[dict[str, Promise]] = {
    "measured": gettext_lazy("Close at once and charge what was measured"),
    "drain": gettext_lazy("Keep reading and charge the usage"),
    "absorb": gettext_lazy("Close at once and charge nothing"),
}
"""The charges for abandoned and failed requests, in words."""


def charge_rule_words(rule: ChargeRule) -> str:
    """Return a charge rule in one line."""
    word = str(CHARGE_RULES[rule.kind])
    if rule.kind != "drain":
        return word
    limits = gettext("%(n)s s") % {"n": rule.seconds}
    if rule.cost_nano is not None:
        limits += f", {charge_text(rule.cost_nano)}"
    return gettext("%(rule)s, at most %(limits)s") % {"rule": word, "limits": limits}


CREDIT_KINDS: Final[dict[str, Promise]] = {
    CreditKind.CASH: gettext_lazy("Cash balance"),
    CreditKind.PROMO: gettext_lazy("Promotional credit"),
}
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
