"""Who may create an account.

Signing up creates a person. After they confirm their address and sign in, a person with a listed
email domain joins its organisation (`listed_domains.py`). If sign-up is open, a person without an
organisation may create one.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.members import invitations
from accounts.models import (
    Membership,
    Organisation,
    SignUpDomain,
    SignUpMode,
    SignUpSetting,
    User,
)
from accounts.names.names import check_name
from accounts.organisations import organisations
from accounts.sessions.security_changes import oneself
from accounts.sign_up.conditions import (
    CONFIRMING,
    current_mode,
    current_setting,
    has_confirmed,
    lock_without_membership,
    sends_letters,
)
from accounts.sign_up.listed_domains import find_listed, validate_domains
from lib.refusal import Refused

# The setting ------------------------------------------------------------------------------------


def describe_settings() -> dict[str, Any]:
    """Return the sign-up settings as `save_sign_up` takes them: `mode`, `captcha`, and `domains` by
    name."""
    setting = current_setting()
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
            SignUpDomain.objects.bulk_create(validate_domains(domains))
        row.mode = row.mode if mode is None else mode
        row.captcha = row.captcha if captcha is None else captcha
        row.save()
        _check_mode(row.mode)
        after = describe_settings()
        if before != after:
            audit.record(actor, None, "sign_up.changed", row, before=before, after=after)


def _check_mode(mode: str) -> None:
    if mode not in SignUpMode.values:
        text = gettext("Choose one of: %(known)s.") % {"known": ", ".join(SignUpMode.values)}
        raise Refused("mode", text)
    if mode in CONFIRMING and not sends_letters():
        text = gettext(
            "People must confirm their email address, and this installation sends no emails. "
            "Set up a mail server first."
        )
        raise Refused("mode", text)
    if mode == SignUpMode.DOMAIN and not SignUpDomain.objects.exists():
        raise Refused("domains", gettext("List at least one domain."))


# Signing up -------------------------------------------------------------------------------------


def may_sign_up(request: HttpRequest) -> bool:
    """Return whether this visitor may create an account. If it depends on the email domain, the
    address is checked later."""
    current = current_mode()
    if current in CONFIRMING:
        return True
    return current == SignUpMode.INVITE and invitations.is_invited(request)


def checks_browser(request: HttpRequest) -> bool:
    """Return whether this visitor's browser is checked before it signs up: where anyone may, unless
    an invitation was opened."""
    return (
        current_mode() == SignUpMode.OPEN
        and checks_browsers()
        and not invitations.is_invited(request)
    )


def checks_browsers() -> bool:
    """Return whether forms that everybody can send may ask for a proof of work."""
    return current_setting().captcha


def accepts(request: HttpRequest, email: str) -> bool:
    """Return whether a visitor who may sign up may do so with that address. Known and unknown
    addresses get the same answer."""
    if current_mode() != SignUpMode.DOMAIN or invitations.is_invited(request):
        return True
    return find_listed(email) is not None


# Founding ----------------------------------------------------------------------------------------


def may_found(user: User) -> bool:
    """Return whether the person may create an organisation: they belong to none, and sign-up is
    open."""
    return (
        current_mode() == SignUpMode.OPEN
        and has_confirmed(user)
        and not Membership.objects.filter(user=user).exists()
    )


def create_own_organisation(user: User, name: str) -> Organisation:
    """Create a new person's organisation, which they own. Raises Refused."""
    checked = check_name(name)
    with transaction.atomic():
        locked = lock_without_membership(user)
        if locked is None or not may_found(user):
            raise Refused(
                "name",
                gettext(
                    "You cannot create an organisation. Ask an operator to create one for you."
                ),
            )
        return organisations.create_organisation(checked, owner=locked, actor=oneself(locked))
