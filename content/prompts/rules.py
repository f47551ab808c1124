"""What a prompt may be called, and the values of its variables."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from content.prompts.settings import Settings
from content.prompts.variables import is_too_long, missing, names_in

NAME_MAX: Final = 80
NOTE_MAX: Final = 200
SLUG_MAX: Final = 60
OPENAI_ID: Final = "pmpt_"
"""How OpenAI's ids of prompts begin, which no slug of ours does."""


class Values(NamedTuple):
    """The values of a prompt's variables by name; the names of values that no variable has, and of
    the variables without a value; and whether the filled text is too long."""

    values: Mapping[str, str]
    unknown: tuple[str, ...]
    unfilled: tuple[str, ...]
    too_long: bool


def values_of(settings: Settings, passed: Mapping[str, str]) -> Values:
    """Return the values that a request gives, and the prompt's defaults for the others."""
    known = names_in(settings.system)
    values = {**settings.variables, **passed}
    unknown = tuple(name for name in passed if name not in known)
    system = settings.system
    return Values(values, unknown, missing(system, values), is_too_long(system, values))
