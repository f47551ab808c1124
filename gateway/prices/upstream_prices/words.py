"""Why a price of a provider could not be read, as text."""

from collections.abc import Sequence
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.prices.upstream_prices import ReasonCode

REASONS: Final[dict[ReasonCode, Promise]] = {
    "no_prices": _("It has no prices."),
    "twice": _("It is listed twice."),
    "member_twice": _("One of its prices is listed twice."),
    "no_meter": _("%(member)s has no meter."),
    "unknown": _("%(member)s is not known."),
    "missing": _("%(member)s is missing."),
    "other_group": _("It is not for the group %(given)s."),
    "quota_type": _("%(member)s %(given)s is not known."),
    "alone": _("%(member)s is given without %(given)s."),
    "no_name": _("It has no name (%(member)s)."),
    "bad_name": _("A model cannot have this name."),
    "free": _("It costs nothing. Enter its price yourself if that is so."),
    "no_number": _("%(member)s is not a number: %(given)s"),
    "below_zero": _("%(member)s is below 0: it varies from request to request."),
    "too_much": _("%(member)s is more than %(given)s USD."),
    "not_exact": _("%(member)s is not exact to a nano-dollar per million."),
}


def reason_words(kept: Sequence[str]) -> str:
    """Return the text of a stored reason: its code, member and value."""
    code, member, value = kept
    return str(REASONS[code]) % {"member": member, "given": value}  # type: ignore[index]
