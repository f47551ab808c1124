"""What was confirmed once ends with each change of what it was confirmed for.

`FACTS` has every confirmed fact about how people get in, with everything that it depends on: one
case for each dependency. Each case first shows that the fact holds.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import OwnConnection, Role, SingleSignOn, User
from accounts.second_factor import second_factor
from accounts.sign_in import sign_in
from accounts.sign_on_connections.connections import confirmed_domains, provider_id
from accounts.sign_up.sign_up import may_found, save_sign_up
from accounts.single_sign_on import single_sign_on
from tests.accounts.factors import with_app
from tests.accounts.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.accounts.single_sign_on.test_single_sign_on import (
    ADA,
    FIELDS,
    come_back,
    is_in,
    path,
    walk,
)
from tests.support.cast import Cast, actor, person, signed_in


class Scene:
    """Acme's single sign-on, whose domain dora has confirmed after alice set it up."""

    def __init__(self, people: Cast, provider: IdentityProvider, other: IdentityProvider) -> None:
        self.people, self.provider, self.other = people, provider, other
        fields = FIELDS | {"issuer": provider.url, "default_role": "viewer"}
        row = single_sign_on.save_single_sign_on(
            actor(people.alice, people.acme), people.acme, secret=SECRET, **fields
        )
        seen = single_sign_on.facts_of(row)
        self.row = single_sign_on.confirm_domains(actor(people.dora), row, seen=seen)

    def change(self, **over: Any) -> None:
        """What the owner saves on the page."""
        self.row.refresh_from_db()
        fields = single_sign_on.describe_settings(self.row)
        fields.pop("domains_confirmed")
        secret = over.pop("secret", SECRET)
        alice = actor(self.people.alice, self.people.acme)
        self.row = single_sign_on.save_single_sign_on(
            alice, self.people.acme, secret=secret, **(fields | over)
        )

    def unconfirm(self) -> None:
        single_sign_on.unconfirm_domains(actor(self.people.dora), self.row)

    def remove(self) -> None:
        single_sign_on.remove_single_sign_on(actor(self.people.alice), self.row)

    def join(self, **claims: Any) -> Client:
        """Somebody at Acme's provider comes in by it."""
        self.provider.claims = {**ADA, **claims}
        browser = Client()
        walk(browser, self.provider, self.row)
        return browser

    def connect(self, user: User, browser: Client | None = None) -> Client:
        """That person connects their own account, signed in by password."""
        self.provider.claims = {**ADA, "sub": f"of {user.pk}", "email": "somebody@else.example"}
        browser = browser or signed_in(user)
        browser.post(f"/account/security/sso/{provider_id(self.row)}")
        come_back(browser, self.provider, browser.get("/account/security/sso/start"))
        return browser


@pytest.fixture
def scene(people: Cast, settings: Any) -> Iterator[Scene]:
    settings.SSO_EGRESS_ALLOW = ["127.0.0.1/32"]
    items = [IdentityProvider(), IdentityProvider()]
    yield Scene(people, *items)
    for one in items:
        one.shutdown()
        one.server_close()


CHANGES: dict[str, Callable[[Scene], None]] = {
    "another issuer": lambda scene: scene.change(issuer=scene.other.url),
    "another client": lambda scene: scene.change(client_id="another"),
    "another domain": lambda scene: scene.change(domains=["acme.test"]),
    "taken back": Scene.unconfirm,
    "removed": Scene.remove,
}
MOVES = ["another issuer", "another client", "removed"]


# Single sign-on: the confirmation of its domains ------------------------------------------------


@pytest.mark.parametrize(
    "change", ["another issuer", "another client", "another domain", "taken back"]
)
def test_causes_that_end_a_confirmed_domain(scene: Scene, change: str) -> None:
    """P12: an operator confirmed a domain for one provider, and not for the next one."""
    assert single_sign_on.row_of_email("eve@acme.example") == scene.row
    CHANGES[change](scene)
    scene.row.refresh_from_db()
    assert confirmed_domains(scene.row) == []
    # Nobody is sent to the provider of a domain that is not confirmed.
    assert single_sign_on.row_of_email("eve@acme.example") is None
    assert (
        "No organisation uses"
        in Client().get("/login/sso", {"email": "eve@acme.example"}).content.decode()
    )


def test_confirmation_does_not_return_with_its_subject(scene: Scene) -> None:
    scene.change(issuer=scene.other.url)
    scene.change(issuer=scene.provider.url)
    assert confirmed_domains(scene.row) == []
    scene.change(issuer=f"{scene.provider.url}//")
    assert scene.row.issuer == scene.provider.url


