"""A page that promises an email says so while no mail server is set up."""

import re
from typing import Final

import pytest
from django.template import Context, Template

from accounts.access.actors import SYSTEM
from accounts.mail_server.mail_server import save_mail_server
from tests.house.test_style import ROOT

_PROMISE: Final = re.compile(
    r"an email\b|one email|email you|emailed|email alert|by email|to email\.|form\.alert_percents",
    re.IGNORECASE,
)
# What promises one all the same, and why.
OTHERWISE: Final = {
    "components/no_mail.html": "the note itself",
    "429.html": "names the way in of who has one",
    "account/password_reset.html": "answered by a page of its own (email_not_sent.html)",
    "account/signup.html": "shown only where an address can be confirmed",
    "account/verification_sent.html": "shown after an email was sent",
    "accounts/members/_invitations.html": "the dialog makes a link instead",
    "usage/saved_views/_views.html": "an entry of a menu, which opens report.html",
    "usage/saved_views/report_leave.html": "follows an email",
}


def _promising() -> dict[str, str]:
    """The templates of pages that promise an email, with their texts."""
    texts = {
        str(path.relative_to(ROOT / "templates")): path.read_text()
        for path in (ROOT / "templates").rglob("*.html")
        if "letters" not in path.parts
    }
    return {name: text for name, text in texts.items() if _PROMISE.search(text)}


def test_every_email_promise_is_shown_with_the_note() -> None:
    promising = _promising()
    silent = {name for name, text in promising.items() if "{% no_mail %}" not in text}
    assert silent - OTHERWISE.keys() == set()
    assert OTHERWISE.keys() <= promising.keys()


@pytest.mark.django_db
def test_note_disappears_once_a_mail_server_is_set(settings: pytest.FixtureRequest) -> None:
    settings.EMAIL_BACKEND = "accounts.mail_server.email_backend.ServerBackend"  # type: ignore[attr-defined]
    note = Template("{% load ui %}{% no_mail %}")
    assert "no email is sent" in note.render(Context())
    save_mail_server(SYSTEM, host="mail.example.org", port=587, encryption="starttls", username="",
                     password="", sender="weir@example.org")  # fmt: skip
    assert "no email is sent" not in note.render(Context())
