"""No address and no text of an email is in the log (docs/promises.md, P31)."""

import logging
import smtplib
from typing import Any

import pytest
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends import smtp

from accounts.mail_server.current_server import BACKEND
from lib.network.mail import NoMailServer

ADDRESS, SECRET = "bob@example.org", "https://hub.example.org/link/let-me-in"
LETTER = EmailMessage("Reset your password", SECRET, "weir@example.org", [ADDRESS])
REFUSALS = [
    smtplib.SMTPRecipientsRefused({ADDRESS: (550, f"{ADDRESS} is unknown".encode())}),
    smtplib.SMTPSenderRefused(553, f"not {ADDRESS}".encode(), ADDRESS),
    smtplib.SMTPDataError(554, f"{SECRET} is spam".encode()),
]


@pytest.mark.django_db
def test_unsent_email_is_not_printed_without_a_mail_server(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(NoMailServer):
        get_connection(BACKEND).send_messages([LETTER])
    text = "".join([caplog.text, *capfd.readouterr()])
    assert "1 emails are not sent" in text
    for word in (ADDRESS, SECRET, str(LETTER.subject)):
        assert word not in text


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: type(one).__name__)
def test_mail_server_rejection_is_named_by_its_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: Exception
) -> None:
    def refuse(*_: Any) -> int:
        raise refusal

    monkeypatch.setattr(smtp.EmailBackend, "send_messages", refuse)
    with caplog.at_level(logging.DEBUG), pytest.raises(type(refusal)) as raised:
        get_connection(BACKEND).send_messages([LETTER])
    logging.getLogger("test").error("failed", exc_info=raised.value)
    for word in (ADDRESS, SECRET):
        assert word not in caplog.text
    if isinstance(refusal, smtplib.SMTPResponseException):
        assert str(refusal.smtp_code) in caplog.text