@pytest.mark.parametrize("column", ["issuer", "client_id"])
def test_a_confirmation_covers_only_its_issuer_and_client(scene: Scene, column: str) -> None:
    SingleSignOn.objects.update(**{column: "https://elsewhere.example"})
    scene.row.refresh_from_db()
    assert confirmed_domains(scene.row) == []
    assert single_sign_on.row_of_email("eve@acme.example") is None


def test_added_domain_is_confirmed_by_itself(scene: Scene) -> None:
    browser = scene.join()
    scene.change(domains=["acme.example", "acme.test"])
    assert confirmed_domains(scene.row) == ["acme.example"]
    assert single_sign_on.describe_settings(scene.row)["domains_confirmed"] is False
    assert is_in(browser)


def test_an_owners_own_provider_signs_in_as_nobody_else(scene: Scene) -> None:
    """The take-over of the examination: the confirmed organisation's owner names another issuer,
    whose provider says that its user is an operator, another organisation's owner, a colleague."""
    people = scene.people
    for user in (people.dora, people.charlie, people.bob):
        user.email = user.email.replace("example.org", "acme.example")
        user.save(update_fields=["email"])
    scene.change(issuer=scene.other.url)
    for n, user in enumerate((people.dora, people.charlie, people.bob)):
        scene.other.claims = {**ADA, "sub": f"x{n}", "email": user.email}
        browser = Client()
        assert walk(browser, scene.other, scene.row).status_code == 403
        assert browser.get("/account/security").status_code == 302
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("name", ["dora", "charlie"])
def test_operators_and_outsiders_are_not_connected_by_email(scene: Scene, name: str) -> None:
    user: User = getattr(scene.people, name)
    user.email = f"{name}@ACME.example"
    user.save(update_fields=["email"])
    scene.provider.claims = {**ADA, "email": user.email}
    answer = walk(Client(), scene.provider, scene.row)
    assert answer.status_code == 403
    assert "Sign in another way, then connect" in answer.content.decode()
    assert not SocialAccount.objects.exists()


# Single sign-on: connections and sessions -------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_causes_that_end_a_domain_connection_and_its_session(scene: Scene, change: str) -> None:
    """P13 of sessions: not at the next sign-in, but with the next request."""
    browser = scene.join()
    assert is_in(browser)
    CHANGES[change](scene)
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()
    if change != "removed":
        scene.other.claims = scene.provider.claims
        server = scene.other if change == "another issuer" else scene.provider
        server.claims = dict(ADA)
        answer = Client().get(path(scene.row))
        assert answer.status_code == 302


@pytest.mark.parametrize("change", MOVES)
def test_causes_that_end_an_own_connection_and_its_session(scene: Scene, change: str) -> None:
    scene.connect(scene.people.bob)
    browser = Client()
    walk(browser, scene.provider, scene.row)
    assert is_in(browser)
    CHANGES[change](scene)
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("change", ["another domain", "taken back"])
def test_an_own_connection_stays_with_the_provider(scene: Scene, change: str) -> None:
    scene.connect(scene.people.bob)
    CHANGES[change](scene)
    browser = Client()
    walk(browser, scene.provider, scene.row)
    assert is_in(browser)


def test_subject_of_the_next_provider_is_unknown(scene: Scene) -> None:
    """`sub` belongs to its issuer: another one may give the same to anybody."""
    scene.connect(scene.people.bob)
    scene.change(issuer=scene.other.url)
    scene.other.claims = {**ADA, "sub": f"of {scene.people.bob.pk}", "email": "x@else.example"}
    answer = walk(Client(), scene.other, scene.row)
    assert answer.status_code == 403


@pytest.mark.parametrize("became", ["operator", "member of another"])
def test_a_connection_by_domain_ends_with_the_person_it_was_for(scene: Scene, became: str) -> None:
    browser = scene.join()
    ada = User.objects.get(email="ada@acme.example")
    if became == "operator":
        members.add_person(ada.email, actor=SYSTEM, operator=True)
        assert not is_in(browser)
        assert not SocialAccount.objects.exists()
    else:
        members.set_member(scene.people.stranger, ada.email, Role.VIEWER, actor=SYSTEM)
    answer = walk(Client(), scene.provider, scene.row)
    assert (answer.status_code, "connect" in answer.content.decode()) == (403, True)


