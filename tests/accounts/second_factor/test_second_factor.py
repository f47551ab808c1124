"""A second factor (docs/promises.md, "Sign-in"): asked at every way in, each code good once."""

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.db import connection
from django.test import Client, RequestFactory

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, User
from accounts.second_factor import second_factor
from accounts.sign_in import sign_in
from lib.vault import VaultError
from outbox.models import Fact
from tests.accounts.factors import App, Owner, Passkey, with_app
from tests.accounts.sign_in.test_signin import at_once, reset_link
from tests.notify.deliveries.test_telling import tell
from tests.support.cast import PASSWORD, Cast, person, signed_in
from tests.support.pairwise import slow_unless


@pytest.fixture
def bob(people: Cast) -> Owner:
    return with_app(people.bob)


def password(browser: Client | None = None, come_from: str = "192.0.2.1") -> Client:
    """A browser behind the right password."""
    browser = browser or Client(REMOTE_ADDR=come_from)
    answer = browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert answer["Location"] == "/login/2fa"
    return browser


def send(browser: Client, code: str) -> Any:
    return browser.post("/login/2fa", {"code": code})


def is_in(browser: Client) -> bool:
    return browser.get("/o/acme/").status_code == 200


def test_a_password_alone_does_not_sign_in(bob: Owner) -> None:
    browser = password()
    assert not is_in(browser)
    assert send(browser, bob.app.code())["Location"] == "/"
    assert is_in(browser)


def test_return_address_survives_the_second_step(bob: Owner) -> None:
    browser = Client()
    form = {"login": "bob@example.org", "password": PASSWORD, "next": "/o/acme/keys"}
    browser.post("/login?next=/o/acme/keys", form)
    assert send(browser, bob.app.code())["Location"] == "/o/acme/keys"


def test_a_wrong_code_is_refused_in_plain_words(bob: Owner) -> None:
    browser = password()
    wrong = f"{(int(bob.app.code()) + 1) % 1_000_000:06d}"
    assert "This code is not correct." in send(browser, wrong).content.decode()
    assert not is_in(browser)
    # Nor is it where there is nothing but the app.
    Authenticator.objects.filter(type="recovery_codes").delete()
    assert "This code is not correct." in send(browser, wrong).content.decode()
    assert not is_in(browser)


def test_a_replayed_code_is_refused_in_plain_words(bob: Owner) -> None:
    code = bob.app.code()
    assert send(password(), code).status_code == 302
    again = password()
    assert "This code was already used." in send(again, code).content.decode()
    assert not is_in(again)


def test_a_code_before_one_that_was_used_is_refused_too(bob: Owner) -> None:
    """Who looked over a shoulder has the earlier one, and the clock allows for both."""
    assert send(password(), bob.app.code(1)).status_code == 302
    assert "already used" in send(password(), bob.app.code()).content.decode()


def test_the_code_that_added_an_app_does_not_sign_in(bob: Owner) -> None:
    assert "already used" in send(password(), bob.app.code(-1)).content.decode()


@pytest.mark.django_db(transaction=True)
def test_code_sent_ten_times_in_parallel_signs_in_once() -> None:
    owner = with_app(person("bob"))
    browsers = [password(come_from=f"192.0.2.{n}") for n in range(10)]
    code = owner.app.code()
    message = at_once(lambda n: send(browsers[n], code).status_code)
    assert (message.count(302), message.count(200)) == (1, 9)


def test_a_recovery_code_signs_in_once(bob: Owner) -> None:
    first = bob.recovery_codes[0]
    assert len(set(bob.recovery_codes)) == 10
    assert send(password(), first).status_code == 302
    stolen = password()
    text = send(stolen, first).content.decode()
    assert "This recovery code was already used." in text
    assert not is_in(stolen)
    # As it is written without its hyphens, too.
    assert send(password(), bob.recovery_codes[1].replace("-", "")).status_code == 302
    assert AuditEvent.objects.filter(action="recovery_code.used").count() == 2
    told_of = Fact.objects.filter(kind="security.changed", body__action="recovery_code.used")
    assert [fact.body["left"] for fact in told_of.order_by("id")] == [9, 8]


@pytest.mark.django_db(transaction=True)
def test_recovery_code_sent_ten_times_in_parallel_signs_in_once() -> None:
    owner = with_app(person("bob"))
    browsers = [password(come_from=f"192.0.2.{n}") for n in range(10)]
    message = at_once(lambda n: send(browsers[n], owner.recovery_codes[0]).status_code)
    assert (message.count(302), message.count(200)) == (1, 9)


def test_recovery_codes_are_shown_once(bob: Owner) -> None:
    again = bob.browser.get("/account/security/recovery-codes").content.decode()
    assert bob.recovery_codes[0] not in again
    assert "shown once" in again


def test_new_recovery_codes_end_the_old_ones(bob: Owner) -> None:
    assert bob.browser.post("/account/security/recovery-codes/new").status_code == 302
    text = send(password(), bob.recovery_codes[0]).content.decode()
    assert "This code is not correct." in text


