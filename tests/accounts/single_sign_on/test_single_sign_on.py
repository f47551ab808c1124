"""Single sign-on: who comes in by an organisation's identity provider, and who never does."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Membership, Role, SingleSignOn, Team, User
from accounts.organisations import teams
from accounts.roles.rules import PERMISSIONS
from accounts.sign_on_connections.connections import confirmed_domains, mark_own, provider_id
from accounts.sign_up.sign_up import save_sign_up
from accounts.single_sign_on import oidc, single_sign_on, views
from lib import clock
from lib.refusal import Refused
from tests.accounts.identity_provider import CLIENT, FOREIGN_KEY, SECRET, IdentityProvider
from tests.lib.network.test_guarded_pool import dripping
from tests.support.cast import PASSWORD, Cast, actor, confirmed, person, signed_in

ADA = {
    "sub": "ada-1",
    "email": "ada@acme.example",
    "email_verified": True,
    "groups": ["ml"],
}
FIELDS: dict[str, Any] = {
    "client_id": CLIENT,
    "domains": ["acme.example"],
    "group_claim": "groups",
    "group_rules": [{"group": "ml", "role": "developer", "teams": ["core"]}],
    "default_role": "",
    "required": False,
}


@pytest.fixture
def provider(settings: Any) -> Iterator[IdentityProvider]:
    settings.SSO_EGRESS_ALLOW = ["127.0.0.1/32"]
    provider = IdentityProvider()
    provider.claims = dict(ADA)
    yield provider
    provider.shutdown()
    provider.server_close()


@pytest.fixture
def row(people: Cast, provider: IdentityProvider) -> SingleSignOn:
    """Acme's, whose domain an operator has confirmed."""
    fields = FIELDS | {"issuer": provider.url}
    return single_sign_on.save_single_sign_on(SYSTEM, people.acme, secret=SECRET, **fields)


def change(row: SingleSignOn, **over: Any) -> None:
    fields = single_sign_on.describe_settings(row)
    fields.pop("domains_confirmed")
    single_sign_on.save_single_sign_on(SYSTEM, row.organisation, **(fields | over))


def change_by_owner(people: Cast, row: SingleSignOn, **over: Any) -> None:
    fields = single_sign_on.describe_settings(row)
    fields.pop("domains_confirmed")
    owner = actor(people.alice, people.acme)
    single_sign_on.save_single_sign_on(owner, row.organisation, **(fields | over))


def path(row: SingleSignOn) -> str:
    return f"/login/sso/{provider_id(row)}"


def come_back(browser: Client, provider: IdentityProvider, answer: Any) -> Any:
    """What follows once the provider has led the browser back."""
    assert answer.status_code == 302, answer.content.decode()
    sent = {name: one[0] for name, one in parse_qs(urlsplit(answer["Location"]).query).items()}
    provider.challenge = sent["code_challenge"]
    back = urlsplit(sent["redirect_uri"]).path
    return browser.get(back, {"code": "c", "state": sent["state"]})


def walk(browser: Client, provider: IdentityProvider, row: SingleSignOn, **query: str) -> Any:
    return come_back(browser, provider, browser.get(path(row), query))


def is_in(browser: Client) -> bool:
    return browser.get("/o/acme/").status_code == 200


