"""Which mail server and sender are in force, what the log says of a change, and who is told."""

from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.mail_server import current_server, mail_server, trial_letter
from accounts.models import AuditEvent, SingleSignOn
from accounts.organisations import organisations
from accounts.single_sign_on import single_sign_on
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db
SERVER: dict[str, Any] = {
    "host": "mail.example.org", "port": 587, "encryption": "starttls",
    "sender": "weir@example.org",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_environment(settings: Any) -> None:
    settings.EMAIL_HOST = settings.EMAIL_FROM = ""


def test_sender_of_the_environment_wins(settings: Any) -> None:
    mail_server.save_mail_server(SYSTEM, **SERVER)
    described = current_server.describe_mail_server()
    assert described is not None
    assert described["sender"] == "weir@example.org"
    settings.EMAIL_FROM = "hub@example.org"
    described = current_server.describe_mail_server()
    assert described is not None
    assert described["sender"] == "hub@example.org"


@pytest.mark.parametrize(
    ("ssl", "tls", "host", "user", "shown"),
    [
        (True, False, "mail.example", "", "tls"), (False, True, "mail.example", "", "starttls"),
        (False, False, "mail.example", "", "none"),
        (False, False, "mail.example", "weir", "starttls"), (False, False, "::1", "weir", "none"),
    ],
)  # fmt: skip
def test_environment_sets_the_encryption(
    settings: Any, ssl: bool, tls: bool, host: str, user: str, shown: str
) -> None:
    settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = ssl, tls
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_HOST_USER = host, 2525, user
    described = current_server.describe_mail_server()
    assert described is not None
    assert (described["host"], described["port"]) == (host, 2525)
    assert (described["encryption"], described["username"]) == (shown, user)


def test_change_of_the_mail_server_is_logged_before_and_after() -> None:
    mail_server.save_mail_server(SYSTEM, **SERVER)
    mail_server.save_mail_server(SYSTEM, **{**SERVER, "port": 25})
    first, second = AuditEvent.objects.filter(action="mail_server.changed").order_by("id")
    assert (first.detail["before"], first.detail["after"]["port"]) == ({}, 587)
    assert (second.detail["before"]["port"], second.detail["after"]["port"]) == (587, 25)
    assert second.detail["password_replaced"] is False


def test_server_that_forwards_a_letter_has_accepted_it() -> None:
    """RFC 5321: 251."""
    assert trial_letter._expect((251, b"will forward")) == "251 will forward"


def test_connections_are_listed_by_the_organisations_name(people: Cast) -> None:
    for name in ("Zeta", "Beta"):
        made = organisations.create_organisation(name, owner=people.bob, actor=SYSTEM)
        SingleSignOn.objects.create(
            organisation=made, issuer="https://i.example", client_id="c", sealed=b""
        )
    names = [row.organisation.name for row, _, _ in single_sign_on.connections_of(people.bob)]
    assert names == ["Beta", "Zeta"]


def test_domains_are_confirmed_only_all_together(people: Cast) -> None:
    row = SingleSignOn(
        issuer="https://i.example", client_id="c", domains=["a.example", "b.example"]
    )
    row.confirmed_issuer, row.confirmed_client_id = row.issuer, row.client_id
    for confirmed, whole in (([], False), (["a.example"], False), (row.domains, True)):
        row.confirmed_domains = confirmed
        assert single_sign_on.describe_settings(row)["domains_confirmed"] == whole
