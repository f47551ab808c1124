"""One parameter or header in words for people."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Field:
    """`type` and `limits` are code and stay as they are; `meaning` is translated."""

    name: str
    type: str
    meaning: str | Promise
    required: bool = False
    limits: str = ""
