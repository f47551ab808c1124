"""Who counts as one for trial credit."""

from collections.abc import Container
from typing import Final, NamedTuple

DAYS_MAX: Final = 3_650
# Their mailboxes ignore dots before the @.
_WITHOUT_DOTS: Final = frozenset({"gmail.com", "googlemail.com"})


class Claim(NamedTuple):
    """Who asks for trial credit: a mailbox, and the domain that shares one credit, or ""."""

    person: str
    domain: str


def claim_of(email: str, *, by_domain: bool, shared: Container[str]) -> Claim:
    """Return who an address stands for. Addresses that reach one mailbox are one person: with other
    letters, with a +tag, or with dots where those are ignored. The domains in `shared` are
    public email providers, whose people have nothing in common."""
    name, _, domain = email.strip().lower().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in _WITHOUT_DOTS:
        name, domain = name.replace(".", ""), "gmail.com"
    shares = by_domain and domain not in shared
    return Claim(f"{name}@{domain}", domain if shares else "")
