"""Amounts of money as clients write them in a body or a header."""

import re
from decimal import Decimal
from typing import Final

_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?")
_NANO: Final = Decimal(10**9)
_NANO_MAX: Final = 2**63 - 1


def read_amount(text: str) -> int | None:
    """Nano-USD of a decimal amount of USD such as `0.25`, rounded down; None when it is none."""
    if not _AMOUNT.fullmatch(text):
        return None
    nano = Decimal(text) * _NANO
    return int(nano) if nano <= _NANO_MAX else None
