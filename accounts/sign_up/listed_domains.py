"""The listed email domains, and how a person with an address at one joins its organisation."""

from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role, SignUpDomain, SignUpMode, User
from accounts.names.email_domains import domain_of, is_domain
from accounts.sign_up.conditions import current_mode, has_confirmed, lock_without_membership
from lib.refusal import Refused

DOMAINS_MAX: Final = 100
ROLES: Final = tuple(role for role in Role if role not in (Role.OWNER, Role.CUSTOM))


# The list ---------------------------------------------------------------------------------------


def validate_domains(domains: Sequence[dict[str, str]]) -> list[SignUpDomain]:
    """Return the rows of a list of domains, as `save_sign_up` takes it. Raises Refused."""
    if len(domains) > DOMAINS_MAX:
        raise Refused("domains", gettext("You can list up to %(n)s entries.") % {"n": DOMAINS_MAX})
    rows = [_parse_domain(**domain) for domain in domains]
    names = [row.domain for row in rows]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refused("domains", gettext("%(name)s is listed twice.") % {"name": twice})
    return rows


def _parse_domain(domain: str, organisation: str, role: str) -> SignUpDomain:
    name = domain.strip().lower()
    if not is_domain(name):
        text = gettext("%(name)s is not a domain such as example.org.") % {"name": name[:80]}
        raise Refused("domains", text)
    joined = Organisation.objects.filter(slug=organisation.replace("\0", "")).first()
    if joined is None:
        text = gettext("There is no organisation %(name)s.") % {"name": organisation[:80]}
        raise Refused("domains", text)
    if role not in ROLES:
        text = gettext("%(role)s cannot be given by domain. Choose from: %(known)s.")
        known = ", ".join(ROLES)
        raise Refused("domains", text % {"role": role[:40] or "–", "known": known})
    return SignUpDomain(domain=name, organisation=joined, role=role)


def domains_from_lines(text: str) -> list[dict[str, str]]:
    """Parse the page's text of domains, one per line: `domain = organisation: role`. Raises
    Refused."""
    return [_parse_line(line.strip()) for line in text.splitlines() if line.strip()]


def _parse_line(line: str) -> dict[str, str]:
    domain, organisation, role = split_line(line)
    if not (domain and organisation and role):
        raise Refused("domains", gettext("Enter a domain, an organisation and a role in each row."))
    return {"domain": domain, "organisation": organisation, "role": role}


def split_line(line: str) -> tuple[str, str, str]:
    """Return domain, organisation and role of a line, with "" for missing parts."""
    domain, _, rest = line.partition("=")
    organisation, _, role = rest.partition(":")
    return domain.strip(), organisation.strip(), role.strip()


def domains_as_lines(domains: Sequence[dict[str, str]]) -> str:
    return "\n".join(
        f"{domain['domain']} = {domain['organisation']}: {domain['role']}" for domain in domains
    )


# Joining ----------------------------------------------------------------------------------------


def find_listed(email: str) -> SignUpDomain | None:
    """Return the domain of an address, its organisation and role, if it is listed."""
    rows = SignUpDomain.objects.select_related("organisation")
    return rows.filter(domain=domain_of(email), organisation__archived_at=None).first()


def join_by_domain(user: User) -> None:
    """At a person's first sign-in, add them to the organisation of their email domain. A person
    whose membership was ended is not added again."""
    if (
        user.last_login is not None
        or current_mode() != SignUpMode.DOMAIN
        or not has_confirmed(user)
    ):
        return
    rule = find_listed(user.email)
    if rule is None:
        return
    with transaction.atomic():
        locked = lock_without_membership(user)
        if locked is not None:
            members.set_member(rule.organisation, locked.email, Role(rule.role), actor=SYSTEM)
