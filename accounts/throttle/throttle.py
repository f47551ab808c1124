"""Limits on sign-in attempts: they slow down, they do not lock out (docs/promises.md, "Sign-in").

Attempts are counted per network, per account, and per pair of both. Failures from a network that
has signed in to the account before count only for the pair, so strangers cannot use up the owner's
attempts.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import Final, Literal

KNOWN_FOR: Final = dt.timedelta(days=180)
"""How long a network stays known for an account after its last sign-in there."""

Action = Literal[
    "sign_in",
    "sign_up",
    "ask_reset",
    "reset",
    "change_password",
    "second_factor",
    "passkey",
    "confirm",
    "device",
    "device_begin",
    "device_poll",
]


@dataclass(frozen=True)
class Limit:
    """At most `count` attempts of `subject` within `seconds` of the first one."""

    subject: str
    count: int
    seconds: int


_PER_NETWORK: dict[Action, int] = {
    "sign_in": 30,
    "sign_up": 20,
    "ask_reset": 20,
    "reset": 20,
    "change_password": 20,
    "second_factor": 30,
    "passkey": 30,
    "confirm": 20,
    "device": 20,
    "device_begin": 30,
    # 25 devices of one network, each every 5 s.
    "device_poll": 300,
}


def network_of(address: str) -> str:
    """Return the network in whose name an address is limited: the address itself, for IPv6 its /64,
    because a client can use any address of that."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def limits_of_form(action: Action, network: str) -> tuple[Limit, ...]:
    """Return the limits on submitting a form of that kind, whether the input is correct or not."""
    return (Limit(f"{action} {network}", _PER_NETWORK[action], 60),)


def limits_of_failures(email: str, network: str, *, known: bool) -> tuple[Limit, ...]:
    """Return the limits on password attempts for an account. A successful attempt does not count.
    `known` says whether the network has signed in to that account before."""
    account = email.lower()
    from_here = Limit(f"failed {network}", 10, 60)
    if known:
        return (from_here, Limit(f"failed {account} {network}", 20, 300))
    return (
        from_here,
        Limit(f"failed {account} {network}", 5, 300),
        Limit(f"failed {account}", 20, 300),
    )


def limits_of_codes(person: int, network: str, *, known: bool) -> tuple[Limit, ...]:
    """Return the limits on second-factor codes, separate from those on passwords. A successful
    attempt does not count."""
    return limits_of_failures(f"code of {person}", network, known=known)


def limits_of_letters(email: str) -> tuple[Limit, ...]:
    """Return the limits on links requested for one address."""
    return (Limit(f"letter {email.lower()}", 5, 60),)


def limits_of_unchecked_resets(network: str) -> tuple[Limit, ...]:
    """Return the limits on links that a network requests before its browsers are checked."""
    return (Limit(f"unchecked resets {network}", 3, 3600),)


def limits_of_invitations(email: str, organisation: str) -> tuple[Limit, ...]:
    """Return the limits on invitations that an organisation sends by email."""
    return (*limits_of_letters(email), Limit(f"invitations of {organisation}", 100, 3600))


def limits_of_person(person: int) -> tuple[Limit, ...]:
    """Return the limits on a signed-in person's attempts to enter the old password."""
    return (Limit(f"change_password of {person}", 5, 60),)