def test_a_sign_in_link_asks_for_the_second_factor_too(bob: Owner, people: Cast) -> None:
    browser = Client()
    assert browser.post(sign_in.make_sign_in_link(people.bob))["Location"] == "/login/2fa"
    assert not is_in(browser)
    assert send(browser, bob.app.code()).status_code == 302
    assert is_in(browser)


def test_password_reset_does_not_bypass_the_second_factor(bob: Owner) -> None:
    """ASVS 6.4.3."""
    browser = Client()
    form = browser.get(reset_link(), follow=True).redirect_chain[-1][0]
    new = {"password1": "quite another one", "password2": "quite another one"}
    browser.post(form, new, follow=True)
    assert not is_in(browser)
    answer = browser.post("/login", {"login": "bob@example.org", "password": "quite another one"})
    assert answer["Location"] == "/login/2fa"


@pytest.mark.parametrize("page", ["/login/2fa", "/account/security", "/account/sign-ins"])
def test_second_step_pages_need_a_password_first(db: None, page: str) -> None:
    assert Client().get(page)["Location"].startswith("/login")


# Throttling -------------------------------------------------------------------------------------


def test_five_wrong_codes_slow_down(bob: Owner) -> None:
    browser = password()
    assert [send(browser, "000000").status_code for _ in range(6)] == [200] * 5 + [429]
    assert send(browser, bob.app.code()).status_code == 429


def test_a_throttled_code_reports_the_wait_and_other_ways(bob: Owner, people: Cast) -> None:
    browser = password()
    passkey = Passkey(people.bob)
    for _ in range(6):
        refused = send(browser, "000000")
    page = refused.content.decode()
    assert refused.status_code == 429
    assert 290 < int(refused["Retry-After"]) <= 300
    assert "Try again in 5 minutes." in page
    assert "Your code was not checked." in page
    assert "You can sign in without waiting: with a passkey" in page
    # Both named ways work, from this address.
    other = Client(REMOTE_ADDR="192.0.2.1")
    passkey.sign_in(other)
    assert is_in(other)
    form = Client(REMOTE_ADDR="192.0.2.1")
    link = form.get(reset_link(), follow=True).redirect_chain[-1][0]
    form.post(link, {"password1": PASSWORD, "password2": PASSWORD}, follow=True)
    assert send(password(), bob.app.code()).status_code == 302


def test_a_passkey_signs_in_where_passwords_are_refused(people: Cast) -> None:
    passkey = Passkey(people.bob)
    browser = Client(REMOTE_ADDR="192.0.2.1")
    for _ in range(6):
        wrong = {"login": "bob@example.org", "password": "wrong wrong"}
        refused = browser.post("/login", wrong)
    assert refused.status_code == 429
    assert "with a passkey" in refused.content.decode()
    passkey.sign_in(browser)
    assert is_in(browser)


def test_strangers_with_the_password_do_not_lock_the_owner_out(bob: Owner) -> None:
    """docs/promises.md, "Sign-in": slow-down, not lock-out."""
    assert send(password(come_from="192.0.2.7"), bob.app.code()).status_code == 302
    for n in range(10, 14):
        thief = password(come_from=f"192.0.2.{n}")
        assert [send(thief, "000000").status_code for _ in range(5)] == [200] * 5
    assert send(password(come_from="192.0.2.99"), bob.recovery_codes[0]).status_code == 429
    assert send(password(come_from="192.0.2.7"), bob.recovery_codes[0]).status_code == 302


def test_a_right_code_is_not_counted(bob: Owner) -> None:
    for n in range(8):
        assert send(password(), bob.recovery_codes[n]).status_code == 302


# Secrets ----------------------------------------------------------------------------------------


def test_database_dump_reveals_no_secret(people: Cast) -> None:
    """P14: the secret of an app, while it is added as well, and recovery codes stand sealed."""
    browser = signed_in(people.bob)
    page = browser.get("/account/security/app").content.decode()
    pending = page.split('<code id="secret">')[1].split("<")[0]
    assert pending not in json.dumps(dict(browser.session.items()))
    owner = with_app(people.bob)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        dump = str(cursor.fetchall())
    assert owner.app.secret not in dump
    assert all(code.replace("-", "") not in dump for code in owner.recovery_codes)


def test_a_secret_that_was_moved_to_another_person_does_not_open(people: Cast) -> None:
    with_app(people.alice)
    bob = with_app(people.bob)
    alices = Authenticator.objects.get(user=people.alice, type="totp")
    Authenticator.objects.filter(user=people.bob, type="totp").update(data=alices.data)
    with pytest.raises(VaultError):
        send(password(), bob.app.code())


# Changes ----------------------------------------------------------------------------------------


def letters_of(user: User) -> list[str]:
    facts = Fact.objects.filter(kind="security.changed", people=[user.pk]).order_by("id")
    return [fact.body["action"] for fact in facts]


