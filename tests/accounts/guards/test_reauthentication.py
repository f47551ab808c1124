"""What is dangerous asks first whether it is still oneself."""

import datetime as dt
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory
from django.utils.html import strip_tags

from accounts.access.actors import Actor
from accounts.guards.reauthentication import check_signed_in_recently, signed_in_recently
from lib import clock
from tests.accounts.factors import with_app
from tests.support.cast import PASSWORD, Cast, actor, confirmed, make_key, signed_in

APP = "/account/security/app"
CONFIRM = "/account/confirm?next=%2Faccount%2Fsecurity%2Fapp"


@pytest.fixture
def stale(people: Cast) -> Client:
    """A browser that bob signed in with a while ago."""
    browser = signed_in(people.bob)
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    return browser


@pytest.mark.parametrize(
    "page",
    ["app", "app/qr.svg", "app/remove", "recovery-codes", "recovery-codes/new", "passkeys/add",
     "passkeys/1/rename", "passkeys/1/remove"],
)  # fmt: skip
def test_every_change_of_a_factor_asks_first(stale: Client, page: str) -> None:
    for answer in (stale.get(f"/account/security/{page}"), stale.post(f"/account/security/{page}")):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/confirm?next=")


def test_the_password_opens_the_way_back(stale: Client) -> None:
    assert stale.get(APP)["Location"] == CONFIRM
    answer = stale.post(CONFIRM, {"password": PASSWORD, "next": APP})
    assert answer["Location"] == APP
    assert stale.get(APP).status_code == 200


def test_a_wrong_password_does_not_and_is_counted(stale: Client) -> None:
    status_codes = [stale.post(CONFIRM, {"password": "wrong"}).status_code for _ in range(6)]
    assert status_codes == [200] * 5 + [429]
    assert stale.get(APP).status_code == 302


def test_a_code_opens_it_too_and_works_once(people: Cast) -> None:
    owner = with_app(people.bob)
    browser = owner.browser
    confirmed(browser, people.bob, clock.now() - dt.timedelta(hours=1))
    code = owner.app.code()
    assert browser.post("/account/confirm/code", {"code": code}).status_code == 302
    assert browser.get("/account/security/recovery-codes").status_code == 200
    again = browser.post("/account/confirm/code", {"code": code})
    assert "already used" in again.content.decode()


def test_expired_form_is_not_stored(stale: Client) -> None:
    """P14: a session stands in the database, and a form may hold a secret."""
    stale.post(APP, {"code": "secret-of-a-form"}, headers={"referer": f"http://testserver{APP}"})
    assert "secret-of-a-form" not in str(dict(stale.session.items()))


def test_a_fragment_leads_the_whole_page_there(stale: Client) -> None:
    headers = {"hx-request": "true", "hx-current-url": f"http://testserver{APP}"}
    answer = stale.post(APP, headers=headers)
    assert (answer.status_code, answer["HX-Redirect"]) == (403, CONFIRM)


def test_person_without_factors_sets_a_password_first(people: Cast, stale: Client) -> None:
    people.bob.set_unusable_password()
    people.bob.save()
    browser = signed_in(people.bob)
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    assert browser.get(APP)["Location"].startswith("/password/set?next=")
    # By the provider that they came by last, where there is one.
    for days, provider in ((2, "earlier"), (1, "later")):
        account = SocialAccount.objects.create(user=people.bob, provider=provider, uid="1")
        SocialAccount.objects.filter(pk=account.pk).update(
            last_login=clock.now() - dt.timedelta(days=days)
        )
    assert browser.get(APP)["Location"].startswith("/login/sso/later?next=")


def test_each_form_states_its_purpose_and_continuation(people: Cast, stale: Client) -> None:
    asked = {
        APP: "Enter your password to set up two-factor authentication. "
        "You continue to Security → Authenticator app.",
        "/account/security/passkeys/add": "Enter your password to change your passkeys. "
        "You continue to Security → Passkeys.",
    }
    for page, text in asked.items():
        assert text in _text(stale.get(page, follow=True))
    browser = with_app(people.bob).browser
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    browser.get(APP)
    text = "Enter a code to set up two-factor authentication. You continue to Security"
    assert text in _text(browser.get(CONFIRM.replace("confirm", "confirm/code")))


