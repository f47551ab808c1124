"""What the palette finds beside pages: things to do on one of them, by their own names."""

from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class PaletteAction(NamedTuple):
    """Something to do on a page: its name, the page's URL name, other words, and the query with
    which the page opens. Without a page of the shell of that name, it is not offered."""

    name: Any
    address: str
    words: Any
    query: str = ""


ACTIONS: Final = (
    PaletteAction(
        _("Disable a key…"), "keys", pgettext_lazy("search words", "disable block switch off key")
    ),
    PaletteAction(
        _("Rotate a key…"), "keys", pgettext_lazy("search words", "rotate renew replace key secret")
    ),
    PaletteAction(
        _("Revoke a key…"), "keys", pgettext_lazy("search words", "revoke delete remove key")
    ),
    PaletteAction(
        _("Spending by person"),
        "explore",
        pgettext_lazy("search words", "who spent the most top spenders users people cost"),
        "?group_by=user",
    ),
    PaletteAction(
        _("Refund a charge"), "credits", pgettext_lazy("search words", "refund give money back")
    ),
    PaletteAction(
        _("Move requests to another model"),
        "model_rules",
        pgettext_lazy("search words", "move request redirect replace another model"),
    ),
    PaletteAction(
        _("Make someone a team lead"),
        "teams",
        pgettext_lazy("search words", "team lead leader manager"),
    ),
    PaletteAction(
        _("Archive organisation"),
        "settings",
        pgettext_lazy("search words", "delete remove close organisation organization"),
        "#archive",
    ),
)
