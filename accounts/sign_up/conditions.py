"""What sign-up depends on: its setting, and what is known of a new person."""

from typing import Final

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.models import EmailAddress

from accounts.mail_server.current_server import email_verification
from accounts.models import Membership, SignUpMode, SignUpSetting, User

CONFIRMING: Final = (SignUpMode.DOMAIN, SignUpMode.OPEN)


def current_mode() -> SignUpMode:
    """Return the current mode. If no emails can be sent, no address can be confirmed, so only
    invitations admit new people."""
    chosen = SignUpMode(current_setting().mode)
    return SignUpMode.INVITE if chosen in CONFIRMING and not sends_letters() else chosen


def sends_letters() -> bool:
    """Return whether a new person must confirm the address by an email."""
    return bool(email_verification() == EmailVerificationMethod.MANDATORY.value)


def current_setting() -> SignUpSetting:
    return SignUpSetting.objects.first() or SignUpSetting()


def has_confirmed(user: User) -> bool:
    addresses = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    return bool(addresses.exists())


def lock_without_membership(user: User) -> User | None:
    """Lock the person's row, so that concurrent requests create only one organisation. Return the
    person if they belong to none, else None."""
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return None if Membership.objects.filter(user=locked).exists() else locked
