import re
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import signin
from accounts.models import AuditEvent, Membership, Organisation, SignInLink, User
from lib import clock
from tests.cast import PASSWORD, Cast, signed_in


def sign_up(browser: Client, email: str = "eve@example.org", **over: str) -> Any:
    return browser.post("/signup", {"email": email, "password1": "a long enough one", **over})


def test_signing_up_makes_an_organisation_of_ones_own(db: None, client: Client) -> None:
    response = sign_up(client)
    assert (response.status_code, response["Location"]) == (302, "/")
    eve = User.objects.get(email="eve@example.org")
    membership = Membership.objects.get(user=eve)
    assert membership.role == "owner"
    assert [team.slug for team in membership.organisation.teams.all()] == ["core"]
    assert not eve.operator
    event = AuditEvent.objects.get(action="organisation.created")
    assert event.actor_user_id == eve.id
    slug = membership.organisation.slug
    assert client.get("/", follow=True).redirect_chain == [(f"/o/{slug}/", 302)]


@pytest.mark.parametrize("field", ["operator", "is_active", "role", "organisation"])
def test_a_sign_up_form_grants_nothing(db: None, client: Client, field: str) -> None:
    sign_up(client, **{field: "acme"})
    eve = User.objects.get(email="eve@example.org")
    assert not eve.operator
    assert Organisation.objects.get(memberships__user=eve).slug != "acme"


def test_sign_up_can_be_closed(db: None, client: Client, settings: Any) -> None:
    settings.SIGN_UP = False
    assert sign_up(client).status_code == 200
    assert not User.objects.filter(email="eve@example.org").exists()
    assert "Sign-up is closed" in client.get("/signup").content.decode()


def test_sign_up_promises_what_there_is(db: None, client: Client) -> None:
    page = client.get("/signup").content.decode()
    assert "You get an organisation of your own." in page
    assert "nvite" not in page


def test_a_weak_password_is_refused(db: None, client: Client) -> None:
    response = sign_up(client, password1="password12")
    assert response.status_code == 200
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "next_page",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"],
)
def test_a_way_back_to_elsewhere_is_ignored(people: Cast, next_page: str) -> None:
    browser = Client()
    response = browser.post(
        "/login", {"login": "bob@example.org", "password": PASSWORD, "next": next_page}
    )
    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_way_back_on_this_site_is_taken(people: Cast) -> None:
    response = Client().post(
        "/login?next=/o/acme/keys",
        {"login": "bob@example.org", "password": PASSWORD, "next": "/o/acme/keys"},
    )
    assert response["Location"] == "/o/acme/keys"


def visible(response: Any) -> str:
    """The page without what differs at every request."""
    page = response.content.decode()
    page = re.sub(r'(name="csrfmiddlewaretoken" value|name="csrf-token" content)="[^"]*"', "", page)
    return re.sub(r"X-CSRFToken[^}]*|[a-z]+@example.org", "", page)


def test_unknown_and_wrong_look_alike(people: Cast) -> None:
    wrong = Client().post("/login", {"login": "bob@example.org", "password": "wrong wrong"})
    unknown = Client().post("/login", {"login": "zoe@example.org", "password": "wrong wrong"})
    assert wrong.status_code == unknown.status_code == 200
    assert visible(wrong) == visible(unknown)


def test_a_reset_says_the_same_to_everybody(people: Cast) -> None:
    known = Client().post("/password/reset", {"email": "bob@example.org"}, follow=True)
    unknown = Client().post("/password/reset", {"email": "zoe@example.org"}, follow=True)
    assert visible(known) == visible(unknown)
    assert [sorted(message.to) for message in mail.outbox] == [
        ["bob@example.org"],
        ["zoe@example.org"],
    ]


def test_five_failures_slow_down(people: Cast) -> None:
    browser = Client()
    for _ in range(5):
        browser.post("/login", {"login": "bob@example.org", "password": "wrong wrong"})
    response = browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert response.status_code == 200
    assert "Too many failed" in response.content.decode()


def test_a_reset_link_works_once_and_takes_its_host_from_the_settings(
    people: Cast, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://hub.example.org"
    settings.ALLOWED_HOSTS = ["evil.example", "testserver"]
    other = signed_in(people.bob)
    browser = Client()
    browser.post("/password/reset", {"email": "bob@example.org"}, headers={"host": "evil.example"})
    body = str(mail.outbox[0].body)
    assert "evil.example" not in body
    found = re.search(r"https://hub\.example\.org(/password/reset/\S+)", body)
    assert found is not None
    form = browser.get(found.group(1), follow=True)
    assert form.status_code == 200
    done = browser.post(
        form.redirect_chain[-1][0],
        {"password1": "quite another one", "password2": "quite another one"},
        follow=True,
    )
    assert "changed" in done.content.decode()
    assert Client().login(username="bob@example.org", password="quite another one")
    assert "does not work any more" in Client().get(found.group(1)).content.decode()
    # Every other session has ended (ASVS 7.4.3).
    assert other.get("/o/acme/keys").status_code == 302


def test_signing_out_is_a_post(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert browser.get("/logout").status_code == 200
    assert browser.get("/o/acme/keys").status_code == 200
    assert browser.post("/logout")["Location"] == "/login"
    assert browser.get("/o/acme/keys").status_code == 302


def test_who_is_switched_off_is_out_at_once(people: Cast) -> None:
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
def test_entry_pages_stand(db: None, client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/password/change", "/logout"])
def test_pages_of_ones_own_account_stand(people: Cast, path: str) -> None:
    assert signed_in(people.bob).get(path).status_code == 200


def test_a_password_is_changed_with_the_old_one(people: Cast) -> None:
    browser, other = signed_in(people.bob), signed_in(people.bob)
    new = {"password1": "quite another one", "password2": "quite another one"}
    assert browser.post("/password/change", {"oldpassword": "wrong", **new}).status_code == 200
    assert browser.post("/password/change", {"oldpassword": PASSWORD, **new}).status_code == 302
    assert browser.get("/o/acme/keys").status_code == 200
    assert other.get("/o/acme/keys").status_code == 302
    assert Client().get("/password/change")["Location"].startswith("/login")


def test_who_came_by_a_link_sets_a_first_password(people: Cast) -> None:
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


def test_an_old_link_and_one_of_somebody_switched_off_are_dead(people: Cast) -> None:
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
