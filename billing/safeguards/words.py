"""Safeguards on pages: their names and values."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from billing.approvals.approvals import Line
from billing.approvals.rules import Change
from billing.currency.money import parse_usd
from billing.currency.words import total_text
from billing.models import Approval, SafeguardName
from lib.sentences import named_text

SAFEGUARDS: Final[dict[str, Promise]] = {
    SafeguardName.CREDIT_LIMIT: gettext_lazy("Credit limit"),
    SafeguardName.AUDIT_RETENTION: gettext_lazy("Audit log"),
}


def name_safeguard(approval: Approval) -> str:
    """Return the name of the safeguard that would change, and of its organisation."""
    name = str(SAFEGUARDS[approval.about])
    return named_text(name, approval.organisation.name) if approval.organisation else name


def show_safeguard(change: Change) -> Line:
    """Return the value of a safeguard before and after."""
    name = change["name"]
    before, after = _value_text(name, change["before"]), _value_text(name, change["after"])
    return Line(str(SAFEGUARDS[name]), before, after)


def value_text(name: str, value: int) -> str:
    """Return a value in words: an amount, or a number of days."""
    if name == SafeguardName.CREDIT_LIMIT:
        return total_text(value)
    if value == 0:
        return gettext("Forever")
    return ngettext("%(n)s day", "%(n)s days", value) % {"n": value}


def _value_text(name: str, text: str | None) -> str:
    if text is None:
        return ""
    return value_text(name, parse_usd(text) if name == SafeguardName.CREDIT_LIMIT else int(text))
