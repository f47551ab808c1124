"""Who may create an account, and which organisation its person joins.

Signing up creates a person. After they confirm their address and sign in, a person with a listed
email domain joins its organisation. If sign-up is open, a person without an organisation may create
one.
"""

from collections.abc import Sequence
from typing import Any, Final

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.models import EmailAddress
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.mail_server.current_server import email_verification
from accounts.members import invitations, members
from accounts.models import (
    Membership,
    Organisation,
    Role,
    SignUpDomain,
    SignUpMode,
    SignUpSetting,
    User,
)
from accounts.names.email_domains import domain_of, is_domain
from accounts.names.names import check_name
from accounts.organisations import organisations
from accounts.sessions.security_changes import oneself
from lib.refusal import Refused

DOMAINS_MAX: Final = 100
ROLES: Final = tuple(role for role in Role if role not in (Role.OWNER, Role.CUSTOM))
_CONFIRMING: Final = (SignUpMode.DOMAIN, SignUpMode.OPEN)


# The setting ------------------------------------------------------------------------------------


def mode() -> SignUpMode:
    """Return the current mode. If no emails can be sent, no address can be confirmed, so only
    invitations admit new people."""
    chosen = SignUpMode(_setting().mode)
    return SignUpMode.INVITE if chosen in _CONFIRMING and not sends_letters() else chosen


def sends_letters() -> bool:
    """Return whether a new person must confirm the address by an email."""
    return bool(email_verification() == EmailVerificationMethod.MANDATORY.value)


def describe_settings() -> dict[str, Any]:
    """Return the sign-up settings as `save_sign_up` takes them: `mode`, `captcha`, and `domains` by
    name."""
    setting = _setting()
    rows = SignUpDomain.objects.select_related("organisation").order_by("domain")
    return {
        "mode": setting.mode,
        "captcha": setting.captcha,
        "domains": [
            {"domain": row.domain, "organisation": row.organisation.slug, "role": row.role}
            for row in rows
        ],
    }


def save_sign_up(
    actor: Actor,
    *,
    mode: str | None = None,
    captcha: bool | None = None,
    domains: Sequence[dict[str, str]] | None = None,
) -> None:
    """Change the given settings. `captcha` is whether browsers are checked. `domains` replaces the
    whole list; each has `domain`, `organisation` (a slug) and `role`. Raises Refused for invalid
    values."""
    with transaction.atomic():
        row, _ = SignUpSetting.objects.select_for_update().get_or_create(id=1)
        before = describe_settings()
        if domains is not None:
            SignUpDomain.objects.all().delete()
            SignUpDomain.objects.bulk_create(_validate_domains(domains))
        row.mode = row.mode if mode is None else mode
        row.captcha = row.captcha if captcha is None else captcha
        row.save()
        _check_mode(row.mode)
        after = describe_settings()
        if before != after:
            audit.record(actor, None, "sign_up.changed", row, before=before, after=after)


def _setting() -> SignUpSetting:
    return SignUpSetting.objects.first() or SignUpSetting()


def _check_mode(mode: str) -> None:
    if mode not in SignUpMode.values:
        text = gettext("Choose one of: %(known)s.") % {"known": ", ".join(SignUpMode.values)}
        raise Refused("mode", text)
    if mode in _CONFIRMING and not sends_letters():
        text = gettext(
            "People must confirm their email address, and this installation sends no emails. "
            "Set up a mail server first."
        )
        raise Refused("mode", text)
    if mode == SignUpMode.DOMAIN and not SignUpDomain.objects.exists():
        raise Refused("domains", gettext("List at least one domain."))


def _validate_domains(domains: Sequence[dict[str, str]]) -> list[SignUpDomain]:
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


# Signing up -------------------------------------------------------------------------------------


def may_sign_up(request: HttpRequest) -> bool:
    """Return whether this visitor may create an account. If it depends on the email domain, the
    address is checked later."""
    current = mode()
    if current in _CONFIRMING:
        return True
    return current == SignUpMode.INVITE and invitations.is_invited(request)


def checks_browser(request: HttpRequest) -> bool:
    """Return whether this visitor's browser is checked before it signs up: where anyone may, unless
    an invitation was opened."""
    return mode() == SignUpMode.OPEN and checks_browsers() and not invitations.is_invited(request)


def checks_browsers() -> bool:
    """Return whether forms that everybody can send may ask for a proof of work."""
    return _setting().captcha


def accepts(request: HttpRequest, email: str) -> bool:
    """Return whether a visitor who may sign up may do so with that address. Known and unknown
    addresses get the same answer."""
    if mode() != SignUpMode.DOMAIN or invitations.is_invited(request):
        return True
    return _domain_of(email) is not None


def _domain_of(email: str) -> SignUpDomain | None:
    rows = SignUpDomain.objects.select_related("organisation")
    return rows.filter(domain=domain_of(email), organisation__archived_at=None).first()


# Joining ----------------------------------------------------------------------------------------


def join_by_domain(user: User) -> None:
    """At a person's first sign-in, add them to the organisation of their email domain. A person
    whose membership was ended is not added again."""
    if user.last_login is not None or mode() != SignUpMode.DOMAIN or not _has_confirmed(user):
        return
    rule = _domain_of(user.email)
    if rule is None:
        return
    with transaction.atomic():
        locked = _lock_without_membership(user)
        if locked is not None:
            members.set_member(rule.organisation, locked.email, Role(rule.role), actor=SYSTEM)


def may_found(user: User) -> bool:
    """Return whether the person may create an organisation: they belong to none, and sign-up is
    open."""
    return (
        mode() == SignUpMode.OPEN
        and _has_confirmed(user)
        and not Membership.objects.filter(user=user).exists()
    )


def create_own_organisation(user: User, name: str) -> Organisation:
    """Create a new person's organisation, which they own. Raises Refused."""
    checked = check_name(name)
    with transaction.atomic():
        locked = _lock_without_membership(user)
        if locked is None or not may_found(user):
            raise Refused(
                "name",
                gettext(
                    "You cannot create an organisation. Ask an operator to create one for you."
                ),
            )
        return organisations.create_organisation(checked, owner=locked, actor=oneself(locked))


def _has_confirmed(user: User) -> bool:
    addresses = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    return bool(addresses.exists())


def _lock_without_membership(user: User) -> User | None:
    """Lock the person's row, so that concurrent requests create only one organisation. Return the
    person if they belong to none, else None."""
    locked = User.objects.select_for_update().get(pk=user.pk)
    return None if Membership.objects.filter(user=locked).exists() else locked
