"""Rules for signing in with an organisation's identity provider: pure evaluation of claims."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from accounts.names.email_domains import domain_of

RULES_MAX: Final = 50
DOMAINS_MAX: Final = 20
SUBJECT_MAX: Final = 191
"""Characters of a `sub` claim that are stored."""
_ADDRESS: Final = re.compile(r"(?=.{3,254}\Z)[^@\s]+@[^@\s]+")

Refusal = Literal[
    "no_email",
    "unverified_email",
    "foreign_domain",
    "unconfirmed_domain",
    "connect_first",
    "no_role",
]


@dataclass(frozen=True)
class GroupRule:
    """The role and teams for members of a group of the identity provider. Teams are slugs; none
    means every team."""

    group: str
    role: str
    teams: tuple[str, ...] = ()


@dataclass(frozen=True)
class Granted:
    """A role and the teams that it is limited to; none means all teams."""

    role: str
    teams: tuple[str, ...] = ()


class ClaimsRefused(Exception):
    """The claims do not permit signing in."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


def groups_of(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """Return the groups in a claim, which is a list of texts or one text."""
    value = claims.get(claim) if claim else None
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, Iterable):
        return frozenset(group for group in value if isinstance(group, str))
    return frozenset()


def grant_from_groups(
    groups: Collection[str], rules: Iterable[GroupRule], default_role: str
) -> Granted:
    """Return the role and teams for these groups: the role of the first matching rule, else the
    default role, in the teams of all matching rules. Raises ClaimsRefused if no role results."""
    fitting = [rule for rule in rules if rule.group in groups]
    if not fitting:
        if not default_role:
            raise ClaimsRefused("no_role")
        return Granted(default_role)
    everywhere = any(not rule.teams for rule in fitting)
    teams = {} if everywhere else dict.fromkeys(team for rule in fitting for team in rule.teams)
    return Granted(fitting[0].role, tuple(teams))


def is_subject(sub: object) -> bool:
    """Return whether a `sub` claim can identify a person (OpenID Connect Core 1.0, section 2): a
    text that is not blank, within what is stored of it."""
    return (
        isinstance(sub, str)
        and 0 < len(sub.strip()) <= len(sub) <= SUBJECT_MAX
        and (sub.isprintable())
    )


def _is_verified(claims: Mapping[str, Any]) -> bool:
    """Return whether the provider says that the address is verified. Entra has no `email_verified`:
    its optional claim `xms_edov` says that the domain's owner is verified, as true or as "1"."""
    if "email_verified" in claims:
        # Accept only a boolean, because the text "false" would be true.
        return claims["email_verified"] is True
    return claims.get("xms_edov") is True or claims.get("xms_edov") in ("1", "true")


def verified_email(claims: Mapping[str, Any]) -> str:
    """Return the address that the provider says it has verified. Raises ClaimsRefused."""
    email = claims.get("email")
    if not isinstance(email, str) or not _ADDRESS.fullmatch(email) or not email.isprintable():
        raise ClaimsRefused("no_email")
    if not _is_verified(claims):
        raise ClaimsRefused("unverified_email")
    return email.lower()


def email_of_domain(
    claims: Mapping[str, Any], domains: Collection[str], confirmed: Collection[str]
) -> str:
    """Return the verified address by which an unconnected account is found or created. Only
    addresses at `confirmed` domains count, because whoever runs an identity provider can make it
    claim anything. Raises ClaimsRefused."""
    email = verified_email(claims)
    domain = domain_of(str(claims["email"]))
    if domain not in domains:
        raise ClaimsRefused("foreign_domain")
    if domain not in confirmed:
        raise ClaimsRefused("unconfirmed_domain")
    return email
