"""Names of organisations, teams, projects and service accounts, and addresses of people."""

from collections.abc import Container, Iterator
from itertools import count
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext

from lib.refusal import Refused, check_text

NAME_MAX: Final = 120
PLAYGROUND_NAME: Final = "Playground"
"""The name under which the playground's own key is stored. No other key of its organisation has
it."""


def check_name(name: str, length_max: int = NAME_MAX) -> str:
    """Return a name on one line, as stored. Raises Refused for an empty one and for one that is too
    long."""
    checked = check_text("name", name, length_max)
    if not checked:
        raise Refused("name", gettext("Enter a name."))
    if len(checked.splitlines()) != 1:
        raise Refused("name", gettext("A name is a single line."))
    return checked


def label_of_choice(name: str, *, archived: bool) -> str:
    """Return how a choice shows the name of a team, which may be archived."""
    return gettext("%(name)s (archived)") % {"name": name} if archived else name


def number_names(name: str, joint: str = " ", length_max: int = NAME_MAX) -> Iterator[str]:
    """Yield the names for things that we name ourselves: the name, then the name with 2, 3, ….
    Each has at most `length_max` characters."""
    yield name[:length_max]
    for n in count(2):
        tail = f"{joint}{n}"
        yield name[: length_max - len(tail)] + tail


def first_free_name(
    name: str, taken: Container[str], joint: str = " ", length_max: int = NAME_MAX
) -> str:
    """Return the first of the `number_names` that is not taken."""
    return next(free for free in number_names(name, joint, length_max) if free not in taken)


def check_email(field: str, email: str) -> str:
    """Return an email address without the spaces around it. Raises Refused for an invalid one."""
    address = email.strip()
    try:
        validate_email(address)
    except ValidationError as error:
        text = gettext("%(email)s is not an email address.") % {"email": address[:80]}
        raise Refused(field, text) from error
    return address