def test_call_of_a_slow_provider_ends_in_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9: a provider that sends byte by byte does not hold the threads of pages."""
    settings.SSO_EGRESS_ALLOW = ["127.0.0.1/32"]
    monkeypatch.setattr(oidc, "_ANSWER_S", 0.2)
    for begun in (b"HTTP/1.1 200 OK\r\na: ", b"HTTP/1.1 200 OK\r\n\r\n{"):
        with dripping(begun) as url, pytest.raises(oidc.ProviderFailed):
            oidc.discover_provider(url)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [([], "No public https address answers"), (["127.0.0.1/32"], "The provider did not answer")],
)
def test_owner_reads_whether_a_provider_is_internal_or_silent(
    settings: Any, allowed: list[str], words: str
) -> None:
    settings.SSO_EGRESS_ALLOW = allowed
    with pytest.raises(oidc.ProviderFailed, match=words):
        oidc.discover_provider("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("issuer", "host"),
    [("https://id.example:8443/acme", "id.example"), ("https://[::1", "https://[::1")],
)
def test_provider_is_named_by_its_host_or_else_its_address(issuer: str, host: str) -> None:
    assert views._host(SingleSignOn(issuer=issuer)) == host


@pytest.mark.django_db(transaction=True)
def test_call_of_a_provider_takes_no_database_connection(provider: IdentityProvider) -> None:
    """P9: providers that do not answer do not empty the pool of connections of all others."""
    assert User.objects.count() == 0
    assert connection.connection is not None
    oidc.discover_provider(provider.url)
    assert connection.connection is None


def test_a_new_person_joins_with_the_role_and_teams_of_the_group(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    browser = Client()
    assert walk(browser, provider, row, next="/o/acme/keys")["Location"] == "/o/acme/keys"
    assert is_in(browser)
    ada = User.objects.get(email="ada@acme.example")
    membership = Membership.objects.get(user=ada)
    assert (membership.role, membership.all_teams) == ("developer", False)
    assert list(membership.teams.all()) == [people.core]
    assert not ada.has_usable_password()
    assert AuditEvent.objects.filter(action="single_sign_on.joined").exists()
    # The secret went in the body of a request that proved who asked for the code.
    assert provider.told[0]["client_secret"] == SECRET
    # What the provider said of her is not kept.
    assert SocialAccount.objects.get().extra_data == {}


def test_an_unproven_password_ends_when_the_owner_signs_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, settings: Any
) -> None:
    """Whoever made the account first never showed that the address is theirs."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    save_sign_up(SYSTEM, mode="open", captcha=False)
    Client().post("/signup", {"email": "ada@acme.example", "password1": PASSWORD})
    browser = Client()
    walk(browser, provider, row)
    assert is_in(browser)
    assert not User.objects.get(email="ada@acme.example").check_password(PASSWORD)
    # Bob was in before: his password stays.
    User.objects.filter(pk=people.bob.pk).update(email="bob@acme.example", last_login=clock.now())
    provider.claims |= {"sub": "bob-1", "email": "bob@acme.example"}
    walk(Client(), provider, row)
    assert User.objects.get(pk=people.bob.pk).check_password(PASSWORD)


def test_groups_are_read_at_every_sign_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    walk(Client(), provider, row)
    change(row, group_rules=[{"group": "ml", "role": "viewer", "teams": []}])
    walk(Client(), provider, row)
    membership = Membership.objects.get(user__email="ada@acme.example")
    assert (membership.role, membership.all_teams) == ("viewer", True)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email_verified": False}, "has not verified your email address"),
        ({"email_verified": "true"}, "has not verified your email address"),
        ({"email": "alice@example.org"}, "not at a domain of this organisation"),
        ({"email": None}, "sent no email address"),
        ({"groups": ["others"]}, "Your groups give no access here."),
    ],
)
def test_claims_that_let_nobody_in_are_refused_in_plain_words(
    people: Cast,
    provider: IdentityProvider,
    row: SingleSignOn,
    claims: dict[str, Any],
    words: str,
) -> None:
    provider.claims |= claims
    before = User.objects.count()
    browser = Client()
    answer = walk(browser, provider, row)
    assert answer.status_code == 403
    assert words in answer.content.decode()
    assert not is_in(browser)
    assert (User.objects.count(), SocialAccount.objects.count()) == (before, 0)


