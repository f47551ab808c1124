"""The mail server that sends the installation's emails now: from the environment, or else the one
that operators stored. Reading alone; `mail_server.py` stores it."""

from dataclasses import dataclass, field
from typing import Any, Final

from allauth.account.app_settings import EmailVerificationMethod
from django.conf import settings

from accounts.models import MailEncryption, MailServer
from accounts.secrets.sealing import open_sealed
from lib.database.tenancy import use_tenant
from lib.network.egress import literal_address as address_in

BACKEND: Final = "accounts.mail_server.email_backend.ServerBackend"
SEALED_AS: Final = "accounts_mailserver|1|sealed"
"""What the stored password is sealed as."""
_FIELDS: Final = ("host", "port", "encryption", "username", "sender")


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a mail server. `username` is empty for a server without authentication."""

    host: str
    port: int
    encryption: str
    username: str
    sender: str
    password: str = field(repr=False)


def set_by_environment() -> dict[str, str]:
    """Return the environment variables that set parts of the mail server, by part."""
    names = dict.fromkeys(("host", "port", "encryption", "username", "password"), "EMAIL_HOST")
    return (names if settings.EMAIL_HOST else {}) | (
        {"sender": "EMAIL_FROM"} if settings.EMAIL_FROM else {}
    )


def mail_server() -> Server | None:
    """Return the current server, or None if emails cannot be sent. Raises VaultError."""
    if settings.EMAIL_HOST:
        facts, password = _describe_environment(), settings.EMAIL_HOST_PASSWORD
    elif row := _stored():
        facts, password = describe_row(row), _password_of(row)
    else:
        return None
    return Server(**{**facts, "sender": _sender_of(facts)}, password=password)


def shows_password(encryption: str, username: str, host: str) -> bool:
    """Return whether others could read the password on its way to the server."""
    here = address_in(host) in ("127.0.0.1", "::1")
    return encryption == MailEncryption.NONE and bool(username) and not here


def mail_is_set_up() -> bool:
    """Return whether emails can be sent."""
    return settings.EMAIL_BACKEND != BACKEND or _has_server()


def email_verification() -> str:
    """Return allauth's setting for whether a new account must confirm its address.

    If emails can be sent, sign-up ends by sending one, so it does not reveal which addresses exist.
    Otherwise the person is signed in immediately, and sign-up must say that an address is taken.
    """
    ways = EmailVerificationMethod
    by_server = ways.MANDATORY if _has_server() else ways.NONE
    return settings.ACCOUNT_EMAIL_VERIFICATION or str(by_server.value)


def _has_server() -> bool:
    return bool(settings.EMAIL_HOST) or _stored() is not None


def _stored() -> MailServer | None:
    # Invitations ask from within an organisation, where the row is not visible.
    with use_tenant(None):
        return MailServer.objects.first()


def _sender_of(facts: dict[str, Any]) -> str:
    return settings.EMAIL_FROM or facts["sender"] or settings.DEFAULT_FROM_EMAIL


def _password_of(row: MailServer) -> str:
    return open_sealed(row.sealed, SEALED_AS) if row.sealed else ""


def _describe_environment() -> dict[str, Any]:
    encryption = MailEncryption.NONE
    if settings.EMAIL_USE_SSL:
        encryption = MailEncryption.TLS
    elif settings.EMAIL_USE_TLS:
        encryption = MailEncryption.STARTTLS
    if shows_password(encryption, settings.EMAIL_HOST_USER, settings.EMAIL_HOST):
        encryption = MailEncryption.STARTTLS
    return {
        "host": settings.EMAIL_HOST,
        "port": settings.EMAIL_PORT,
        "encryption": encryption.value,
        "username": settings.EMAIL_HOST_USER,
        "sender": "",
    }


def describe_mail_server() -> dict[str, Any] | None:
    """Return the current server, with a boolean in place of its password."""
    if settings.EMAIL_HOST:
        facts, has_password = _describe_environment(), bool(settings.EMAIL_HOST_PASSWORD)
    elif row := _stored():
        facts, has_password = describe_row(row), row.sealed is not None
    else:
        return None
    return {**facts, "sender": _sender_of(facts), "has_password": has_password}


def describe_stored() -> dict[str, Any] | None:
    """Return the operators' settings, even if the environment overrides them, without the
    password."""
    row = _stored()
    return None if row is None else describe_row(row)


def stored_password() -> str:
    """Return the stored password for comparison, or ""."""
    row = _stored()
    return _password_of(row) if row else ""


def describe_row(row: MailServer) -> dict[str, Any]:
    """Return the settings of a stored server, without its password."""
    return {name: getattr(row, name) for name in _FIELDS}
