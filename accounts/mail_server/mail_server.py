"""The server that operators store for the installation's emails.

The person who reads these emails can reset anybody's password. So keys cannot change the server,
and the stored password is never sent to a new host.
"""

from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.mail_server.current_server import SEALED_AS, describe_row, shows_password
from accounts.models import MailEncryption, MailServer
from accounts.secrets.sealing import seal
from lib.network.egress import EgressDenied, check_host
from lib.refusal import Refused, check_text

PORT_MAX: Final = 65_535
USERNAME_MAX: Final = 254
PASSWORD_MAX: Final = 500
_ADDRESS: Final = ("host", "port", "username")


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
        before = describe_row(row) if row.host else {}
        if settings.EMAIL_FROM and fields["sender"] != before.get("sender", ""):
            text = gettext("EMAIL_FROM in the environment sets the sender.")
            raise Refused("sender", text)
        if not fields["username"]:
            row.sealed = None
        elif password:
            row.sealed = seal(check_text("password", password, PASSWORD_MAX), SEALED_AS)
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
            audit.record(actor, None, "mail_server.removed", row, before=describe_row(row))
            row.delete()


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
    if shows_password(fields["encryption"], fields["username"], fields["host"]):
        text = gettext("Choose TLS or STARTTLS. Without it, others can read the password.")
        raise Refused("encryption", text)