def test_no_organisation_takes_over_accounts_by_listing_a_domain(
    people: Cast, provider: IdentityProvider
) -> None:
    """P12: charlie's own provider says that charlie is alice."""
    fields = FIELDS | {"issuer": provider.url, "domains": ["example.org"], "default_role": "viewer"}
    owner = actor(people.charlie, people.stranger)
    fields["group_rules"] = []
    row = single_sign_on.save_single_sign_on(owner, people.stranger, secret=SECRET, **fields)
    provider.claims |= {"email": "alice@example.org"}
    browser = Client()
    answer = walk(browser, provider, row)
    assert "An operator has not confirmed the domains" in answer.content.decode()
    assert not SocialAccount.objects.exists()
    # Confirmed, and changed again: nothing of the confirmation is left.
    seen = single_sign_on.facts_of(row)
    row = single_sign_on.confirm_domains(actor(people.dora), row, seen=seen)
    assert confirmed_domains(row) == ["example.org"]
    row = single_sign_on.save_single_sign_on(
        owner, people.stranger, **(fields | {"domains": ["example.com"]})
    )
    assert confirmed_domains(row) == []
    assert AuditEvent.objects.get(action="single_sign_on.confirmed").actor_user_id == people.dora.pk


@pytest.mark.parametrize(
    "lie",
    [
        {"key": FOREIGN_KEY},
        {"over": {"aud": "another"}},
        {"over": {"iss": "https://elsewhere.example"}},
        {"over": {"exp": 1}},
        {"userinfo": {"sub": "somebody-else"}},
        *({"over": {"sub": sub}, "userinfo": {"sub": sub}}
          for sub in (7, "", " ", "x" * 192, "a\0b")),
        {"issuer": "https://elsewhere.example"},
        *({"lacking": (claim,)} for claim in ("exp", "iat", "sub", "iss", "aud")),
        {"headers": {"kid": "two"}},
        *({"answers": {at: answer}} for at, answer in (
            ("/jwks", (404, b"{}")), ("/jwks", (200, b"[]")), ("/jwks", (200, b"no JSON")),
            ("/jwks", (200, b'{"keys": []}')), ("/jwks", (200, b'{"keys": 7}')),
            ("/userinfo", (500, b'{"sub": "ada-1"}')), ("/userinfo", (201, b'{"sub": "ada-1"}')),
            ("/userinfo", (200, b"[]")), ("/userinfo", (200, b'{"sub": "ada-2"}')),
            ("/token", (200, b'{"access_token": "at"}')), ("/token", (200, b"[]")),
            ("/token", (200, b'["access_token"]')),
            ("/token", (200, b'{"access_token": "at", "id_token": 7}')),
            ("/token", (200, b'{"access_token": 7, "id_token": "x"}')),
            ("/token", (200, b'{"access_token": "at", "id_token": "x.y.z"}')),
            ("/token", (200, b"no JSON")), ("/token", (500, b"{}")),
        )),
    ],
)  # fmt: skip
def test_untrusted_claims_sign_no_one_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, lie: dict[str, Any]
) -> None:
    browser = Client()
    begun = browser.get(path(row))
    for name, value in lie.items():
        setattr(provider, name, value)
    answer = come_back(browser, provider, begun)
    assert answer.status_code == 403
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    "email",
    [
        "a\0@acme.example",
        f"{'a' * 250}@acme.example",
        "@acme.example",
        "a b@acme.example",
        7,
        ["x"],
    ],
    ids=lambda email: repr(email)[:20],
)
def test_impossible_address_signs_no_one_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, email: Any
) -> None:
    provider.claims |= {"email": email}
    answer = walk(Client(), provider, row)
    assert answer.status_code == 403
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("value", ["", 7, ["x"], {"a": 1}, "x" * 3000, "a\0b"], ids=repr)
def test_additional_provider_claims_may_be_anything(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, value: Any
) -> None:
    names = ("name", "given_name", "family_name", "nickname", "preferred_username", "picture")
    provider.claims |= dict.fromkeys(names, value)
    assert walk(Client(), provider, row).status_code == 302
    assert User.objects.filter(email="ada@acme.example").exists()


@pytest.mark.parametrize("token", [None, 7, ["x"]])
def test_a_provider_without_an_id_token_is_told_so(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, token: Any
) -> None:
    browser = Client()
    begun = browser.get(path(row))
    told = {"access_token": "at", "id_token": token}
    provider.answers["/token"] = (200, json.dumps(told).encode())
    answer = come_back(browser, provider, begun)
    assert "The provider gave no ID token." in answer.content.decode()


