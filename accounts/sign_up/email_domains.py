"""Domains of email addresses, as people write them down."""

import re
from typing import Final

_DOMAIN: Final = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_LENGTH_MAX: Final = 253


def domain_of(email: str) -> str:
    """The domain of an address, in small letters; "" for one that is not written in ASCII.

    An internationalised domain has to be written in its ASCII form (`xn--…`): other letters can
    look like, or become in small letters, those of another domain (`K`, the Kelvin sign).
    """
    domain = email.rpartition("@")[2]
    return domain.lower() if domain.isascii() else ""


def is_domain(text: str) -> bool:
    """Return whether a text, in small letters, is a domain such as `example.org`."""
    return len(text) <= _LENGTH_MAX and _DOMAIN.fullmatch(text) is not None