def test_single_sign_on_is_named_with_its_place(people: Cast) -> None:
    browser = signed_in(people.alice)
    confirmed(browser, people.alice, clock.now() - dt.timedelta(minutes=16))
    text = (
        "Enter your password to change single sign-on. You continue to Settings → Single sign-on."
    )
    assert text in _text(browser.get("/o/acme/settings/sso", follow=True))


def test_a_page_opened_directly_names_nothing(stale: Client) -> None:
    stale.get(APP)
    text = _text(stale.get("/account/confirm"))
    assert "Enter your password to continue." in text
    assert "two-factor" not in text


def test_the_menu_stays(people: Cast, stale: Client) -> None:
    stale.get("/o/acme/")
    for page in ("/account/confirm", "/password/change"):
        assert 'href="/o/acme/usage"' in stale.get(page).content.decode()


def test_freshly_set_password_is_not_asked_again(people: Cast) -> None:
    """One form before the QR code."""
    people.bob.set_unusable_password()
    people.bob.save()
    browser = signed_in(people.bob)
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    form = browser.get(APP)["Location"]
    assert "Set a password to set up two-factor authentication." in _text(browser.get(form))
    new = {"password1": "quite another one", "password2": "quite another one"}
    assert browser.post(form, new)["Location"] == APP
    assert "QR code" in _text(browser.get(APP))
    people.bob.refresh_from_db()
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    assert browser.get(APP)["Location"] == CONFIRM


def test_first_password_needs_any_available_confirmation(people: Cast) -> None:
    """An open session alone does not add a way to sign in beside a factor."""
    with_app(people.bob)
    people.bob.set_unusable_password()
    people.bob.save()
    browser = signed_in(people.bob)
    confirmed(browser, people.bob, clock.now() - dt.timedelta(minutes=16))
    new = {"password1": "quite another one", "password2": "quite another one"}
    for answer in (browser.get("/password/set"), browser.post("/password/set", new)):
        assert answer["Location"].startswith("/account/confirm")
    text = _text(browser.get("/password/set", follow=True))
    assert "Enter a code to set a password. You continue to Security → Password." in text
    people.bob.refresh_from_db()
    assert not people.bob.has_usable_password()


def _text(answer: Any) -> str:
    return " ".join(strip_tags(answer.content.decode()).split())


def test_recent_sign_in_is_not_asked(people: Cast) -> None:
    browser = Client()
    browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert browser.get(APP).status_code == 200


@pytest.mark.parametrize(("age_s", "recent"), [(-1, True), (0, False), (1, False)])
def test_a_sign_in_is_recent_for_as_long_as_is_set(
    people: Cast, monkeypatch: pytest.MonkeyPatch, age_s: int, recent: bool
) -> None:
    browser = Client()
    browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    request = RequestFactory().get("/")
    request.session, request.user = browser.session, people.bob
    record = request.session["account_authentication_methods"][-1]
    record["at"] = int(record["at"])
    until = record["at"] + settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + age_s
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.fromtimestamp(until, dt.UTC))
    assert signed_in_recently(request) is recent


def test_no_way_back_leads_elsewhere(stale: Client) -> None:
    answer = stale.post(CONFIRM, {"password": PASSWORD, "next": "//evil.example"})
    assert "evil" not in answer["Location"]


def test_an_operation_asks_a_session_and_no_key(people: Cast, stale: Client) -> None:
    request = RequestFactory().post("/api/v1/keys")
    request.session, request.user = stale.session, people.bob
    request.auth = actor(people.bob, people.acme)  # type: ignore[attr-defined]
    with pytest.raises(PermissionDenied, match="/account/confirm"):
        check_signed_in_recently(request)
    key, _ = make_key(people.core)
    request.auth = Actor(people.bob, key, people.acme, None, False)  # type: ignore[attr-defined]
    check_signed_in_recently(request)
    assert not Authenticator.objects.exists()
