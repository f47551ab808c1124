"""The proof of work of forms that everybody can send: accepted once, in time, if it is right."""

import base64
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier
from typing import Any

import pytest
from altcha import Challenge, Payload, solve_challenge
from django.conf import settings as django_settings
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import invitations
from accounts.members.invitations import Offer
from accounts.models import Role, User
from accounts.sign_in.sign_in import AccountAdapter
from accounts.sign_up import sign_up
from accounts.throttle import captcha
from accounts.throttle.captcha import CaptchaRefused
from lib import clock
from tests.support.cast import PASSWORD, Cast, actor

EVE = {"email": "eve@example.org", "password1": PASSWORD}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that takes no time: these tests are about the rest."""
    monkeypatch.setattr(captcha, "_COST", 16)
    monkeypatch.setattr(captcha, "_COUNTER_MIN", 1)
    monkeypatch.setattr(captcha, "_COUNTER_MAX", 3)


@pytest.fixture
def opened(db: None, quick: None, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    sign_up.save_sign_up(SYSTEM, mode="open")


def solved(challenge: str) -> str:
    read = Challenge.from_dict(json.loads(challenge))
    solution = solve_challenge(read)
    assert solution is not None
    return Payload(read, solution).to_base64()


def answer_on(page: str) -> str:
    """The answer to the challenge of a page."""
    match = re.search(r'data-captcha="([^"]+)"', page)
    assert match is not None
    return solved(unescape(match[1]))


def changed(answer: str, where: str, **over: Any) -> str:
    """An answer with other parameters or another solution."""
    read = json.loads(base64.b64decode(answer))
    part = read["challenge"]["parameters"] if where == "parameters" else read[where]
    part.update(over)
    return base64.b64encode(json.dumps(read).encode()).decode()


# The answer -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_solution_at_its_real_cost_is_accepted() -> None:
    captcha.accept(solved(captcha.new_challenge()))


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
def test_solution_is_accepted_once() -> None:
    answer = solved(captcha.new_challenge())
    captcha.accept(answer)
    for again in (answer, changed(answer, "solution", time=7), answer + "\n"):
        with pytest.raises(CaptchaRefused, match="has expired or was used"):
            captcha.accept(again)


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
def test_an_answer_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captcha, "LIFETIME", -captcha.LIFETIME)
    late = solved(captcha.new_challenge())
    monkeypatch.undo()
    with pytest.raises(CaptchaRefused):
        captcha.accept(late)
    # Who moves the end breaks the signature.
    with pytest.raises(CaptchaRefused):
        captcha.accept(changed(late, "parameters", expiresAt=int(clock.now().timestamp()) + 600))


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("where", "over"),
    [
        ("solution", {"derivedKey": "00" * 32}),
        ("solution", {"derivedKey": 7}),
        ("parameters", {"cost": 1}),
        ("parameters", {"keyPrefix": ""}),
        ("parameters", {"keySignature": None}),
        ("parameters", {"nonce": "00" * 16}),
        ("challenge", {"signature": "00" * 32}),
        ("challenge", {"signature": None}),
    ],
)
def test_a_wrong_answer_is_refused(where: str, over: dict[str, Any]) -> None:
    with pytest.raises(CaptchaRefused):
        captcha.accept(changed(solved(captcha.new_challenge()), where, **over))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "document",
    ["[]", "7", "null", "{}", '{"challenge": [], "solution": {}}',
     '{"challenge": 1, "solution": 2}',
     '{"challenge": {"parameters": "x"}, "solution": {"counter": 1, "derivedKey": ""}}',
     '{"challenge": {"parameters": {}}, "solution": "x"}', "[" * 2000],
)  # fmt: skip
def test_malformed_solution_is_rejected(document: str) -> None:
    with pytest.raises(CaptchaRefused):
        captcha.accept(base64.b64encode(document.encode()).decode())
    with pytest.raises(CaptchaRefused):
        captcha.accept(document)


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
def test_solution_of_another_installation_is_rejected(settings: Any) -> None:
    settings.SECRET_KEY = "another installation's"
    answer = solved(captcha.new_challenge())
    settings.SECRET_KEY = django_settings.SECRET_KEY[::-1]
    with pytest.raises(CaptchaRefused):
        captcha.accept(answer)


@pytest.mark.django_db
@pytest.mark.usefixtures("quick")
def test_the_challenge_of_another_process_is_known() -> None:
    # A challenge is stored nowhere: its signature is all that another process knows of it.
    program = (
        "import django; django.setup(); from accounts.throttle import captcha;"
        "captcha._COST = 16; captcha._COUNTER_MIN = captcha._COUNTER_MAX = 1;"
        "print(captcha.new_challenge())"
    )
    environment = {**os.environ, "SECRET_KEY": django_settings.SECRET_KEY}
    made = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    captcha.accept(solved(made.stdout.strip().splitlines()[-1]))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
def test_one_of_eight_parallel_uses_is_accepted() -> None:
    answer = solved(captcha.new_challenge())
    together = Barrier(8)

    def use(_: int) -> bool:
        try:
            together.wait()
            captcha.accept(answer)
        except CaptchaRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


# Sign-up ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("opened")
def test_open_sign_up_asks_for_a_proof(people: Cast) -> None:
    browser = Client()
    answer = answer_on(browser.get("/signup").content.decode())
    refused = browser.post("/signup", EVE)
    assert "was not checked yet" in refused.content.decode()
    assert not User.objects.filter(email=EVE["email"]).exists()
    assert browser.post("/signup", {**EVE, "captcha": answer})["Location"] == "/confirm"
    # The same work makes no second account.
    again = Client().post("/signup", {**EVE, "email": "e2@example.org", "captcha": answer})
    assert "has expired or was used" in again.content.decode()
    assert not User.objects.filter(email="e2@example.org").exists()
    # The page that says so brings the next challenge.
    after = answer_on(again.content.decode())
    entry = {**EVE, "email": "e2@example.org", "captcha": after}
    assert Client().post("/signup", entry)["Location"] == "/confirm"


@pytest.mark.usefixtures("opened")
def test_an_address_that_was_taken_meanwhile_costs_one_proof(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Client()
    answer = answer_on(browser.get("/signup").content.decode())
    save_user = AccountAdapter.save_user

    def taken(adapter: AccountAdapter, *args: Any, **kwargs: Any) -> User:
        monkeypatch.undo()
        User.objects.create(email=EVE["email"], name="First")
        return save_user(adapter, *args, **kwargs)

    monkeypatch.setattr(AccountAdapter, "save_user", taken)
    sent = browser.post("/signup", {**EVE, "captcha": answer})
    assert sent["Location"] == "/confirm"
    assert "already have an account" in mail.outbox[-1].subject


@pytest.mark.usefixtures("opened")
def test_invited_person_needs_no_proof(people: Cast) -> None:
    browser = Client()
    alice = actor(people.alice, people.acme)
    (created,) = invitations.invite(people.acme, [], Offer(Role.DEVELOPER), actor=alice)
    browser.get(created.path)
    assert "data-captcha" not in browser.get("/signup").content.decode()
    assert browser.post("/signup", EVE)["Location"] == "/confirm"


@pytest.mark.usefixtures("opened")
def test_an_operator_switches_the_check_off(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, captcha=False)
    browser = Client()
    assert "data-captcha" not in browser.get("/signup").content.decode()
    assert browser.post("/signup", EVE)["Location"] == "/confirm"
    for n in range(6):
        sent = browser.post("/password/reset", {"email": f"p{n}@example.org"})
        assert sent.status_code == 302


@pytest.mark.usefixtures("opened")
def test_a_page_without_scripts_says_what_it_needs(people: Cast) -> None:
    page = Client().get("/signup").content.decode()
    assert "<noscript>" in page
    assert "This form needs JavaScript" in page


# Resets -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_the_fourth_reset_of_a_network_asks_for_a_proof(people: Cast) -> None:
    browser = Client()

    def ask(n: int, **over: str) -> Any:
        return browser.post("/password/reset", {"email": f"p{n}@example.org", **over})

    for n in range(3):
        assert "data-captcha" not in browser.get("/password/reset").content.decode()
        assert ask(n).status_code == 302
    answer = answer_on(browser.get("/password/reset").content.decode())
    sent = len(mail.outbox)
    refused = ask(4)
    assert "was not checked yet" in refused.content.decode()
    assert len(mail.outbox) == sent
    assert ask(5, captcha=answer).status_code == 302
    assert ask(6, captcha=answer).status_code == 200
    # Another network begins anew.
    other = Client(REMOTE_ADDR="192.0.2.7")
    assert other.post("/password/reset", {"email": "p7@example.org"}).status_code == 302