def test_every_change_is_audited_and_emailed(bob: Owner, people: Cast) -> None:
    bob.browser.post("/account/security/recovery-codes/new")
    bob.browser.post("/account/security/app/remove")
    actions = ["authenticator_app.added", "recovery_codes.made", "authenticator_app.removed"]
    assert letters_of(people.bob) == actions
    for action in actions:
        event = AuditEvent.objects.get(action=action)
        assert (event.actor_user_id, event.object_id) == (people.bob.pk, str(people.bob.pk))
    # Nothing is left that would ask for a code.
    assert not Authenticator.objects.filter(user=people.bob).exists()
    answer = Client().post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert answer["Location"] == "/"


def test_a_change_ends_the_other_sessions(people: Cast) -> None:
    other = signed_in(people.bob)
    assert is_in(other)
    owner = with_app(people.bob)
    assert not is_in(other)
    assert is_in(owner.browser)


def test_operator_resets_a_person_who_lost_every_factor(bob: Owner, people: Cast) -> None:
    second_factor.reset_factors(SYSTEM, people.bob)
    assert not is_in(bob.browser)
    assert letters_of(people.bob)[-1] == "second_factor.reset"
    answer = Client().post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert answer["Location"] == "/"


def test_email_states_the_change_and_its_origin(bob: Owner, people: Cast) -> None:
    tell()
    (letter,) = mail.outbox
    assert letter.to == [people.bob.email]
    assert letter.subject == "The way you sign in has changed"
    assert "An authenticator app was added" in letter.body
    assert "Network: 127.0.0.1" in letter.body


def test_a_factor_needs_a_confirmed_address(people: Cast, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    address = EmailAddress.objects.create(user=people.bob, email=people.bob.email, primary=True)
    browser = signed_in(people.bob)
    assert "Confirm your email address" in browser.get("/account/security").content.decode()
    assert browser.get("/account/security/app")["Location"] == "/account/security"
    EmailAddress.objects.filter(pk=address.pk).update(verified=True)
    assert "Confirm your email address" not in browser.get("/account/security").content.decode()
    assert browser.get("/account/security/app").status_code == 200


# Passkeys ---------------------------------------------------------------------------------------


MADE_UP = (
    "", "null", "[]", "7", '"text"', "{}", '{"response": 1}', '{"response": {}}', "{",
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"userHandle": 7}}',
    '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"userHandle": "MQ", '
    '"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"}}',
)  # fmt: skip
PASSKEY_PATHS = ("/login/passkey", "/login/2fa", "/account/security/passkeys/add")


# Each at one of them in turn; in the slow lane, each at each.
@pytest.mark.parametrize(
    ("path", "credential"),
    [
        pytest.param(path, credential, marks=slow_unless((n + m) % len(PASSKEY_PATHS) == 0))
        for n, path in enumerate(PASSKEY_PATHS)
        for m, credential in enumerate(MADE_UP)
    ],
)
def test_invented_credential_is_no_internal_error(people: Cast, path: str, credential: str) -> None:
    browser = signed_in(people.bob) if "account" in path else Client()
    if path == "/login/2fa":
        with_app(people.bob)
        password(browser)
    browser.get(path, headers={"accept": "application/json"})
    answer = browser.post(path, {"credential": credential, "name": "x"})
    assert answer.status_code in (200, 302)
    assert not Authenticator.objects.filter(type="webauthn").exists()
    if "account" not in path:
        assert not is_in(browser)


def test_rejected_passkey_is_reported_on_the_sign_in_page(people: Cast) -> None:
    browser = Client()
    answer = browser.post("/login/passkey", {"credential": "{}", "next": "/o/acme/keys"})
    assert answer["Location"] == "/login?refused=passkey&next=%2Fo%2Facme%2Fkeys"
    assert "This passkey was not accepted." in browser.get(answer["Location"]).content.decode()


def test_an_app_needs_a_secret_and_a_code(people: Cast) -> None:
    browser = signed_in(people.bob)
    browser.get("/account/security/app")
    page = browser.post("/account/security/app", {"code": "000000"}).content.decode()
    assert "This code is not correct." in page
    picture = browser.get("/account/security/app/qr.svg")
    assert picture["Content-Type"] == "image/svg+xml"
    assert b"<svg" in picture.content
    assert App(page.split('<code id="secret">')[1].split("<")[0]).code()


@pytest.mark.parametrize("code", ["", "123456", "abcd-efgh", "１２３４５６", "0" * 1000])
def test_any_code_is_wrong_without_an_app_or_recovery_codes(people: Cast, code: str) -> None:
    """A person with a passkey alone, or with nothing, is told that the code is not correct."""
    request = RequestFactory().post("/login/code")
    with pytest.raises(second_factor.CodeRefused, match="wrong"):
        second_factor.use_code(request, people.alice, code)
