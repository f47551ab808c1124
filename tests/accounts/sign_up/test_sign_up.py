"""Sign-up: who may make an account, and where whoever made one belongs."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import AuditEvent, Membership, Organisation, Role, SignUpDomain, User
from accounts.organisations import organisations
from accounts.sign_up import listed_domains, sign_up
from lib import clock
from lib.refusal import Refused
from tests.accounts.sign_in.test_signin import visible
from tests.support.cast import PASSWORD, Cast, actor, person, signed_in

API = "/api/v1/sign-up"
ACME = {"domain": "acme.example", "organisation": "acme", "role": "developer"}


@pytest.fixture(autouse=True)
def _letters(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def send(browser: Client, email: str = "eve@acme.example", **over: str) -> Any:
    return browser.post("/signup", {"email": email, "password1": PASSWORD, **over})


def confirm(browser: Client) -> Any:
    """Open the link of the latest letter, and press its button."""
    match = re.search(r"https?://[^/]+(/confirm/\S+)", str(mail.outbox[-1].body))
    assert match is not None
    return browser.post(match[1])


def come_in(browser: Client, email: str = "eve@acme.example") -> User:
    send(browser, email)
    confirm(browser)
    return User.objects.get(email=email)


# Modes ------------------------------------------------------------------------------------------


def test_nobody_signs_up_by_default(people: Cast) -> None:
    browser = Client()
    assert send(browser).status_code == 200
    assert not User.objects.filter(email="eve@acme.example").exists()
    page = browser.get("/signup").content.decode()
    assert "Sign-up is closed" in page
    assert "Accounts are by invitation only." in page
    assert "Create an account" not in browser.get("/login").content.decode()


def invited(people: Cast, browser: Client, email: str = "") -> str:
    """A browser that has opened an invitation; its path."""
    alice = actor(people.alice, people.acme)
    (created,) = invitations.invite(
        people.acme, [email] if email else [], Offer(Role.DEVELOPER), actor=alice
    )
    path = created.mailed_path if email else created.path
    browser.get(path)
    return path


def test_invitation_admits_where_it_may(people: Cast) -> None:
    browser = Client()
    path = invited(people, browser)
    assert "You can accept your invitation" in browser.get("/signup").content.decode()
    eve = come_in(browser)
    assert "You are not a member" in browser.get("/").content.decode()
    browser.post(path)
    assert Membership.objects.get(user=eve).organisation == people.acme


@pytest.mark.parametrize("email", ["", "eve@acme.example"])
def test_disabled_sign_up_rejects_even_invitations(people: Cast, email: str) -> None:
    sign_up.save_sign_up(SYSTEM, mode="off")
    browser = Client()
    path = invited(people, browser, email)
    assert "Accounts are created by an operator." in browser.get("/signup").content.decode()
    send(browser)
    browser.post(path, {"name": "Eve", "password": PASSWORD})
    assert not User.objects.filter(email="eve@acme.example").exists()
    assert "Sign in to accept" in browser.get(path).content.decode()


def test_open_sign_up_needs_an_address_and_an_organisation(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="open", captcha=False)
    browser = Client()
    assert "Create an account" in browser.get("/login").content.decode()
    assert "You then name your organisation." in browser.get("/signup").content.decode()
    assert send(browser)["Location"] == "/confirm"
    eve = User.objects.get(email="eve@acme.example")
    # Nobody is in before the address is confirmed, and nothing is made for them.
    assert browser.get("/")["Location"] == "/login"
    assert browser.post("/organisation/new", {"name": "Eve"}).status_code == 302
    assert Organisation.objects.count() == 2
    confirm(browser)
    assert "Name your organisation" in browser.get("/").content.decode()
    assert browser.post("/organisation/new", {"name": " "}).status_code == 422
    assert browser.post("/organisation/new", {"name": "Eve Ltd"})["Location"] == "/o/eve-ltd/"
    membership = Membership.objects.get(user=eve)
    assert (membership.role, membership.organisation.name) == ("owner", "Eve Ltd")
    assert [team.slug for team in membership.organisation.teams.all()] == ["core"]
    made = AuditEvent.objects.get(action="user.created", object_id=str(eve.pk))
    assert (made.actor_user_id, made.detail["operator"]) == (eve.pk, False)
    created = AuditEvent.objects.filter(action="organisation.created").latest("id")
    assert created.actor_user_id == eve.pk
    # One of one's own is enough.
    assert browser.post("/organisation/new", {"name": "More"}).status_code == 302
    assert Organisation.objects.count() == 3


def test_only_open_sign_up_creates_organisations(people: Cast) -> None:
    ivy = signed_in(person("ivy"))
    assert ivy.post("/organisation/new", {"name": "Ivy"}).status_code == 422
    sign_up.save_sign_up(SYSTEM, mode="open", captcha=False)
    # Ivy's address was never confirmed.
    assert "Name your organisation" not in ivy.get("/").content.decode()
    assert ivy.post("/organisation/new", {"name": "Ivy"}).status_code == 422
    assert Organisation.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_ten_presses_make_one_organisation() -> None:
    sign_up.save_sign_up(SYSTEM, mode="open", captcha=False)
    browser = Client()
    come_in(browser)
    key = browser.cookies["session_8000"].value

    def press(n: int) -> int:
        own = Client()
        own.cookies["session_8000"] = key
        try:
            together.wait()
            return own.post("/organisation/new", {"name": f"Eve {n}"}).status_code
        finally:
            connection.close()

    together = threading.Barrier(10)
    with ThreadPoolExecutor(10) as pool:
        messages = list(pool.map(press, range(10)))
    assert Organisation.objects.count() == 1
    assert set(messages) <= {302, 303, 422}


@pytest.mark.parametrize("field", ["operator", "is_active", "role", "organisation"])
def test_a_form_grants_nothing(people: Cast, field: str) -> None:
    sign_up.save_sign_up(SYSTEM, mode="open", captcha=False)
    send(Client(), **{field: "acme"})
    eve = User.objects.get(email="eve@acme.example")
    assert not eve.operator
    assert not eve.memberships.exists()


# By domain --------------------------------------------------------------------------------------


def test_a_confirmed_address_joins_its_domains_organisation(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=[ACME])
    browser = Client()
    assert "Use your work address." in browser.get("/signup").content.decode()
    send(browser)
    assert not Membership.objects.filter(user__email="eve@acme.example").exists()
    confirm(browser)
    assert browser.get("/o/acme/").status_code == 200
    membership = Membership.objects.get(user__email="eve@acme.example")
    assert (membership.role, membership.all_teams) == ("developer", True)


def test_removed_person_does_not_return_by_the_domain(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=[ACME])
    eve = come_in(Client())
    members.remove_member(people.acme, eve.email, actor=actor(people.alice, people.acme))
    browser = Client()
    browser.post("/login", {"login": eve.email, "password": PASSWORD})
    assert "You are not a member" in browser.get("/").content.decode()


@pytest.mark.parametrize(
    ("mode", "confirmed", "was_in", "joins"),
    [
        ("domain", True, False, True),
        ("domain", False, False, False),
        ("domain", True, True, False),
        ("open", True, False, False),
        ("invite", True, False, False),
        ("off", True, False, False),
    ],
)
def test_only_a_confirmed_address_joins_at_its_first_sign_in(
    people: Cast, mode: str, confirmed: bool, was_in: bool, joins: bool
) -> None:
    """P12: however they came to their account, and only while domains let anybody in."""
    sign_up.save_sign_up(SYSTEM, mode=mode, captcha=False, domains=[ACME])
    eve = members.add_person("eve@acme.example", actor=SYSTEM)
    EmailAddress.objects.create(user=eve, email=eve.email, primary=True, verified=confirmed)
    eve.last_login = clock.now() if was_in else None
    listed_domains.join_by_domain(eve)
    assert eve.memberships.filter(organisation=people.acme).exists() is joins


@pytest.mark.parametrize(
    "email", ["eve@other.example", "eve@sub.acme.example", "eve@acme.example.evil.example"]
)
def test_another_domain_is_refused_in_plain_words(people: Cast, email: str) -> None:
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=[ACME])
    page = send(Client(), email).content.decode()
    assert "Sign-up with this email domain is by invitation only." in page
    # Whose domains they are is nobody's business (P12).
    assert "acme" not in page.replace(email, "")
    assert not User.objects.filter(email=email).exists()


def test_known_and_unknown_foreign_addresses_look_alike(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=[ACME])
    known, unknown = send(Client(), "alice@example.org"), send(Client(), "zoe@example.org")
    assert visible(known) == visible(unknown)
    assert mail.outbox == []


def test_archived_organisation_admits_no_one(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=[ACME])
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    assert "by invitation" in send(Client()).content.decode()


# The setting ------------------------------------------------------------------------------------


def test_operator_changes_sign_up_on_a_page(people: Cast) -> None:
    dora = signed_in(people.dora)
    form = {
        "mode": "domain", "captcha": "on", "domains": "Acme.example = acme: developer\n\n"
    }  # fmt: skip
    assert dora.post("/admin/people/sign-up", form)["Location"] == "/admin/people/sign-up"
    assert sign_up.describe_settings() == {"mode": "domain", "captcha": True, "domains": [ACME]}
    page = dora.get("/admin/people/sign-up").content.decode()
    assert re.search(r'name="domains_domain" value="acme.example"', page)
    assert re.search(r'name="domains_organisation" value="acme"', page)
    assert re.search(r'<option value="developer" selected>', page)
    event = AuditEvent.objects.get(action="sign_up.changed")
    assert event.actor_user_id == people.dora.pk
    assert (event.detail["before"]["mode"], event.detail["after"]["mode"]) == ("invite", "domain")
    # What is so already leaves no second event.
    dora.post("/admin/people/sign-up", form)
    assert AuditEvent.objects.filter(action="sign_up.changed").count() == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"mode": "domain", "domains": ""}, "List at least one domain."),
        (
            {"mode": "open", "domains": "acme"},
            "Enter a domain, an organisation and a role in each row.",
        ),
        ({"mode": "open", "domains": "acme = acme: viewer"}, "acme is not a domain"),
        ({"mode": "open", "domains": "a.example = none: viewer"}, "There is no organisation none."),
        (
            {"mode": "open", "domains": f"a.example = {'n' * 90}: viewer"},
            f"There is no organisation {'n' * 80}.",
        ),
        ({"mode": "open", "domains": f"{'d' * 90} = acme: viewer"}, f"{'d' * 80} is not a domain"),
        (
            {"mode": "open", "domains": f"a.example = acme: {'r' * 50}"},
            f"{'r' * 40} cannot be given",
        ),
        ({"mode": "open", "domains": "a.example = acme: owner"}, "owner cannot be given by domain"),
        (
            {"mode": "open", "domains": "a.example = acme: viewer\nA.example = acme: viewer"},
            "a.example is listed twice.",
        ),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    people: Cast, form: dict[str, str], words: str
) -> None:
    answer = signed_in(people.dora).post("/admin/people/sign-up", form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert sign_up.describe_settings() == {"mode": "invite", "captcha": True, "domains": []}


def test_domain_is_listed_once_overall(people: Cast) -> None:
    for other in (ACME, {**ACME, "domain": ACME["domain"].upper()}):
        with pytest.raises(Refused, match="is listed twice"):
            sign_up.save_sign_up(SYSTEM, domains=[ACME, other])
    assert not SignUpDomain.objects.exists()


def test_address_cannot_be_confirmed_without_email(people: Cast, settings: Any) -> None:
    sign_up.save_sign_up(SYSTEM, mode="open", domains=[ACME])
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    assert "Sign-up is closed" in Client().get("/signup").content.decode()
    for mode in ("open", "domain"):
        with pytest.raises(Refused, match="sends no emails"):
            sign_up.save_sign_up(SYSTEM, mode=mode)
    page = signed_in(people.dora).get("/admin/people/sign-up").content.decode()
    assert "This installation sends no emails" in page


def change(browser: Client, body: dict[str, Any]) -> Any:
    return browser.patch(API, json.dumps(body), "application/json")


def test_api_reads_and_changes_sign_up(people: Cast) -> None:
    dora = signed_in(people.dora)
    assert dora.get(API).json() == {"mode": "invite", "captcha": True, "domains": []}
    assert change(dora, {"mode": "domain", "domains": [ACME]}).json()["domains"] == [ACME]
    # What is left out stays.
    opened = {"mode": "open", "captcha": True, "domains": [ACME]}
    assert change(dora, {"mode": "open"}).json() == opened
    assert change(dora, {"captcha": False}).json() == {**opened, "captcha": False}
    assert change(dora, {"captcha": "no"}).status_code in (400, 422)
    assert change(dora, {"mode": "sometimes"}).status_code == 422
    assert change(dora, {"modes": "open"}).status_code == 400
    assert change(dora, {"domains": [ACME | {"role": "owner"}]}).status_code == 422
    assert change(dora, {"domains": [ACME | {"organisation": "none"}]}).status_code == 422
    assert SignUpDomain.objects.get().organisation == people.acme


def of_page(browser: Client) -> int:
    return browser.get("/admin/people/sign-up").status_code


def of_api(browser: Client) -> int:
    return browser.get(API).status_code


@pytest.mark.parametrize(("ask", "status"), [(of_page, 404), (of_api, 403)])
def test_only_operators_see_it(people: Cast, ask: Callable[[Client], int], status: int) -> None:
    for user in (people.alice, people.bob):
        assert ask(signed_in(user)) == status
        assert change(signed_in(user), {"mode": "open"}).status_code == 403
