"""Email backends: with a mail server, and without one. Addresses and texts of emails are never
logged, because a link in one may let somebody in."""

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
    """Sends through a mail server whose certificate is verified. Its exceptions carry the server's
    code, but not its text, which can contain addresses."""

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
    """Sends nothing and raises NoMailServer, so that no email counts as sent."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        count = len(email_messages)
        log.warning("%d emails are not sent: no mail server is set (EMAIL_HOST)", count)
        raise NoMailServer("No mail server is set up (EMAIL_HOST).")
