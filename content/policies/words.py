"""What guards, their places and actions are called on pages."""

from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class GuardWords(NamedTuple):
    name: Any
    setting: Any = ""  # the label of its field; without one it has no settings
    hint: Any = ""


GUARDS: Final = {
    "email": GuardWords(_("Email addresses")),
    "card": GuardWords(_("Card numbers")),
    "iban": GuardWords(_("Bank accounts (IBAN)")),
    "telephone": GuardWords(_("Telephone numbers with a country code")),
    "national_number": GuardWords(
        _("National numbers of people"),
        _("Countries"),
        _("Two letters each: BR CH CN DE ES FR GB IN IT JP KR NL PL SE TR US ZA."),
    ),
    "secret": GuardWords(_("Secrets of known vendors")),
    "private_key": GuardWords(_("Private keys")),
    "words": GuardWords(_("Words"), _("Words and phrases"), _("One per line.")),
    "expressions": GuardWords(
        _("Regular expressions"),
        _("Expressions"),
        _("One per line, with a longest match: a{1,100} instead of a+."),
    ),
    "tool": GuardWords(
        _("Tools of agents"),
        _("Rules for tools"),
        _(
            "One per line: refuse, ask or allow, a tool's name with *, and what its arguments "
            "contain: refuse shell /command sudo. The first rule that fits a call decides."
        ),
    ),
}
PLACES: Final = {
    "request": _("Requests"),
    "answer": _("Answers"),
    "tool_call": _("Tool calls"),
    "tool_result": _("Tool results"),
}
ACTIONS: Final = {
    "": _("Off"),
    "mask": pgettext_lazy("guard", "Mask"),
    "refuse": pgettext_lazy("guard", "Reject"),
    "flag": pgettext_lazy("guard", "Flag"),
}
SCOPES: Final = {"organisation": _("Organisation"), "team": _("Team"), "key": _("API key")}