def configured(provider: IdentityProvider, **over: Any) -> None:
    """What the provider says of itself, but for these; None leaves a member out."""
    told = {**provider.configuration(), **over}
    body = json.dumps({name: value for name, value in told.items() if value is not None})
    provider.answers["/.well-known/openid-configuration"] = (200, body.encode())


@pytest.mark.parametrize(
    "over",
    [{name: value} for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "issuer")
     for value in (None, 7)],
    ids=str,
)  # fmt: skip
def test_a_provider_with_incomplete_configuration_is_not_used(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, over: dict[str, Any]
) -> None:
    configured(provider, **over)
    answer = Client().get(path(row))
    assert answer.status_code == 403
    named = next(iter(over))
    assert ("another issuer" if named == "issuer" else f"has no {named}") in answer.content.decode()


@pytest.mark.parametrize(("more", "status"), [(0, 302), (1, 403)])
def test_provider_metadata_may_have_a_mebibyte(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, more: int, status: int
) -> None:
    configured(provider)
    at = "/.well-known/openid-configuration"
    provider.answers[at] = (200, provider.answers[at][1].ljust(1024 * 1024 + more))
    assert Client().get(path(row)).status_code == status


@pytest.mark.parametrize("way", ["secret in a header", "no userinfo", "two keys", "no key id"])
def test_other_provider_configurations_sign_in_too(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, way: str
) -> None:
    if way == "secret in a header":
        provider.basic = True
    elif way == "no userinfo":
        configured(provider, userinfo_endpoint=None)
        provider.answers["/userinfo"] = (500, b"")
    elif way == "two keys":
        one = provider.jwks()["keys"][0]
        keys = [one | {"kid": "zero", "n": one["n"][::-1]}, one]
        provider.answers["/jwks"] = (200, json.dumps({"keys": keys}).encode())
    else:
        provider.headers = {}
    browser = Client()
    walk(browser, provider, row)
    assert is_in(browser)


