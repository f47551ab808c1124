"""The email backend of Django. Addresses and texts of emails are never logged, because a link in
one may let somebody in."""

import logging
import smtplib
import ssl
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from accounts.mail_server.current_server import mail_server
from accounts.models import MailEncryption
from accounts.secrets.password_hashing import release_connection
from lib.network.mail import NoMailServer
from lib.network.trust import trusted_context

log = logging.getLogger(__name__)


class ServerBackend(smtp.EmailBackend):
    """Sends through the current mail server, and verifies its certificate. Raises NoMailServer
    without one, so that no email counts as sent. Its exceptions carry the server's code, but not
    its text, which can contain addresses."""

    sender = ""

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return trusted_context()

    def open(self) -> Any:
        if self.connection is None:
            self._read_server()
        return super().open()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        try:
            return super().send_messages(email_messages)
        except NoMailServer:
            log.warning("%d emails are not sent: no mail server is set up", len(email_messages))
            raise
        except smtplib.SMTPRecipientsRefused:
            raise smtplib.SMTPRecipientsRefused({}) from None
        except smtplib.SMTPSenderRefused as error:
            raise smtplib.SMTPSenderRefused(error.smtp_code, b"", "") from None
        except smtplib.SMTPResponseException as error:
            raise type(error)(error.smtp_code, b"") from None

    def _send(self, email_message: EmailMessage) -> bool:
        email_message.from_email = self.sender
        return bool(super()._send(email_message))  # type: ignore[misc]

    def _read_server(self) -> None:
        server = mail_server()
        if server is None:
            raise NoMailServer("No mail server is set up.")
        self.host, self.port, self.sender = server.host, server.port, server.sender
        self.username, self.password = server.username, server.password
        self.use_ssl = server.encryption == MailEncryption.TLS
        self.use_tls = server.encryption == MailEncryption.STARTTLS
        # The server may be slow, so release the database connection first.
        release_connection()
