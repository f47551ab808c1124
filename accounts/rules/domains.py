"""Domains of email addresses, as people write them down."""

import re
from typing import Final

_DOMAIN: Final = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_LENGTH_MAX: Final = 253


def domain_of(email: str) -> str:
    """The domain of an address, in small letters."""
    return email.rpartition("@")[2].lower()


def is_domain(text: str) -> bool:
    """Whether a text, in small letters, is a domain such as `example.org`."""
    return len(text) <= _LENGTH_MAX and _DOMAIN.fullmatch(text) is not None
