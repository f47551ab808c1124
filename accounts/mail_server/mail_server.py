"""The server that sends the installation's emails: from the environment, or else from the
operators' page.

The person who reads these emails can reset anybody's password. So keys cannot change the server,
and the stored password is never sent to a new host.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from allauth.account.app_settings import EmailVerificationMethod
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import MailEncryption, MailServer
from accounts.secrets.sealing import open_sealed, seal
from lib.database.tenancy import use_tenant
from lib.network.egress import EgressDenied, check_host
from lib.network.egress import literal_address as address_in
from lib.refusal import Refused, check_text

BACKEND: Final = "accounts.mail_server.email_backend.ServerBackend"
PORT_MAX: Final = 65_535
USERNAME_MAX: Final = 254
PASSWORD_MAX: Final = 500
_PLACE: Final = "accounts_mailserver|1|sealed"
_ADDRESS: Final = ("host", "port", "username")


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a mail server. `username` is empty for a server without authentication."""

    host: str
    port: int
    encryption: str
    username: str
    sender: str
    password: str = field(repr=False)


# The server that sends emails ------------------------------------------------------------------


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
        facts, password = _describe_row(row), _password_of(row)
    else:
        return None
    return Server(**{**facts, "sender": _sender_of(facts)}, password=password)


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
    return open_sealed(row.sealed, _PLACE) if row.sealed else ""


def _describe_environment() -> dict[str, Any]:
    encryption = MailEncryption.NONE
    if settings.EMAIL_USE_SSL:
        encryption = MailEncryption.TLS
    elif settings.EMAIL_USE_TLS:
        encryption = MailEncryption.STARTTLS
    return {
        "host": settings.EMAIL_HOST,
        "port": settings.EMAIL_PORT,
        "encryption": encryption.value,
        "username": settings.EMAIL_HOST_USER,
        "sender": "",
    }


# The stored server -----------------------------------------------------------------------------

_FIELDS: Final = ("host", "port", "encryption", "username", "sender")


def describe_mail_server() -> dict[str, Any] | None:
    """Return the current server, with a boolean in place of its password."""
    if settings.EMAIL_HOST:
        facts, has_password = _describe_environment(), bool(settings.EMAIL_HOST_PASSWORD)
    elif row := _stored():
        facts, has_password = _describe_row(row), row.sealed is not None
    else:
        return None
    return {**facts, "sender": _sender_of(facts), "has_password": has_password}


def describe_stored() -> dict[str, Any] | None:
    """Return the operators' settings, even if the environment overrides them, without the
    password."""
    row = _stored()
    return None if row is None else _describe_row(row)


def stored_password() -> str:
    """Return the stored password for comparison, or ""."""
    row = _stored()
    return _password_of(row) if row else ""


def save_mail_server(
    actor: Actor,
    *,
    host: str,
    port: int,
    encryption: str,
    username: str = "",
    password: str = "",
    sender: str = "",
) -> MailServer:
    """Set the server of the installation. An empty password keeps the stored one, unless the host,
    the port or the user changes. Raises Refused."""
    _check_environment()
    fields: dict[str, Any] = {
        "host": host.strip(),
        "port": port,
        "encryption": encryption,
        "username": check_text("username", username, USERNAME_MAX),
        "sender": sender.strip(),
    }
    _check(fields)
    with transaction.atomic():
        row = MailServer.objects.select_for_update().first() or MailServer()
        before = _describe_row(row) if row.host else {}
        if settings.EMAIL_FROM and fields["sender"] != before.get("sender", ""):
            text = gettext("EMAIL_FROM in the environment sets the sender.")
            raise Refused("sender", text)
        if not fields["username"]:
            row.sealed = None
        elif password:
            row.sealed = seal(check_text("password", password, PASSWORD_MAX), _PLACE)
        elif row.sealed is None or any(before[name] != fields[name] for name in _ADDRESS):
            raise Refused("password", gettext("Enter the password for this server."))
        if before == fields and not password:
            return row
        for name, value in fields.items():
            setattr(row, name, value)
        row.save()
        audit.record(
            actor, None, "mail_server.changed", row,
            before=before, after=fields, password_replaced=bool(password and row.sealed),
        )  # fmt: skip
    return row


def remove_mail_server(actor: Actor) -> None:
    """Remove the operators' server; no emails are sent from then on. Raises Refused if the
    environment sets the server."""
    _check_environment()
    with transaction.atomic():
        row = MailServer.objects.select_for_update().first()
        if row is not None:
            audit.record(actor, None, "mail_server.removed", row, before=_describe_row(row))
            row.delete()


def _describe_row(row: MailServer) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FIELDS}


def _check_environment() -> None:
    if settings.EMAIL_HOST:
        raise Refused("host", gettext("EMAIL_HOST in the environment sets the mail server."))


def _check(fields: dict[str, Any]) -> None:
    try:
        check_host(fields["host"])
        if fields["sender"]:
            validate_email(fields["sender"])
    except EgressDenied as error:
        raise Refused("host", gettext("Enter a host name or an IP address.")) from error
    except ValidationError as error:
        raise Refused("sender", error.messages[0]) from error
    if not 1 <= fields["port"] <= PORT_MAX:
        raise Refused("port", gettext("A port is a number from 1 to 65535."))
    if fields["encryption"] not in MailEncryption.values:
        text = gettext("Choose one of: %(known)s.") % {"known": ", ".join(MailEncryption.values)}
        raise Refused("encryption", text)
    unprotected = fields["encryption"] == MailEncryption.NONE
    if (
        unprotected
        and fields["username"]
        and address_in(fields["host"]) not in ("127.0.0.1", "::1")
    ):
        text = gettext("Choose TLS or STARTTLS. Without it, others can read the password.")
        raise Refused("encryption", text)