def test_a_provider_does_not_make_its_connection_the_persons_own(scene: Scene) -> None:
    """Else it would outlive the confirmation, and open the account of an operator to be."""
    browser = scene.join()
    ada = User.objects.get(email="ada@acme.example")
    button = f"/account/security/sso/{provider_id(scene.row)}"
    assert browser.post(button).status_code == 403
    assert not OwnConnection.objects.exists()
    # Signed in another way, ada does.
    own = signed_in(ada)
    assert own.post(button).status_code == 200
    scene.provider.claims = dict(ADA)
    come_back(own, scene.provider, own.get("/account/security/sso/start"))
    assert OwnConnection.objects.get().account.user == ada
    scene.unconfirm()
    browser = Client()
    walk(browser, scene.provider, scene.row)
    assert is_in(browser)


def test_a_sign_in_that_awaits_its_second_factor_ends_too(scene: Scene) -> None:
    user = scene.people.bob
    scene.connect(user)
    codes = with_app(user).recovery_codes
    waiting = [Client(), Client(), Client()]
    for browser in waiting:
        walk(browser, scene.provider, scene.row)
    assert waiting[0].post("/login/2fa", {"code": codes[0]}).status_code == 302
    assert is_in(waiting[0])
    scene.change(issuer=scene.other.url)
    assert waiting[1].post("/login/2fa", {"code": codes[1]}).status_code == 403
    assert not is_in(waiting[1])
    scene.remove()
    assert waiting[2].post("/login/2fa", {"code": codes[2]})["Location"] == "/login"
    assert not is_in(waiting[2])


def test_the_session_that_makes_the_change_stays(scene: Scene) -> None:
    """An owner who came by the provider is not shut out in the middle of a move."""
    scene.connect(scene.people.alice)
    browser, other = Client(), Client()
    walk(browser, scene.provider, scene.row)
    walk(other, scene.provider, scene.row)
    form = {
        "issuer": scene.other.url, "client_id": CLIENT, "secret": SECRET, "group_claim": "groups",
    }  # fmt: skip
    assert browser.post("/o/acme/settings/sso", form).status_code == 303
    assert (is_in(browser), is_in(other)) == (True, False)


def test_single_sign_on_requirement_is_the_organisations(scene: Scene) -> None:
    """Another organisation's provider, or the same provider by another organisation's row, does not
    satisfy it."""
    people = scene.people
    members.set_member(people.stranger, people.bob.email, Role.VIEWER, actor=SYSTEM)
    fields = FIELDS | {"issuer": scene.provider.url, "domains": [], "group_rules": []}
    single_sign_on.save_single_sign_on(
        SYSTEM, people.stranger, secret=SECRET, **(fields | {"required": True})
    )
    scene.change(required=True)
    scene.connect(people.bob)
    browser = Client()
    walk(browser, scene.provider, scene.row)
    assert is_in(browser)
    answer = browser.get("/o/stranger/")
    assert (answer.status_code, "/login/sso/" in answer["Location"]) == (303, True)
    assert path(scene.row) not in answer["Location"]


def test_claims_are_not_stored_at_sign_in(scene: Scene) -> None:
    scene.join()
    scene.join()
    assert SocialAccount.objects.get().extra_data == {}


# Addresses, links, factors ----------------------------------------------------------------------


def _founder(settings: Any) -> User:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    save_sign_up(SYSTEM, mode="open")
    user = person("fay")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def test_a_confirmed_address_ends_with_the_address(people: Cast, settings: Any) -> None:
    user = _founder(settings)
    assert may_found(user)
    User.objects.filter(pk=user.pk).update(email="other@example.org")
    user.refresh_from_db()
    assert not may_found(user)


def _change_password(user: User) -> None:
    browser = signed_in(user)
    new = {"password1": "quite another one", "password2": "quite another one"}
    answer = browser.post("/password/change", {"oldpassword": "correct horse battery", **new})
    assert answer.status_code == 302


def _switch_off_and_on(user: User) -> None:
    members.set_active(user, False, actor=SYSTEM)
    members.set_active(user, True, actor=SYSTEM)


def _reset_factors(user: User) -> None:
    second_factor.reset_factors(SYSTEM, user)


@pytest.mark.parametrize("change", [_change_password, _switch_off_and_on, _reset_factors])
def test_causes_that_end_a_sign_in_link(people: Cast, change: Callable[[User], None]) -> None:
    """Who had somebody's link is not let in by it once they have put their account in order."""
    link = sign_in.make_sign_in_link(people.bob)
    assert Client().get(link).status_code == 200
    change(people.bob)
    assert Client().get(link).status_code == 410
    assert Client().post(link).status_code == 410


@pytest.mark.parametrize("change", [_change_password, _switch_off_and_on, _reset_factors])
def test_causes_that_end_a_session(people: Cast, change: Callable[[User], None]) -> None:
    browser = signed_in(people.bob)
    assert is_in(browser)
    change(people.bob)
    assert not is_in(browser)
