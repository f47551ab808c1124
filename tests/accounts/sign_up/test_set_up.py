"""First run: one person becomes the first operator, by a link that a command prints."""

import datetime as dt
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import AuditEvent, Membership, SetUpLink, User
from accounts.sign_up import first_run
from lib import clock
from tests.support.cast import PASSWORD, Cast

FORM = {
    "email": "olga@acme.example",
    "name": "Olga",
    "password": PASSWORD,
}
OVER = "It was already used, it has expired, or this installation is set up."


def test_the_command_prints_a_whole_address(
    db: None, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PUBLIC_URL = "https://hub.example.org"
    call_command("set_up_link")
    link = capsys.readouterr().out.strip()
    assert link.startswith("https://hub.example.org/setup/")
    text = link.rpartition("/")[2]
    assert len(text) == 43
    assert text not in str(SetUpLink.objects.values().get())
    assert AuditEvent.objects.filter(action="set_up_link.made").count() == 1
    assert Client().get(link.removeprefix("https://hub.example.org")).status_code == 200


def test_it_makes_the_first_operator_once(db: None) -> None:
    assert Client().get("/")["Location"] == "/setup"
    assert "manage.py set_up_link" in Client().get("/setup").content.decode()
    path = first_run.make_set_up_link()
    browser = Client()
    # Looking uses nothing up.
    assert browser.get(path).status_code == browser.get(path).status_code == 200
    answer = browser.post(path, FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/setup")
    assert browser.get("/admin/setup").status_code == 200
    olga = User.objects.get()
    assert (olga.operator, olga.check_password(PASSWORD)) == (True, True)
    assert not Membership.objects.exists()
    event = AuditEvent.objects.get(action="installation.set_up")
    assert event.actor_user_id == olga.pk
    # She comes in by her password, and by no link again.
    again = Client()
    answer = again.post("/login", {"login": FORM["email"], "password": PASSWORD})
    assert answer["Location"] == "/"
    for method in (again.get, again.post):
        message = method(path, FORM)
        assert message.status_code == 410
        assert OVER in message.content.decode()
    assert User.objects.count() == 1
    # Also for whoever was sent to the set-up just before.
    for path in ("/", "/setup"):
        assert Client().get(path)["Location"] == "/login"


def test_every_useless_link_looks_the_same(db: None) -> None:
    old = first_run.make_set_up_link()
    replaced = Client().get(old).status_code
    new = first_run.make_set_up_link()
    SetUpLink.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
    answers = [Client().get(path) for path in (old, new, "/setup/made-up")]
    answers += [Client().post(path, FORM) for path in (old, new, "/setup/made-up")]
    assert replaced == 200
    assert {answer.status_code for answer in answers} == {410}
    pages = {re.sub(r"\b\w{64}\b|/setup/[\w-]+", "", answer.content.decode()) for answer in answers}
    assert len(pages) == 1
    assert not User.objects.exists()


def test_second_set_up_does_not_exist(people: Cast) -> None:
    """Dora operates already."""
    with pytest.raises(CommandError, match="sign_in_link"):
        call_command("set_up_link")
    assert Client().get("/setup")["Location"] == "/login"


def test_link_from_before_the_first_operator_is_over(db: None) -> None:
    path = first_run.make_set_up_link()
    User.objects.create_user("dora@example.org", operator=True)
    assert Client().post(path, FORM).status_code == 410
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"password": "short"}, "This password is too short."),
        ({"password": "password12"}, "This password is too common."),
        ({"email": "olga"}, "Enter a valid email address."),
        ({"email": ""}, "This field is required."),
    ],
)
def test_invalid_input_is_reported_at_its_field(db: None, over: dict[str, str], words: str) -> None:
    path = first_run.make_set_up_link()
    answer = Client().post(path, FORM | over)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not User.objects.exists()
    assert Client().get(path).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_ten_simultaneous_presses_make_one_operator() -> None:
    path = first_run.make_set_up_link()
    together = threading.Barrier(10)

    def press(n: int) -> int:
        try:
            together.wait()
            form = FORM | {"email": f"{n}@acme.example"}
            return Client(REMOTE_ADDR=f"192.0.2.{n}").post(path, form).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        messages = list(pool.map(press, range(10)))
    assert messages.count(302) == 1
    assert User.objects.count() == 1
