"""Find out which end user of an application sends a request, by the rule of its key
(`accounts/limits/end_users.py`)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import jwt

from accounts.limits.end_users import (
    IGNORED_FLAG,
    VERIFIED_FLAG,
    EndUserState,
    is_end_user,
    normal_end_user,
)
from accounts.limits.rules import Network, is_address_in

_TOKEN_LENGTH_MAX: Final = 4096
# How far the clock of the application may be behind or ahead.
_CLOCKS_APART_S: Final = 30
# The claims of a signed name, the best first: the same that an unsigned header would have.
_CLAIMS: Final = ("email", "sub")
# Open WebUI writes names as in an address, because they may have any letter.
_QUOTED: Final = b"x-openwebui-user-name"


class EndUserRule(NamedTuple):
    """The header in which a key's requests name their end user, and what is asked of it: to come
    from one of the `networks` if there are any, and a signature by the key's `secret`, "" for
    none."""

    header: bytes
    networks: tuple[Network, ...]
    secret: str


class EndUser(NamedTuple):
    """The end user of a request, "" if none is known; what is known of the name; and what the
    request's record says of it."""

    name: str
    state: EndUserState
    flags: tuple[str, ...] = ()


NO_END_USER: Final = EndUser("", "missing")


def read_end_user(rule: EndUserRule, lines: Iterable[tuple[bytes, bytes]], address: str) -> EndUser:
    """Return the end user that the headers of a request from `address` name."""
    values = {value for name, value in lines if name == rule.header}
    if not values:
        return NO_END_USER
    if rule.networks and not is_address_in(address, rule.networks):
        return _ignored("network")
    if len(values) > 1:
        return _ignored("invalid")
    try:
        text = values.pop().decode()
    except UnicodeDecodeError:
        return _ignored("invalid")
    if rule.secret:
        return _read_signed(text, rule.secret)
    return _named(unquote(text) if rule.header == _QUOTED else text)


def _read_signed(token: str, secret: str) -> EndUser:
    if len(token) > _TOKEN_LENGTH_MAX:
        return _ignored("invalid")
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token.strip(),
            secret,
            algorithms=["HS256"],
            leeway=_CLOCKS_APART_S,
            options={"require": ["exp"], "verify_aud": False, "verify_sub": False},
        )
    except jwt.ExpiredSignatureError:
        return _ignored("expired")
    except jwt.PyJWTError:
        return _ignored("signature")
    named = (claims.get(claim) for claim in _CLAIMS)
    return _named(next((name for name in named if isinstance(name, str) and name), ""))


def _named(text: str) -> EndUser:
    name = normal_end_user(text.strip())
    if "{{" in name:
        # A placeholder that the application did not fill in would be one person for all.
        return _ignored("invalid")
    return EndUser(name, "verified", (VERIFIED_FLAG,)) if is_end_user(name) else _ignored("invalid")


def _ignored(state: EndUserState) -> EndUser:
    return EndUser("", state, (IGNORED_FLAG,))
