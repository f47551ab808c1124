"""Names that people give to organisations, teams, projects and service accounts."""

from typing import Final

from django.utils.translation import gettext

from lib.refusal import Refused, check_text

NAME_MAX: Final = 120


def check_name(name: str, length_max: int = NAME_MAX) -> str:
    """A name as it is stored: one line. Raises Refused for an empty one, and a longer one."""
    checked = check_text("name", name, length_max)
    if not checked:
        raise Refused("name", gettext("Enter a name."))
    if len(checked.splitlines()) != 1:
        raise Refused("name", gettext("A name is a single line."))
    return checked
