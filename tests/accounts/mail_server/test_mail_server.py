"""The mail server that an operator sets on a page (W81): used at once, its password never shown."""

import base64
import json
import logging
import re
import smtplib
import socket
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from threading import Thread
from typing import Any

import pytest
from django.core.mail import get_connection, send_mail
from django.core.management import call_command
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.mail_server import trial_letter
from accounts.mail_server.current_server import BACKEND, email_verification, mail_server
from accounts.mail_server.mail_server import save_mail_server
from accounts.models import AuditEvent, KeyKind, MailServer, Membership, Role
from lib.refusal import Refused
from tests.notify.mail_server import MailServer as Post
from tests.notify.mail_server import mail_server as listening
from tests.support.cast import Cast, make_key, signed_in, with_key

# A letter is sent outside of transactions.
pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/settings/mail"
API = "/api/v1/mail-server"
PASSWORD = "the-password-of-the-mail-server"


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    settings.EMAIL_BACKEND = BACKEND
    with listening() as post:
        post.answers[b"EHLO"] = b"250-here\r\n250 AUTH PLAIN"
        post.answers[b"AUTH"] = b"235 come in"
        yield post


def form(post: Post, **over: str) -> dict[str, str]:
    fields = {"host": "127.0.0.1", "port": str(post.port), "encryption": "none"}
    return {**fields, "username": "weir", "password": PASSWORD, "sender": "hub@example.org"} | over


def save(people: Cast, post: Post, **over: str) -> Any:
    return signed_in(people.dora).post(PAGE, form(post, **over))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def send() -> None:
    send_mail("Hello", "text", None, ["bob@example.org"])


def test_next_email_uses_the_mail_server_of_the_page(people: Cast, post: Post) -> None:
    assert save(people, post).status_code == 303
    send()
    (letter,) = post.letters
    assert (letter["From"], letter["To"]) == ("hub@example.org", "bob@example.org")
    login = base64.b64encode(f"\0weir\0{PASSWORD}".encode())
    assert b"AUTH PLAIN " + login in post.commands


def test_trial_email_shows_the_servers_answer(people: Cast, post: Post) -> None:
    save(people, post)
    dora = signed_in(people.dora)
    page = text_of(dora.post(f"{PAGE}/test", follow=True))
    assert "Sent to dora@example.org." in page
    assert "250 ok" in page
    assert [letter["To"] for letter in post.letters] == ["dora@example.org"]
    answer = dora.post(f"{API}/test").json()
    assert answer == {"accepted": True, "answer": "250 ok"}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            {b"AUTH": b"535 5.7.8 no <b>such</b> user"},
            "rejected the user or password: 535 5.7.8 no",
        ),
        ({b"MAIL": b"553 not your address"}, "rejected it: 553 not your address"),
        ({b"RCPT": b"550 unknown"}, "rejected it: 550 unknown"),
        ({b"DATA": b"451 later"}, "rejected it: 451 later"),
    ],
    ids=["login", "sender", "receiver", "letter"],
)
def test_trial_email_says_why_it_failed(
    people: Cast, post: Post, answers: dict[bytes, bytes], words: str, caplog: Any
) -> None:
    save(people, post)
    post.answers |= answers
    with caplog.at_level(logging.DEBUG):
        page = text_of(signed_in(people.dora).post(f"{PAGE}/test", follow=True))
    assert words in page
    assert "<b>such" not in page
    assert post.letters == []
    assert PASSWORD not in page + caplog.text


@contextmanager
def saying(greeting: bytes) -> Iterator[int]:
    """The port of a server that says this to whoever connects, and closes."""

    class Says(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Says) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_places_without_a_mail_server_give_one_answer(people: Cast, post: Post) -> None:
    """Which names and ports of the inner network are open, and what answers there, is not told."""
    with (
        saying(b"") as silent,
        saying(b"SSH-2.0-OpenSSH_9\r\n") as other,
        saying(b"554 no\r\n") as no,
    ):
        places = [
            ("127.0.0.1", 9, "none"),
            ("127.0.0.1", silent, "none"), ("127.0.0.1", other, "none"), ("127.0.0.1", no, "none"),
            ("127.0.0.1", other, "tls"), ("127.0.0.1", post.port, "tls"),
            ("127.0.0.1", post.port, "starttls"),
        ]  # fmt: skip
        answers = set()
        dora = signed_in(people.dora)
        for host, port, encryption in places:
            place = {"host": host, "port": str(port), "encryption": encryption}
            assert save(people, post, **place, username="").status_code == 303
            page = text_of(dora.post(f"{PAGE}/test", follow=True))
            answer = dora.post(f"{API}/test").json()
            assert not answer["accepted"]
            assert answer["answer"] in page
            answers.add(answer["answer"].replace(f"{host}:{port}", "PLACE"))
    # What the network of the tests does not do.
    errors = (
        socket.gaierror("no name"),
        TimeoutError(),
        ssl.SSLCertVerificationError("not trusted"),
    )
    answers |= {trial_letter._describe(error, "PLACE") for error in errors}
    (answer,) = answers
    assert answer.startswith("No mail server can be used at PLACE.")


def test_server_without_logins_gets_no_login(people: Cast, post: Post) -> None:
    save(people, post)
    post.answers[b"EHLO"] = b"250 here"
    answer = signed_in(people.dora).post(f"{API}/test").json()
    assert answer["answer"].startswith("No mail server can be used at 127.0.0.1")


