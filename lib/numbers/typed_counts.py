"""Parse a number of things as people type it, with thousands apart."""

import re
from typing import Final

_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]{0,2}(?:_[0-9]{3})+")


def parse_typed_count(text: str, digits_max: int) -> int | None:
    """Return a number of things that a person typed, or None for anything else. Commas or
    underscores may separate thousands (`12,500`). Elsewhere they are refused, never skipped,
    because in many languages a comma is a decimal point: `12,5` is not 125."""
    text = text.strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "").replace("_", "")
    valid = text.isascii() and text.isdecimal() and len(text) <= digits_max
    return int(text) if valid else None
