"""Domains of email addresses, as typed."""

import re
from typing import Final

_DOMAIN: Final = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_LENGTH_MAX: Final = 253


def domain_of(email: str) -> str:
    """Return the domain of an address in lower case, or "" if it is not in ASCII.

    An internationalised domain must be in its ASCII form (`xn--…`). Other letters can look like
    those of another domain, or become them in lower case (such as `K`, the Kelvin sign).
    """
    domain = email.rpartition("@")[2]
    return domain.lower() if domain.isascii() else ""


def is_domain(text: str) -> bool:
    """Return whether a text, in small letters, is a domain such as `example.org`."""
    return len(text) <= _LENGTH_MAX and _DOMAIN.fullmatch(text) is not None
