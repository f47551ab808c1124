"""The settings of allauth that depend on whether emails can be sent (`ALLAUTH_SETTING_GETTER`)."""

from typing import Any, Final

from allauth.account.app_settings import EmailVerificationMethod
from allauth.core import context
from django.conf import settings

_MANDATORY: Final[str] = EmailVerificationMethod.MANDATORY.value


def read_setting(name: str, default: Any) -> Any:
    """Return a setting by its name in Django's settings."""
    if name == "ACCOUNT_EMAIL_VERIFICATION":
        return _email_verification()
    if name == "MFA_ALLOW_UNVERIFIED_EMAIL":
        # A stranger must not be able to claim somebody's address; without emails none is verified.
        return _email_verification() != _MANDATORY
    return getattr(settings, name, default)


def _email_verification() -> str:
    # System checks at the start of a command read this too, and may run without a database.
    if context.request is None:
        return _MANDATORY
    # allauth reads settings before models are loaded.
    from accounts.mail_server.current_server import email_verification

    return email_verification()