def test_signed_claims_win_over_unsigned_ones(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    """The ID token has a signature, the userinfo has none."""
    provider.userinfo = ADA | {"email": "bob@acme.example", "groups": []}
    browser = Client()
    walk(browser, provider, row)
    assert is_in(browser)
    assert User.objects.filter(email="ada@acme.example").exists()


def test_unsolicited_answer_signs_no_one_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    browser = Client()
    answer = browser.get(f"{path(row)}/callback", {"code": "c", "state": "made-up"})
    assert answer.status_code == 403
    assert not is_in(browser)


def test_no_internal_address_is_asked(people: Cast, provider: IdentityProvider, settings: Any,
                                 row: SingleSignOn) -> None:  # fmt: skip
    """P13: only what an operator permits."""
    settings.SSO_EGRESS_ALLOW = []
    answer = Client().get(path(row))
    assert answer.status_code == 403
    assert "127.0.0.1" not in answer.content.decode()
    assert "No public https address answers" in answer.content.decode()
    assert answer["Cache-Control"] == "private, no-store"
    assert provider.told == []
    assert Client().get("/login/sso/nothing").status_code == 404


def test_a_link_chooses_no_parameters(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    query = "?process=connect&auth_params=redirect_uri%3Dhttps://evil.example&scope=evil"
    location = Client().get(path(row) + query)["Location"]
    assert "evil" not in location


# Connecting -------------------------------------------------------------------------------------


def test_an_account_is_connected_after_signing_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    provider.claims |= {"email": "bob@elsewhere.example"}
    browser = signed_in(people.bob)
    id = provider_id(row)
    page = browser.post(f"/account/security/sso/{id}").content.decode()
    assert "Continue to 127.0.0.1" in page
    answer = come_back(browser, provider, browser.get("/account/security/sso/start"))
    assert answer["Location"] == "/account/security"
    assert browser.get("/account/security/sso/start").status_code == 404, "once"
    assert SocialAccount.objects.get().user == people.bob
    assert AuditEvent.objects.get(action="single_sign_on.joined").actor_user_id == people.bob.pk
    other = Client()
    walk(other, provider, row)
    assert is_in(other)


def test_connection_by_a_domain_ends_with_what_permitted_it(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    walk(Client(), provider, row)
    ada = User.objects.get(email="ada@acme.example")
    confirmed_before = SingleSignOn.objects.filter(pk=row.pk).values("confirmed_domains")[0]
    for operator, over, words in (
        (True, confirmed_before, "does not open this account by its email address"),
        (False, {"confirmed_domains": []}, "An operator has not confirmed the domains"),
    ):
        User.objects.filter(pk=ada.pk).update(operator=operator)
        SingleSignOn.objects.filter(pk=row.pk).update(**over)
        answer = walk(Client(), provider, row)
        assert answer.status_code == 403
        assert words in answer.content.decode()


def test_person_sees_the_connected_accounts(people: Cast, row: SingleSignOn) -> None:
    """An account that came by a domain opens as long as the domain is confirmed."""

    def opens() -> list[bool]:
        return [opens for _, _, opens in single_sign_on.connections_of(people.bob)]

    assert opens() == [False]
    account = SocialAccount.objects.create(user=people.bob, provider=provider_id(row), uid="bob")
    assert opens() == [False]
    mark_own(account)
    assert opens() == [True]


def test_silent_provider_is_reported_to_who_connects_or_tests_it(
    people: Cast, row: SingleSignOn, settings: Any
) -> None:
    settings.SSO_EGRESS_ALLOW = []
    alice = signed_in(people.alice)
    alice.post(f"/account/security/sso/{provider_id(row)}")
    for page in ("/account/security/sso/start", "/o/acme/settings/sso/test"):
        answer = alice.get(page)
        assert answer.status_code == 403, page
        assert "No public https address answers" in answer.content.decode()


def test_no_link_connects_a_different_provider(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    id = provider_id(row)
    assert signed_in(people.bob).get("/account/security/sso/start").status_code == 404
    assert signed_in(people.bob).get(f"/account/security/sso/{id}").status_code == 405
    assert signed_in(people.charlie).post(f"/account/security/sso/{id}").status_code == 404


# Only by single sign-on -------------------------------------------------------------------------


def test_only_by_single_sign_on_never_locks_an_owner_out(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    change(row, required=True)
    assert is_in(signed_in(people.alice))
    answer = signed_in(people.bob).get("/o/acme/keys")
    assert answer["Location"] == f"{path(row)}?next=%2Fo%2Facme%2Fkeys"
    assert signed_in(people.bob).get("/api/v1/keys").status_code == 403
    browser = Client()
    walk(browser, provider, row)
    assert is_in(browser)


@pytest.mark.parametrize(
    ("role", "teams", "expected"),
    [
        ("viewer", ["core"], ("viewer", False)),
        ("viewer", [], ("viewer", True)),
        ("owner", ["core"], ("owner", True)),
        ("Auditor", ["core"], ("custom", False)),
        ("Auditor", [], ("custom", True)),
    ],
)
def test_a_group_gives_its_role_in_its_teams(
    people: Cast, provider: IdentityProvider, row: SingleSignOn, role: str, teams: list[str],
    expected: tuple[str, bool],
) -> None:  # fmt: skip
    """An owner is one of all teams."""
    custom = custom_roles.create_role(people.acme, "Auditor", ["audit.read"], actor=SYSTEM)
    change(row, group_rules=[{"group": "ml", "role": role, "teams": teams}])
    walk(Client(), provider, row)
    membership = Membership.objects.get(user__email="ada@acme.example")
    assert (membership.role, membership.all_teams) == expected
    assert membership.custom_role == (custom if role == "Auditor" else None)


def test_a_group_whose_team_is_gone_gives_no_team(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    """And not all of them."""
    teams.create_team(people.acme, "side", actor=SYSTEM)
    change(row, group_rules=[{"group": "ml", "role": "developer", "teams": ["side"]}])
    Team.objects.filter(slug="side").delete()
    walk(Client(), provider, row)
    membership = Membership.objects.get(user__email="ada@acme.example")
    assert (membership.all_teams, list(membership.teams.all())) == (False, [])


def test_groups_do_not_change_a_deactivated_person(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    walk(Client(), provider, row)
    ada = User.objects.get(email="ada@acme.example")
    members.set_active(ada, False, actor=SYSTEM)
    change(row, group_rules=[{"group": "ml", "role": "admin", "teams": []}])
    browser = Client()
    walk(browser, provider, row)
    assert not is_in(browser)
    assert Membership.objects.get(user=ada).role == "developer"


def test_groups_never_lower_an_owner(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    User.objects.filter(pk=people.alice.pk).update(email="ada@acme.example")
    browser = Client()
    walk(browser, provider, row)
    assert Membership.objects.get(user=people.alice).role == "owner"


def test_group_keeps_its_role_under_another_name(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    role = custom_roles.create_role(people.acme, "Finance", ["audit.read"], actor=SYSTEM)
    rule = {"group": "ml", "role": "Finance", "teams": ["core"]}
    change(row, group_rules=[rule, rule | {"role": "viewer"}], default_role="Finance")
    custom_roles.change_role(role, name="Money", permissions=["audit.read"], actor=SYSTEM)
    row.refresh_from_db()
    assert [rule["role"] for rule in row.group_rules] == ["Money", "viewer"]
    assert row.default_role == "Money"
    walk(Client(), provider, row)
    assert Membership.objects.get(user__email="ada@acme.example").custom_role == role


def test_role_that_a_group_gets_is_not_removed(people: Cast, row: SingleSignOn) -> None:
    role = custom_roles.create_role(people.acme, "Finance", ["audit.read"], actor=SYSTEM)
    rules = [{"group": "ml", "role": "Finance", "teams": []}]
    for named in ({"default_role": "Finance"}, {"default_role": "", "group_rules": rules}):
        change(row, **named)
        with pytest.raises(Refused, match="Single sign-on gives this role"):
            custom_roles.remove_role(role, actor=SYSTEM)
    change(row, group_rules=[])
    custom_roles.remove_role(role, actor=SYSTEM)


def test_role_that_does_not_exist_is_refused_and_shown(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    """An older installation may have removed it: nobody meets an error, and an owner sees it."""
    rules = [{"group": "ml", "role": "Gone", "teams": []}]
    SingleSignOn.objects.filter(pk=row.pk).update(group_rules=rules)
    refused = walk(Client(), provider, row)
    assert refused.status_code == 403
    assert "Your groups give no access here" in refused.content.decode()
    owner, page = signed_in(people.alice), "/o/acme/settings/sso"
    come_back(owner, provider, owner.get(f"{page}/test"))
    assert "There is no role named Gone." in owner.get(page).content.decode()


# Settings ---------------------------------------------------------------------------------------


def form(provider: IdentityProvider, **over: str) -> dict[str, str]:
    return {
        "issuer": provider.url,
        "client_id": CLIENT,
        "secret": SECRET,
        "domains": "acme.example",
        "group_claim": "groups",
        "group_rules": "ml = developer: core",
        **over,
    }


def test_an_owner_sets_it_up_and_tests_it(people: Cast, provider: IdentityProvider) -> None:
    browser = signed_in(people.alice)
    page = "/o/acme/settings/sso"
    assert browser.post(page, form(provider))["Location"] == page
    row = SingleSignOn.objects.get()
    assert row.group_rules == FIELDS["group_rules"]
    text = browser.get(page).content.decode()
    assert f"{path(row)}/callback" in text
    assert SECRET not in text
    answer = come_back(browser, provider, browser.get(f"{page}/test"))
    assert answer["Location"] == page
    page_text = browser.get(page).content.decode()
    assert "ada@acme.example" in page_text
    assert "These claims give the role Developer in core." in page_text
    assert "These claims" not in browser.get(page).content.decode()
    # A test signs nobody in and makes nobody.
    assert not SocialAccount.objects.exists()
    assert AuditEvent.objects.filter(action="single_sign_on.saved").count() == 1


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"group_rules": "ml developer"}, "Enter a group and a role in each row."),
        ({"group_rules": " = developer"}, "Enter a group and a role in each row."),
        ({"group_rules": "ml = "}, "Enter a group and a role in each row."),
        ({"group_rules": "ml = : core"}, "Enter a group and a role in each row."),
        (
            {"group_rules": "\n".join(f"g{n} = viewer" for n in range(51))},
            "You can list up to 50 entries.",
        ),
        ({"default_role": "king"}, "king"),
        ({"domains": "a" * 90}, f"{'a' * 80} is not a domain"),
        ({"group_rules": "ml = king"}, "There is no role named king."),
        ({"group_rules": "ml = viewer: moon"}, "There is no team named moon."),
        ({"domains": "acme"}, "acme is not a domain"),
        (
            {"domains": " ".join(f"d{n}.example" for n in range(21))},
            "You can list up to 20 entries.",
        ),
        ({"secret": ""}, "Enter the client secret again."),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    people: Cast, provider: IdentityProvider, over: dict[str, str], words: str
) -> None:
    answer = signed_in(people.alice).post("/o/acme/settings/sso", form(provider, **over))
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_maximum_domains_and_rules_are_accepted(people: Cast, provider: IdentityProvider) -> None:
    full = form(
        provider,
        # Commas, lines and capitals make no difference, and one that is listed twice counts once.
        domains=", ".join(f"D{n}.example" for n in range(20)) + "\nd7.example",
        group_rules="\n".join(f"g{n} = viewer" for n in range(50)),
    )
    assert signed_in(people.alice).post("/o/acme/settings/sso", full).status_code == 303
    row = SingleSignOn.objects.get()
    assert row.domains == [f"d{n}.example" for n in range(20)]
    assert len(row.group_rules) == 50


def test_only_listed_domains_are_confirmed_and_audited_once(
    people: Cast, row: SingleSignOn
) -> None:
    dora, ids = actor(people.dora), [people.acme.id]
    waiting = single_sign_on.organisations_with_unconfirmed_domains
    done = single_sign_on.organisations_with_confirmed_domains
    assert (waiting(ids), done(ids)) == (set(), {people.acme.id})
    change_by_owner(people, row, domains=["acme.example", "acme.test"])
    assert (waiting(ids), done(ids)) == ({people.acme.id}, {people.acme.id})
    change(row, domains=["acme.example"])
    single_sign_on.unconfirm_domains(dora, row)
    assert (waiting(ids), done(ids)) == ({people.acme.id}, set())
    row.refresh_from_db()
    seen = single_sign_on.facts_of(row)
    for _ in range(2):
        assert confirmed_domains(single_sign_on.confirm_domains(dora, row, seen=seen))
    assert AuditEvent.objects.filter(action="single_sign_on.confirmed").count() == 1
    for _ in range(2):
        single_sign_on.unconfirm_domains(dora, row)
    # Once by the operator above, once here.
    assert AuditEvent.objects.filter(action="single_sign_on.unconfirmed").count() == 2
    change(row, domains=[])
    row.refresh_from_db()
    with pytest.raises(Refused, match="Check them again"):
        single_sign_on.confirm_domains(dora, row, seen=single_sign_on.facts_of(row))


@pytest.mark.parametrize("column", ["issuer", "client_id"])
def test_another_provider_ends_every_connection(
    people: Cast, row: SingleSignOn, column: str
) -> None:
    """P12: it may say of anybody that they are somebody who was connected before."""
    for user in (people.bob, people.alice):
        SocialAccount.objects.create(user=user, provider=provider_id(row), uid=f"of {user.pk}")
    other = SocialAccount.objects.create(user=people.bob, provider="another", uid="1")
    change(row, secret=SECRET, **{column: "https://elsewhere.example"})
    assert list(SocialAccount.objects.all()) == [other]


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"default_role": "king"}, "default_role"),
        ({"default_role": "custom"}, "default_role"),
        ({"domains": ["acme.example", "acme"]}, "domains"),
        ({"group_rules": [{"group": "g", "role": "king", "teams": []}]}, "group_rules"),
        ({"group_rules": [{"group": "g", "role": "viewer", "teams": ["moon"]}]}, "group_rules"),
        ({"client_id": "another"}, "secret"),
    ],
)
def test_invalid_configuration_cannot_be_saved(
    people: Cast, row: SingleSignOn, over: dict[str, Any], field: str
) -> None:
    """Whoever calls: a file of configuration has no form."""
    before = single_sign_on.describe_settings(row)
    with pytest.raises(Refused) as refused:
        change(row, **over)
    assert refused.value.field == field
    row.refresh_from_db()
    assert single_sign_on.describe_settings(row) == before
    change(row, default_role="viewer")


def test_another_issuer_drops_the_stored_secret(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    with pytest.raises(Refused, match="client secret again"):
        change(row, issuer="https://elsewhere.example")


def test_only_owners_decide_how_members_sign_in(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    """P23: who may change every other setting would else sign in as an owner."""
    browser, before = signed_in(settings_manager(people)), single_sign_on.describe_settings(row)
    assert browser.get("/o/acme/settings").status_code == 200
    page = "/o/acme/settings/sso"
    assert browser.get(page).status_code == 403
    for path in (page, f"{page}/remove"):
        assert browser.post(path, form(provider, required="")).status_code == 403
    row.refresh_from_db()
    assert single_sign_on.describe_settings(row) == before


def test_stale_sign_in_is_confirmed_first(people: Cast, row: SingleSignOn) -> None:
    browser, page = signed_in(people.alice), "/o/acme/settings/sso"
    confirmed(browser, people.alice, clock.now() - dt.timedelta(hours=2))
    answer = browser.get(page)
    assert (answer.status_code, answer["Location"]) == (
        302,
        f"/account/confirm?next={quote(page, safe='')}",
    )


def settings_manager(people: Cast) -> User:
    """One whom a custom role lets do all that a custom role can."""
    role = custom_roles.create_role(people.acme, "Settings", PERMISSIONS, actor=SYSTEM)
    user = person("max")
    members.set_member(people.acme, user.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    return user


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_only_owners_see_it(people: Cast, name: str, row: SingleSignOn) -> None:
    status = signed_in(getattr(people, name)).get("/o/acme/settings/sso").status_code
    assert status == {"bob": 403, "charlie": 404}[name]


def test_secret_is_sealed_and_never_shown(people: Cast, row: SingleSignOn) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(sealed, 'escape') FROM accounts_singlesignon")
        assert SECRET not in str(cursor.fetchall())
    events = list(AuditEvent.objects.values_list("detail", flat=True))
    assert SECRET not in json.dumps(events)


def test_removing_it_takes_every_connection_away(
    people: Cast, provider: IdentityProvider, row: SingleSignOn
) -> None:
    walk(Client(), provider, row)
    browser = signed_in(people.alice)
    assert browser.post("/o/acme/settings/sso/remove").status_code == 303
    assert not SingleSignOn.objects.exists()
    assert AuditEvent.objects.filter(action="single_sign_on.removed").exists()
    assert not SocialAccount.objects.exists()
    assert Client().get(path(row)).status_code == 404
    assert Team.objects.filter(organisation=people.acme).exists()


def test_the_domain_of_an_address_leads_to_its_provider(people: Cast, row: SingleSignOn) -> None:
    page = Client().get("/login/sso", {"email": "eve@acme.example"}).content.decode()
    assert f'href="{path(row)}"' in page
    assert "Continue to 127.0.0.1" in page
    back = {"email": "eve@acme.example", "next": "/o/acme/keys"}
    page = Client().get("/login/sso", back).content.decode()
    assert f'href="{path(row)}?next=%2Fo%2Facme%2Fkeys"' in page
    other = Client().get("/login/sso", {"email": "eve@example.org"}).content.decode()
    assert "No organisation uses single sign-on for this domain." in other
