"""A test email through the current mail server, with the server's answer as text."""

import smtplib
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final, NamedTuple, cast

from django.conf import settings
from django.core.mail.utils import DNS_NAME
from django.utils.translation import gettext

from accounts.mail_server.email_backend import ServerBackend
from lib.network.mail import NoMailServer

_ANSWER_MAX: Final = 300


class Outcome(NamedTuple):
    """Whether the server accepted the email, and its answer or the reason for the failure."""

    accepted: bool
    text: str


class _Rejected(Exception):
    """The server rejects the email."""


def send_trial_letter(address: str) -> Outcome:
    """Send an email to an address and return the outcome."""
    backend = ServerBackend()
    try:
        backend.open()
        answer = _hand_over(cast(smtplib.SMTP, backend.connection), backend.sender, address)
    except (smtplib.SMTPException, OSError, _Rejected) as error:
        return Outcome(False, _describe(error, f"{backend.host}:{backend.port}"))
    finally:
        # Errors after the server accepted the email do not matter.
        with suppress(smtplib.SMTPException, OSError):
            backend.close()
    return Outcome(True, answer)


def _hand_over(smtp: smtplib.SMTP, sender: str, address: str) -> str:
    """Send the email step by step, because `sendmail` drops the server's answer."""
    _expect(smtp.mail(sender))
    _expect(smtp.rcpt(address))
    return _expect(smtp.data(_letter(sender, address).as_bytes()))


def _expect(answer: tuple[int, bytes]) -> str:
    code, text = answer
    if code not in (250, 251):
        raise _Rejected(_answer_text(code, text))
    return _answer_text(code, text)


def _letter(sender: str, address: str) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = gettext("Test email")
    letter["From"], letter["To"] = sender, address
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain=DNS_NAME.get_fqdn())
    text = gettext("%(url)s can send emails.") % {"url": settings.PUBLIC_URL}
    letter.set_content(f"{text}\n", cte="quoted-printable")
    return letter


def _describe(error: Exception, place: str) -> str:
    match error:
        case NoMailServer():
            return gettext("No mail server is set up.")
        case smtplib.SMTPConnectError() | smtplib.SMTPHeloError():
            return _unusable(place)
        case _Rejected():
            return gettext("The server rejected it: %(answer)s") % {"answer": error}
        case smtplib.SMTPAuthenticationError():
            text = gettext("The server rejected the user or password: %(answer)s")
            return text % {"answer": _answer_text(error.smtp_code, error.smtp_error)}
        case smtplib.SMTPResponseException():
            text = gettext("The server rejected it: %(answer)s")
            return text % {"answer": _answer_text(error.smtp_code, error.smtp_error)}
        case _:
            return _unusable(place)


def _unusable(place: str) -> str:
    """Return the text for every place that is no usable mail server. A text for each cause would
    tell which names and ports of the inner network are open, and what answers there."""
    text = gettext(
        "No mail server can be used at %(place)s. Check the host, the port, the encryption, the "
        "certificate and the firewall."
    )
    return text % {"place": place}


def _answer_text(code: int, text: bytes | str) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())[:_ANSWER_MAX]}"
