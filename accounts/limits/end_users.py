"""The end users of an application that shares one key: the header by which the application names
them, and what a name may be. A name is accepted if the request comes from a network that the key
lists, or if the key's own secret signed it (`relay/credentials/end_users.py`)."""

import re
from typing import Final, Literal
from unicodedata import normalize

END_USER_LENGTH: Final = 256

EndUserState = Literal["verified", "missing", "network", "signature", "expired", "invalid"]
"""What a request says about its end user: a name that is accepted; no name; or one that is ignored,
because of the network it comes from, its signature, the end of that, or the name itself."""

VERIFIED_FLAG: Final = "end_user_verified"
IGNORED_FLAG: Final = "end_user_ignored"
"""What the record of a request says of a name that is accepted, and of one that is not."""

_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
# Their values are secrets, or say nothing about a person.
_TAKEN: Final = frozenset({
    "authorization", "proxy-authorization", "cookie", "x-api-key", "x-goog-api-key", "api-key",
    "host", "connection", "content-type", "content-length", "content-encoding",
    "transfer-encoding", "idempotency-key", "forwarded", "x-forwarded-for", "x-real-ip",
})  # fmt: skip


def is_end_user_header(name: str) -> bool:
    """Return whether a header, in lower case, may name end users."""
    if name in _TAKEN or name.startswith("x-weir-"):
        return False
    return _HEADER.fullmatch(name) is not None


def normal_end_user(name: str) -> str:
    """Return the one spelling of a name: in NFC, and an address in lower case, because people and
    applications write the same one in several ways."""
    return normalize("NFC", name.lower() if "@" in name else name)


def is_end_user(name: str) -> bool:
    """Return whether people can read a name and type it again: no invisible characters (controls,
    joiners, direction marks), and spaces only between other characters. A longer name is not cut,
    because two people could become one."""
    return 0 < len(name) <= END_USER_LENGTH and name.isprintable() and name == name.strip()
