"""One parameter or header, described for people."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is code, which is not translated, or a few words. `limits` is code, `meaning` text."""

    name: str
    type: str | Promise
    meaning: str | Promise
    required: bool = False
    limits: str = ""
