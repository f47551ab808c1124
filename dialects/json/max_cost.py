"""Parse the client's maximum cost of a request: in a body, a header, or a form."""

import re
from typing import Final

from dialects.errors.errors import RequestFault

# A plain decimal; zeros after the ninth digit are accepted.
_DECIMAL: Final = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,9})0{0,31})?")
_NANO_MAX: Final = 2**63 - 1


def read_amount(text: str, name: str) -> int:
    """Return a decimal amount of USD such as `0.25` as exact nano-USD. `name` is the member or
    header. Raises RequestFault `invalid_value` for every other text, because a rounded or guessed
    limit would not be the client's."""
    match = _DECIMAL.fullmatch(text)
    nano = int(match[1] + (match[2] or "").ljust(9, "0")) if match else None
    if nano is None or nano > _NANO_MAX:
        what = (
            "must be an amount in USD of 0 or more, as a plain decimal with at most 9 decimal "
            'places and no exponent, such as "0.25"'
        )
        raise RequestFault("invalid_value", name, f"{name} {what}")
    return nano
