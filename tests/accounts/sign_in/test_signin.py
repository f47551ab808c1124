import datetime as dt
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.mail_server.current_server import BACKEND
from accounts.models import AuditEvent, SignInLink, SignInNetwork, TryWindow, User
from accounts.sign_in import sign_in as signin
from accounts.sign_up.sign_up import save_sign_up
from accounts.throttle.throttle import Action, limits_of_form
from accounts.throttle.try_counts import count
from lib import clock
from tests.support import cast
from tests.support.cast import PASSWORD, Cast, person, signed_in


def sign_up(browser: Client, email: str = "eve@example.org", **over: str) -> Any:
    return browser.post("/signup", {"email": email, "password1": "a long enough one", **over})


@pytest.fixture
def open_sign_up(db: None, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    save_sign_up(SYSTEM, mode="open", captcha=False)


@pytest.mark.usefixtures("open_sign_up")
def test_a_weak_password_is_refused(client: Client) -> None:
    response = sign_up(client, password1="password12")
    assert response.status_code == 200
    assert not User.objects.exists()


@pytest.mark.usefixtures("open_sign_up")
def test_address_beyond_its_column_is_rejected_at_its_field(client: Client) -> None:
    """Each part of it is valid."""
    host = ".".join([*("b" * 60 for _ in range(3)), "c" * 12, "example.org"])
    answer = sign_up(client, f"{'a' * 58}@{host}")
    assert (answer.status_code, User.objects.count()) == (200, 0)
    assert "Use at most 254 characters. This has " in answer.content.decode()


@pytest.mark.usefixtures("open_sign_up")
def test_sign_up_reveals_no_known_addresses(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same page after the same work; the letter says to its reader what happened."""
    hashes: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> Any:
        hashes.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    pages, work, cookies = [], [], []
    for email in ("alice@example.org", "eve@example.org"):
        browser = Client()
        before = len(hashes)
        answer = sign_up(browser, email)
        cookies.append(sorted(answer.cookies))
        pages.append(browser.get(answer["Location"]).content.decode())
        work.append(len(hashes) - before)
    assert work == [1, 1]
    assert len({re.sub(r"\b\w{64}\b", "", page) for page in pages}) == 1
    assert cookies[0] == cookies[1]
    known, new = mail.outbox
    assert (known.to, new.to) == (["alice@example.org"], ["eve@example.org"])
    assert "You already have an account" in known.subject
    assert f"{settings.PUBLIC_URL}/password/reset\n" in known.body
    assert "confirm your email address" in new.body


@pytest.mark.usefixtures("open_sign_up")
def test_a_sign_up_says_how_long_a_password_is(client: Client) -> None:
    assert "At least 10 characters." in client.get("/signup").content.decode()


@pytest.mark.parametrize(
    "next_page",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"],
)
def test_foreign_return_address_is_ignored(people: Cast, next_page: str) -> None:
    browser = Client()
    response = browser.post(
        "/login", {"login": "bob@example.org", "password": PASSWORD, "next": next_page}
    )
    assert (response.status_code, response["Location"]) == (302, "/")


def test_return_address_on_this_site_is_followed(people: Cast) -> None:
    response = Client().post(
        "/login?next=/o/acme/keys",
        {"login": "bob@example.org", "password": PASSWORD, "next": "/o/acme/keys"},
    )
    assert response["Location"] == "/o/acme/keys"
    event = AuditEvent.objects.get(action="user.signed_in")
    assert (event.actor_user_id, event.object_id) == (people.bob.pk, str(people.bob.pk))


def test_the_first_sign_in_joins_the_organisation_of_the_domain(
    people: Cast, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    domain = {"domain": "example.org", "organisation": "acme", "role": "viewer"}
    save_sign_up(SYSTEM, mode="domain", domains=[domain])
    eve = person("eve")
    EmailAddress.objects.create(user=eve, email=eve.email, verified=True, primary=True)
    assert Client().post("/login", {"login": eve.email, "password": PASSWORD}).status_code == 302
    assert eve.memberships.get(organisation=people.acme).role == "viewer"


def visible(response: Any) -> str:
    """The page without what differs at every request."""
    page = response.content.decode()
    page = re.sub(r'(name="csrfmiddlewaretoken" value|name="csrf-token" content)="[^"]*"', "", page)
    return re.sub(r"X-CSRFToken[^}]*|[a-z]+@example.org|<code>[^<]*</code>", "", page)


def test_unknown_and_wrong_look_alike(people: Cast) -> None:
    wrong = Client().post("/login", {"login": "bob@example.org", "password": "wrong wrong"})
    unknown = Client().post("/login", {"login": "zoe@example.org", "password": "wrong wrong"})
    assert wrong.status_code == unknown.status_code == 200
    assert visible(wrong) == visible(unknown)


def test_reset_answers_everyone_alike(people: Cast) -> None:
    known = Client().post("/password/reset", {"email": "bob@example.org"}, follow=True)
    unknown = Client().post("/password/reset", {"email": "zoe@example.org"}, follow=True)
    assert visible(known) == visible(unknown)
    assert [sorted(message.to) for message in mail.outbox] == [
        ["bob@example.org"],
        ["zoe@example.org"],
    ]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("", "This installation sends no emails"),
        ("127.0.0.1", "The mail server did not accept it"),
    ],
)
@pytest.mark.parametrize("email", ["bob@example.org", "zoe@example.org"])
def test_reset_reports_an_unsent_email(
    people: Cast, settings: Any, host: str, words: str, email: str
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = BACKEND, host, 9
    answer = Client().post("/password/reset", {"email": email}, follow=True)
    assert answer.status_code == 503
    assert words in answer.content.decode()


def sign_in(
    email: str = "bob@example.org",
    password: str = PASSWORD,
    *,
    come_from: str = "192.0.2.1",
    **headers: str,
) -> Any:
    return Client(REMOTE_ADDR=come_from, headers=headers).post(
        "/login", {"login": email, "password": password}
    )


def fail(times: int, **over: str) -> None:
    for _ in range(times):
        assert sign_in(**{"password": "wrong wrong", **over}).status_code == 200


def test_five_failures_slow_down(people: Cast) -> None:
    fail(5)
    assert sign_in().status_code == 429
    # Elsewhere, and for somebody else, nothing has happened.
    assert sign_in(come_from="192.0.2.2").status_code == 302
    assert sign_in("alice@example.org").status_code == 302


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Too many attempts", "Try again in 5 minutes.")),
        ("zh-hans", ("尝试次数过多", "请在 5 分钟后重试。")),
    ],
)
def test_slowed_person_learns_until_when(
    people: Cast, language: str, words: tuple[str, ...]
) -> None:
    fail(5)
    response = sign_in(**{"accept-language": language})
    page = response.content.decode()
    assert response.status_code == 429
    assert 290 < int(response["Retry-After"]) <= 300
    assert all(word in page for word in words)
    # A page of the product, with the way on.
    assert '<link rel="stylesheet"' in page
    assert 'action="/password/reset"' in page


def test_unknown_and_wrong_are_slowed_down_alike(people: Cast) -> None:
    fail(5, email="bob@example.org", come_from="192.0.2.3")
    fail(5, email="zoe@example.org", come_from="192.0.2.4")
    known = sign_in(password="wrong wrong", come_from="192.0.2.3")
    unknown = sign_in("zoe@example.org", "wrong wrong", come_from="192.0.2.4")
    assert known.status_code == unknown.status_code == 429
    assert visible(known) == visible(unknown)


def test_strangers_do_not_lock_the_owner_out(people: Cast) -> None:
    """docs/promises.md, "Sign-in": slow-down, not lock-out, from where one has signed in before."""
    assert sign_in().status_code == 302
    for n in range(10, 14):
        fail(5, come_from=f"192.0.2.{n}")
    # The account is slowed down for everybody that it does not know …
    assert sign_in(come_from="192.0.2.99").status_code == 429
    # … and not for its owner, who may also mistype as often as five times.
    fail(5)
    assert sign_in().status_code == 302


def test_strangers_leave_the_owner_a_way_in_from_a_new_network(people: Cast) -> None:
    """The page that slows down names it: the link of a letter, which makes the network known."""
    for n in range(10, 14):
        fail(5, come_from=f"192.0.2.{n}")
    refused = sign_in(come_from="192.0.2.99")
    assert refused.status_code == 429
    page = refused.content.decode()
    assert "You can sign in without waiting: with a passkey" in page
    assert 'action="/password/reset"' in page
    # Both ways are on the page itself: a passkey, and a letter to the address that was entered.
    assert 'data-passkey="get"' in page
    assert 'name="email" value="bob@example.org"' in page
    browser = Client(REMOTE_ADDR="192.0.2.99")
    browser.post("/password/reset", {"email": "bob@example.org"})
    assert set_password_by(browser, letter_link()).status_code == 200
    assert sign_in(password="quite another one", come_from="192.0.2.99").status_code == 302
    # From elsewhere it is slowed down as before.
    assert sign_in(password="quite another one", come_from="192.0.2.98").status_code == 429


def set_password_by(browser: Client, link: str) -> Any:
    form = browser.get(link, follow=True).redirect_chain[-1][0]
    new = {"password1": "quite another one", "password2": "quite another one"}
    return browser.post(form, new, follow=True)


def test_used_up_emails_leave_a_sign_in_link(people: Cast) -> None:
    """The page says that the newest letter works, and it does."""
    for n in range(10, 14):
        fail(5, come_from=f"192.0.2.{n}")
    for n in range(20, 25):
        Client(REMOTE_ADDR=f"192.0.2.{n}").post("/password/reset", {"email": "bob@example.org"})
    browser = Client(REMOTE_ADDR="192.0.2.99")
    refused = browser.post("/password/reset", {"email": "bob@example.org"})
    assert refused.status_code == 429
    assert "the link of the newest email works" in refused.content.decode()
    assert "Your password was not checked" not in refused.content.decode()
    set_password_by(browser, letter_link())
    assert sign_in(password="quite another one", come_from="192.0.2.99").status_code == 302


def test_no_email_is_promised_without_a_mail_server(people: Cast, settings: Any) -> None:
    settings.EMAIL_BACKEND = BACKEND
    fail(5)
    page = sign_in().content.decode()
    assert "Ask its operator for a sign-in link." in page
    assert "Send link" not in page
    assert "by email" not in page
    assert 'data-passkey="get"' in page


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/password/reset", "ask_reset"),
        ("/password/reset/1-set-password", "reset"),
        ("/signup", "sign_up"),
    ],
)
@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.usefixtures("open_sign_up")
def test_slowed_person_is_offered_a_reset_only_where_emails_are_sent(
    settings: Any, path: str, action: Action, sends: bool
) -> None:
    """Without a mail server its link could not work; the way back to sign in always does."""
    if not sends:
        settings.EMAIL_BACKEND = BACKEND
    use_up(action, "192.0.2.9")
    refused = Client(REMOTE_ADDR="192.0.2.9").post(path)
    assert refused.status_code == 429
    links = re.findall(r'<a class="btn" href="([^"]+)"', refused.content.decode())
    assert links == ["/login", *(["/password/reset"] if sends else [])]


def use_up(action: Action, network: str) -> None:
    limits = limits_of_form(action, network)
    for _ in range(limits[0].count):
        count(limits)


def test_an_own_network_is_slowed_down_too(people: Cast) -> None:
    assert sign_in().status_code == 302
    fail(10)
    response = sign_in()
    assert (response.status_code, int(response["Retry-After"]) <= 60) == (429, True)


def test_a_network_becomes_known_by_a_link_and_by_a_reset(people: Cast) -> None:
    link = signin.make_sign_in_link(people.bob)
    Client(REMOTE_ADDR="192.0.2.5").post(link)
    browser = Client(REMOTE_ADDR="192.0.2.6")
    form = browser.get(reset_link(), follow=True).redirect_chain[-1][0]
    browser.post(form, {"password1": "quite another one", "password2": "quite another one"})
    for n in range(10, 14):
        fail(5, come_from=f"192.0.2.{n}")
    for known in ("192.0.2.5", "192.0.2.6"):
        assert sign_in(password="quite another one", come_from=known).status_code == 302


def test_old_sign_in_networks_are_forgotten(people: Cast) -> None:
    sign_in(come_from="192.0.2.5")
    SignInNetwork.objects.update(last_at=clock.now() - dt.timedelta(days=181))
    sign_in(come_from="192.0.2.6")
    assert [row.network for row in SignInNetwork.objects.all()] == ["192.0.2.6"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/login", {"login": "n@example.org", "password": "wrong wrong"}),
        ("/signup", {"email": "n@example.org", "password1": "a long enough one"}),
        ("/password/reset", {"email": "n@example.org"}),
        ("/password/reset/1-set-password", {"password1": "x", "password2": "x"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("open_sign_up")
def test_each_entry_form_is_bounded_for_a_network(path: str, form: dict[str, str]) -> None:
    def send(n: int, network: str) -> int:
        filled = {name: value.replace("n@", f"{n}@") for name, value in form.items()}
        return Client(REMOTE_ADDR=network).post(path, filled).status_code

    responses = [send(n, "192.0.2.1") for n in range(31)]
    assert responses[0] != 429
    assert responses[-1] == 429
    assert send(99, "192.0.2.2") != 429


def test_emails_to_one_address_are_limited(people: Cast) -> None:
    for n in range(6):
        asked = {"email": "bob@example.org"}
        last = Client(REMOTE_ADDR=f"192.0.2.{n}").post("/password/reset", asked)
    assert last.status_code == 429
    assert len(mail.outbox) == 5


def test_an_old_password_is_tried_a_few_times(people: Cast) -> None:
    browser = signed_in(people.bob)
    new = {"password1": "quite another one", "password2": "quite another one"}
    status_codes = [
        browser.post("/password/change", {"oldpassword": "wrong", **new}).status_code
        for _ in range(6)
    ]
    assert status_codes == [200] * 5 + [429]


def reset_link(email: str = "bob@example.org") -> str:
    Client().post("/password/reset", {"email": email})
    return letter_link()


def letter_link() -> str:
    """The path that the newest letter leads to."""
    match = re.search(r"https?://[^/]+(/password/reset/\S+)", str(mail.outbox[-1].body))
    assert match is not None
    return match.group(1)


def at_once(ask: Callable[[int], Any], times: int = 10) -> list[Any]:
    """What each of so many threads was told."""
    together = threading.Barrier(times)

    def one(n: int) -> Any:
        try:
            together.wait()
            return ask(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


@pytest.mark.django_db(transaction=True)
def test_reset_link_works_once_even_ten_times_in_parallel() -> None:
    """docs/promises.md, "Sign-in": single-use."""
    bob = cast.person("bob")
    link = reset_link()
    browsers = [Client(REMOTE_ADDR=f"192.0.2.{n}") for n in range(10)]
    forms = [browser.get(link, follow=True).redirect_chain[-1][0] for browser in browsers]

    def use(n: int) -> bool:
        new = {f"password{i}": f"the new one of {n}" for i in (1, 2)}
        page = browsers[n].post(forms[n], new, follow=True).content.decode()
        assert ("Password changed" in page) != ("is no longer valid" in page)
        return "Password changed" in page

    done = at_once(use)
    assert done.count(True) == 1
    bob.refresh_from_db()
    assert bob.check_password(f"the new one of {done.index(True)}")
    assert AuditEvent.objects.filter(action="password.changed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_concurrent_sign_ups_of_one_address_make_one_person(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    save_sign_up(SYSTEM, mode="open", captcha=False)
    message = at_once(lambda n: sign_up(Client(REMOTE_ADDR=f"192.0.2.{n}")).status_code)
    assert set(message) <= {200, 302}
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_simultaneous_tries_are_all_counted() -> None:
    cast.person("bob")
    message = at_once(lambda n: sign_in(password="wrong wrong").status_code, 20)
    assert (message.count(200), message.count(429)) == (5, 15)
    assert sign_in(come_from="192.0.2.2").status_code == 302


def test_a_refused_try_uses_nothing_else_up(people: Cast) -> None:
    """Else one stranger who goes on and on would slow the account down for all."""
    fail(5)
    for _ in range(20):
        assert sign_in(password="wrong wrong").status_code == 429
    assert sign_in(come_from="192.0.2.2").status_code == 302


def test_a_deactivated_persons_correct_password_is_no_failure(people: Cast) -> None:
    people.bob.is_active = False
    people.bob.save()
    for _ in range(7):
        assert sign_in().status_code == 302


def test_ended_windows_are_forgotten(people: Cast) -> None:
    fail(1, come_from="192.0.2.3")
    TryWindow.objects.update(ends_at=clock.now() - dt.timedelta(seconds=1))
    fail(1, come_from="192.0.2.4")
    assert {row.tries for row in TryWindow.objects.all()} == {1}
    assert TryWindow.objects.filter(ends_at__lt=clock.now()).count() == 0


def test_a_reset_link_works_once_and_uses_the_configured_host(people: Cast, settings: Any) -> None:
    settings.PUBLIC_URL = "https://hub.example.org"
    settings.ALLOWED_HOSTS = ["evil.example", "testserver"]
    other = signed_in(people.bob)
    browser = Client()
    browser.post("/password/reset", {"email": "bob@example.org"}, headers={"host": "evil.example"})
    body = str(mail.outbox[0].body)
    assert "evil.example" not in body
    match = re.search(r"https://hub\.example\.org(/password/reset/\S+)", body)
    assert match is not None
    form = browser.get(match.group(1), follow=True)
    assert form.status_code == 200
    done = browser.post(
        form.redirect_chain[-1][0],
        {"password1": "quite another one", "password2": "quite another one"},
        follow=True,
    )
    assert "changed" in done.content.decode()
    assert SignInNetwork.objects.get(user=people.bob).network == "127.0.0.1"
    assert Client().login(username="bob@example.org", password="quite another one")
    assert "is no longer valid" in Client().get(match.group(1)).content.decode()
    # Every other session has ended (ASVS 7.4.3).
    assert other.get("/o/acme/keys").status_code == 302


def test_signing_out_is_a_post(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert browser.get("/logout").status_code == 200
    assert browser.get("/o/acme/keys").status_code == 200
    assert browser.post("/logout")["Location"] == "/login"
    assert browser.get("/o/acme/keys").status_code == 302


def test_deactivated_person_is_signed_out_immediately(people: Cast) -> None:
    browser = signed_in(people.bob)
    people.bob.is_active = False
    people.bob.save()
    assert browser.get("/o/acme/keys").status_code == 302
    again = Client()
    again.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert again.get("/o/acme/keys").status_code == 302


@pytest.mark.parametrize(
    "path",
    ["/login", "/signup", "/password/reset", "/password/reset/sent", "/password/reset/done"],
)
def test_entry_pages_load(db: None, client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/password/change", "/logout"])
def test_account_pages_load(people: Cast, path: str) -> None:
    assert signed_in(people.bob).get(path).status_code == 200


def test_a_password_is_changed_with_the_old_one(people: Cast) -> None:
    browser, other = signed_in(people.bob), signed_in(people.bob)
    new = {"password1": "quite another one", "password2": "quite another one"}
    assert browser.post("/password/change", {"oldpassword": "wrong", **new}).status_code == 200
    assert browser.post("/password/change", {"oldpassword": PASSWORD, **new}).status_code == 302
    assert browser.get("/o/acme/keys").status_code == 200
    assert other.get("/o/acme/keys").status_code == 302
    assert Client().get("/password/change")["Location"].startswith("/login")


def test_person_who_came_by_a_link_sets_a_first_password(people: Cast) -> None:
    people.bob.set_unusable_password()
    people.bob.save()
    browser = signed_in(people.bob)
    assert browser.get("/password/change")["Location"] == "/password/set"
    browser.post(
        "/password/set", {"password1": "quite another one", "password2": "quite another one"}
    )
    assert Client().login(username="bob@example.org", password="quite another one")


# The one-time link ------------------------------------------------------------------------------


def text_in(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def test_a_link_has_256_bits_and_is_stored_as_a_digest(people: Cast) -> None:
    text = text_in(signin.make_sign_in_link(people.bob))
    assert len(text) == 43
    assert text not in str(SignInLink.objects.values().get())
    assert AuditEvent.objects.filter(action="sign_in_link.made").count() == 1


def test_a_link_is_used_once(people: Cast) -> None:
    text = text_in(signin.make_sign_in_link(people.bob))
    assert signin.use_sign_in_link(text) == people.bob
    assert signin.use_sign_in_link(text) is None
    assert AuditEvent.objects.filter(action="sign_in_link.used").count() == 1


def test_old_and_deactivated_persons_links_are_dead(people: Cast) -> None:
    old = text_in(signin.make_sign_in_link(people.bob))
    SignInLink.objects.update(expires_at=clock.now())
    assert signin.use_sign_in_link(old) is None
    living = text_in(signin.make_sign_in_link(people.bob))
    people.bob.is_active = False
    people.bob.save()
    assert signin.use_sign_in_link(living) is None


def test_the_command_prints_a_whole_address(
    people: Cast, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PUBLIC_URL = "https://hub.example.org"
    call_command("sign_in_link", "BOB@example.org")
    link = capsys.readouterr().out.strip()
    assert link.startswith("https://hub.example.org/link/")
    assert signin.use_sign_in_link(text_in(link)) == people.bob
    with pytest.raises(CommandError, match="zoe"):
        call_command("sign_in_link", "zoe@example.org")
