"""One parameter or header, described for people."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Field:
    """`type` and `limits` are code and are not translated; `meaning` is."""

    name: str
    type: str
    meaning: str | Promise
    required: bool = False
    limits: str = ""
