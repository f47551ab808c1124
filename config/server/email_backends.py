"""How emails leave, and what becomes of them without a mail server. Addresses and texts of emails
are never logged: a link in one may let somebody in."""

import logging
import smtplib
import ssl
from collections.abc import Sequence
from functools import cached_property

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp
from django.core.mail.backends.base import BaseEmailBackend

from lib.network.mail import NoMailServer
from lib.network.trust import trusted_context

log = logging.getLogger(__name__)


class ServerBackend(smtp.EmailBackend):
    """Sends by a mail server whose certificate is judged as every other one is. What it raises says
    the server's code, and not the words around it, which name addresses."""

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return trusted_context()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        try:
            return super().send_messages(email_messages)
        except smtplib.SMTPRecipientsRefused:
            raise smtplib.SMTPRecipientsRefused({}) from None
        except smtplib.SMTPSenderRefused as error:
            raise smtplib.SMTPSenderRefused(error.smtp_code, b"", "") from None
        except smtplib.SMTPResponseException as error:
            raise type(error)(error.smtp_code, b"") from None


class NoServerBackend(BaseEmailBackend):
    """Sends nothing, and raises NoMailServer: nobody takes an email for sent."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        count = len(email_messages)
        log.warning("%d emails are not sent: no mail server is set (EMAIL_HOST)", count)
        raise NoMailServer("No mail server is set up (EMAIL_HOST).")
