"""The charges for abandoned and failed requests on pages."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from billing.currency.words import charge_text
from billing.limits.charge_rule import ChargeRule

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
