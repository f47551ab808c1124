"""Price plans on pages: what would change."""

from django.utils.translation import gettext

from billing.approvals.approvals import Line
from billing.approvals.rules import Change
from billing.currency.money import parse_multiplier
from billing.prices.words import markup_words


def show_plan_change(change: Change) -> Line:
    """Return the plan of a holder, or a markup, before and after."""
    if change["name"] == "plan":
        none = gettext("Standard")
        return Line(gettext("Price plan"), change["before"] or none, change["after"] or none)
    before, after = (
        markup_words(parse_multiplier(text)) if text else ""
        for text in (change["before"], change["after"])
    )
    return Line(gettext("Markup"), before, after)