def test_password_is_stored_only_sealed(people: Cast, post: Post) -> None:
    save(people, post)
    dora = signed_in(people.dora)
    out = StringIO()
    call_command("export", stdout=out)
    texts = [text_of(dora.get(PAGE)), text_of(dora.get(API)), out.getvalue()]
    texts += [json.dumps(event.detail) for event in AuditEvent.objects.all()]
    assert not any(PASSWORD in text for text in texts)
    assert "secret: keep" in out.getvalue()
    row = MailServer.objects.get()
    assert PASSWORD.encode() not in bytes(row.sealed or b"")
    assert PASSWORD not in repr(mail_server())


def test_a_new_address_never_gets_the_stored_password(people: Cast, post: Post) -> None:
    save(people, post)
    for over in ({"host": "mail.example.org"}, {"port": "26"}, {"username": "other"}):
        answer = save(people, post, **{"encryption": "tls", "password": "", **over})
        assert answer.status_code == 422
        assert "Enter the password for this server." in text_of(answer)
    assert save(people, post, password="", sender="").status_code == 303
    server = mail_server()
    assert server is not None
    assert (server.password, server.sender) == (PASSWORD, "weir@127.0.0.1")


def test_a_password_is_not_sent_in_the_clear(people: Cast, post: Post) -> None:
    answer = save(people, post, host="mail.example.org")
    assert answer.status_code == 422
    assert "Choose TLS or STARTTLS" in text_of(answer)
    for over in ({"host": "a b"}, {"host": "http://x"}, {"host": "127.1"}, {"port": "0"}):
        assert save(people, post, **over).status_code == 422
    assert not MailServer.objects.exists()


@pytest.mark.parametrize(
    ("host", "username", "sent"),
    [("127.0.0.1", "weir", True), ("127.0.0.2", "weir", False), ("127.0.0.2", "", True)],
)
def test_password_of_the_environment_is_not_sent_in_the_clear(
    people: Cast, settings: Any, host: str, username: str, sent: bool
) -> None:
    """A port says nothing about encryption, except 465 and 587. Here 127.0.0.2 is as another
    machine, whose server has no STARTTLS."""
    settings.EMAIL_BACKEND = BACKEND
    with listening(host) as there:
        there.answers[b"EHLO"] = b"250-here\r\n250 AUTH PLAIN"
        there.answers[b"AUTH"] = b"235 come in"
        settings.EMAIL_HOST, settings.EMAIL_PORT = host, there.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = username, PASSWORD
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        if sent:
            send()
        else:
            refused = pytest.raises(smtplib.SMTPNotSupportedError, match="STARTTLS")
            with closing(get_connection()) as backend, refused:
                backend.open()
    assert len(there.letters) == sent
    shown = signed_in(people.dora).get(API).json()
    assert shown["encryption"] == ("none" if sent else "starttls")


def test_the_environment_wins_and_the_page_says_so(people: Cast, post: Post, settings: Any) -> None:
    save(people, post)
    with listening() as other:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", other.port
        settings.EMAIL_USE_TLS, settings.EMAIL_FROM = False, "env@example.org"
        page = text_of(signed_in(people.dora).get(PAGE))
        assert "Set by EMAIL_HOST in the environment." in page
        assert "Set by EMAIL_FROM in the environment." in page
        assert page.count(" disabled") == 6
        assert save(people, post, host="mail.example.org").status_code == 422
        assert signed_in(people.dora).delete(API).status_code == 422
        send()
        assert [letter["From"] for letter in other.letters] == ["env@example.org"]
    assert MailServer.objects.get().port == post.port


def test_a_mail_server_asks_new_accounts_to_confirm(
    people: Cast, post: Post, settings: Any
) -> None:
    assert email_verification() == "none"
    save(people, post)
    assert email_verification() == "mandatory"
    signed_in(people.dora).patch(
        "/api/v1/sign-up", {"mode": "open", "captcha": False}, "application/json"
    )
    answer = Client().post("/signup", {"email": "eve@example.org", "password1": "a long enough 1"})
    assert answer["Location"] == "/confirm"
    assert [letter["To"] for letter in post.letters] == ["eve@example.org"]
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    assert email_verification() == "none"


def test_only_a_recent_sign_in_changes_the_mail_server(people: Cast, post: Post) -> None:
    Membership.objects.create(user=people.dora, organisation=people.acme, role=Role.OWNER)
    _, key = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.dora)
    body = {"host": "127.0.0.1", "port": post.port, "encryption": "none"}
    for caller in (with_key(key), signed_in(people.alice)):
        assert caller.put(API, body, "application/json").status_code == 403
        assert caller.delete(API).status_code == 403
        assert caller.post(f"{API}/test").status_code == 403
    assert signed_in(people.alice).get(PAGE).status_code == 404
    dora = signed_in(people.dora)
    assert dora.put(API, body, "application/json").json()["has_password"] is False
    assert dora.delete(API).status_code == 204
    assert dora.get(API).status_code == 404
    actions = AuditEvent.objects.filter(action__startswith="mail_server.")
    assert [event.action for event in actions.order_by("id")] == [
        "mail_server.changed",
        "mail_server.removed",
    ]


def test_file_sets_and_keeps_the_mail_server(post: Post, tmp_path: Any) -> None:
    file = tmp_path / "weir.yaml"
    text = (
        "version: 1\nmail_server:\n  host: 127.0.0.1\n"
        f"  port: {post.port}\n  encryption: none\n  username: weir\n  secret: {{}}\n"
    )
    file.write_text(text.format(PASSWORD))
    out = StringIO()
    call_command("apply", str(file), stdout=out)
    assert PASSWORD not in out.getvalue()
    server = mail_server()
    assert server is not None
    assert server.password == PASSWORD
    file.write_text(text.format("keep"))
    out = StringIO()
    call_command("apply", str(file), stdout=out)
    assert "nothing to change" in out.getvalue()
    with pytest.raises(Refused):
        save_mail_server(SYSTEM, host="mail.example.org", port=25, encryption="tls", username="w")
    assert mail_server() == server
