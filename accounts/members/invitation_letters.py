"""Emails of invitations. They contain a secret that is not stored, so they are sent immediately and
not through the outbox. The sender learns which ones failed, and can copy those links."""

import smtplib
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import translation
from django.utils.translation import gettext

from accounts.mail_server.current_server import mail_is_set_up
from accounts.members.invitations import Sendable
from accounts.models import Invitation, User
from accounts.secrets.password_hashing import release_connection
from accounts.throttle import try_counts
from accounts.throttle.throttle import limits_of_invitations
from lib import clock
from lib.network.mail import render_letter


def send_letters(sendables: Sequence[Sendable]) -> dict[str, str]:
    """Send an email for each invitation that has an address. Return the error by address, "" for
    success. No transaction is open during the sending (I9)."""
    letters = [sendable for sendable in sendables if sendable.invitation.email]
    if not letters:
        return {}
    if not mail_is_set_up():
        text = gettext("No mail server is set up. Copy the link and send it yourself.")
        return _email_addresses(letters, text)
    # The mail server may be slow, so release the database connection first.
    release_connection()
    mail = get_connection()
    try:
        mail.open()
    except (smtplib.SMTPException, OSError):
        text = gettext("The mail server cannot be reached. Copy the link, or resend it later.")
        return _email_addresses(letters, text)
    try:
        return {letter.invitation.email: _send(letter, mail) for letter in letters}
    finally:
        mail.close()


def _email_addresses(letters: Sequence[Sendable], text: str) -> dict[str, str]:
    return {letter.invitation.email: text for letter in letters}


def _send(sendable: Sendable, mail: BaseEmailBackend) -> str:
    invitation = sendable.invitation
    try:
        try_counts.count(limits_of_invitations(invitation.email, str(invitation.organisation_id)))
    except try_counts.TooManyTries:
        return gettext("Too many invitations were sent. Copy the link, or resend it later.")
    subject, text = _compose_letter(sendable)
    release_connection()
    try:
        EmailMessage(subject, text, None, [invitation.email], connection=mail).send()
    except (smtplib.SMTPException, OSError, ValueError):
        return gettext("The mail server rejected the email. Copy the link, or resend it later.")
    Invitation.objects.filter(id=invitation.id).update(sent_at=clock.now())
    return ""


def _compose_letter(sendable: Sendable) -> tuple[str, str]:
    """Return subject and text, in the person's language if the address is known, or else in the
    inviter's."""
    inviter = sendable.invitation.invited_by
    known = User.objects.filter(email__iexact=sendable.invitation.email).first()
    languages = [person.language for person in (known, inviter) if person and person.language]
    language = next(iter(languages), settings.LANGUAGE_CODE)
    context = {
        "invitation": sendable.invitation,
        "organisation": sendable.invitation.organisation,
        "inviter": inviter,
        "link": f"{settings.PUBLIC_URL}{sendable.mailed_path}",
        "public_url": settings.PUBLIC_URL,
    }
    with translation.override(language):
        return render_letter("accounts/email/invitation.txt", context)
