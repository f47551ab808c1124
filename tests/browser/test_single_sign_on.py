"""Single sign-on, walked against an identity provider that others wrote (W02, W57)."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.organisations import organisations, teams
from accounts.sign_in import sign_in
from accounts.sign_on_connections.connections import provider_id
from accounts.single_sign_on import single_sign_on
from tests.browser.identity_provider import CLIENT, SECRET, RealProvider, real_provider
from tests.browser.visitor import findings, too_wide
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.hub import SOON, Hub
from tests.support.ports import free_port

pytestmark = pytest.mark.browser


def set_up(issuer: str) -> tuple[str, str]:
    """Beside the hub: the organisation with the provider; the provider's id, its owner's link."""
    alice = members.add_person("alice@acme.example", actor=SYSTEM)
    acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
    teams.create_team(acme, "Research", actor=SYSTEM)
    row = single_sign_on.save_single_sign_on(
        SYSTEM, acme, secret=SECRET, issuer=issuer, client_id=CLIENT,
        domains=["acme.example"], group_claim="groups", default_role="", required=False,
        group_rules=[{"group": "ml", "role": "developer", "teams": ["research"]}],
    )  # fmt: skip
    return provider_id(row), sign_in.make_sign_in_link(alice)


@dataclass
class Walk:
    """A hub whose organisation has the provider; `path` is where signing in by it begins."""

    hub: Hub
    provider: RealProvider
    path: str
    owner_link: str

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return self.hub.rows(query, *parameters)


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    with ExitStack() as until:
        provider = until.enter_context(real_provider())
        dsn = until.enter_context(own_database("hub_single_sign_on"))
        port = free_port()
        environment = {
            "PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SSO_EGRESS_ALLOW": "127.0.0.1/32",
        }
        hub = Hub(dsn, environment, port=port, application=SOON)
        until.callback(hub.close)
        hub.start()
        beside = Beside({**os.environ, **hub.environment, "DATABASE_URL": dsn})
        until.callback(beside.close)
        id, link = beside.call(set_up, provider.url)
        provider.serve(f"{hub.url}/login/sso/{id}/callback")
        yield Walk(hub, provider, f"/login/sso/{id}", link)


@pytest.fixture
def page(walk: Walk, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        base_url=walk.hub.url, viewport={"width": 360, "height": 740}, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def person(walk: Walk) -> Iterator[httpx.Client]:
    """Somebody whose browser nobody looks at: these pages and forms are plain ones."""
    with httpx.Client(base_url=walk.hub.url, follow_redirects=True, timeout=60) as person:
        yield person


def send(person: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Send the form that the page is for; its hidden fields come along."""
    main = page.text.partition("<main")[2] or page.text
    action = re.search(r'<form[^>]* action="([^"]+)"', main)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', main)
    url = urljoin(str(page.url), unescape(action[1]) if action else "")
    return person.post(url, data={**dict(hidden), **fields})


def consent_asked(person: httpx.Client, walk: Walk, name: str) -> httpx.Response:
    """The provider's second page, which asks whether it may tell us."""
    return send(person, person.get(walk.path), login=name, password="any")


def begin(person: httpx.Client, walk: Walk, name: str) -> httpx.Response:
    """Sign in at the provider, and let it tell us."""
    return send(person, consent_asked(person, walk, name))


def held_back(person: httpx.Client, walk: Walk, name: str) -> dict[str, str]:
    """The code and state with which the provider leads back, before they come to us."""
    asked = consent_asked(person, walk, name)
    person.follow_redirects = False
    answer = send(person, asked)
    while walk.path not in (location := answer.headers["location"]):
        answer = person.get(location)
    person.follow_redirects = True
    query = parse_qs(urlsplit(location).query)
    return {parameter: values[0] for parameter, values in query.items()}


def come_back(person: httpx.Client, walk: Walk, query: dict[str, str]) -> httpx.Response:
    return person.get(f"{walk.path}/callback", params=query)


def is_in(person: httpx.Client) -> bool:
    return person.get("/o/acme/").url.path == "/o/acme/"


def refused(person: httpx.Client, page: httpx.Response, words: str) -> None:
    """In plain words; nobody is in."""
    assert words in unescape(page.text)
    assert person.get("/o/acme/").url.path == "/login"


def ada(walk: Walk, id: str = "ada", **over: Any) -> None:
    claims = {"email": f"{id}@acme.example", "email_verified": True, "groups": ["ml"]}
    walk.provider.know(id, **(claims | over))


def test_a_group_gives_a_role_and_teams(walk: Walk, page: Page) -> None:
    ada(walk)
    page.goto("/login")
    page.get_by_role("link", name="Single sign-on").click()
    page.get_by_label("Email").fill("ada@acme.example")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Continue to 127.0.0.1").click()
    page.locator("input[name=login]").fill("ada")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/o/acme/")
    (row,) = walk.rows(
        "SELECT m.role, m.all_teams, array_agg(t.slug) AS teams FROM accounts_membership m "
        "JOIN accounts_user u ON u.id = m.user_id "
        "JOIN accounts_membership_teams mt ON mt.membership_id = m.id "
        "JOIN accounts_team t ON t.id = mt.team_id WHERE u.email = %s GROUP BY m.id",
        "ada@acme.example",
    )
    assert row == {"role": "developer", "all_teams": False, "teams": ["research"]}


def test_rejected_person_reads_the_reason(walk: Walk, page: Page) -> None:
    ada(walk, "far", email="x@elsewhere.example")
    page.goto(walk.path)
    page.locator("input[name=login]").fill("far")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("main")).to_contain_text("not at a domain of this organisation")
    assert findings(page) == []
    assert too_wide(page) == ""


@pytest.mark.slow
def test_the_owner_sees_the_claims_of_a_test(walk: Walk, person: httpx.Client) -> None:
    ada(walk, "tess")
    send(person, person.get(walk.owner_link))
    settings = person.get("/o/acme/settings/sso")
    test = re.search(r'href="([^"]+)"[^>]*>\s*Test sign-in\s*<', settings.text)
    assert test, settings.text
    asked = send(person, person.get(unescape(test[1])), login="tess", password="any")
    response = send(person, asked)
    assert response.url.path == "/o/acme/settings/sso"
    assert "tess@acme.example" in response.text
    assert "the role Developer in research" in response.text
    assert walk.rows("SELECT id FROM accounts_user WHERE email = 'tess@acme.example'") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email_verified": False}, "has not verified your email address"),
        ({"email": "x@elsewhere.example"}, "not at a domain of this organisation"),
        ({"groups": ["cooks"]}, "Your groups give no access here."),
    ],
)
def test_invalid_claims_admit_no_one(
    walk: Walk, person: httpx.Client, claims: dict[str, Any], words: str
) -> None:
    id = f"who-{next(iter(claims)).replace('_', '-')}"
    ada(walk, id, **claims)
    refused(person, begin(person, walk, id), words)
    email = claims.get("email", f"{id}@acme.example")
    assert walk.rows("SELECT id FROM accounts_user WHERE email = %s", email) == []


NOT_IN = "Single sign-on failed."


@pytest.mark.slow
def test_wrong_code_admits_no_one(walk: Walk, person: httpx.Client) -> None:
    ada(walk)
    query = held_back(person, walk, "ada") | {"code": "made-up"}
    refused(person, come_back(person, walk, query), NOT_IN)


@pytest.mark.slow
def test_replayed_state_admits_no_one(walk: Walk, person: httpx.Client) -> None:
    ada(walk)
    query = held_back(person, walk, "ada")
    # Elsewhere than where it was begun: the state is of another session.
    with httpx.Client(base_url=walk.hub.url, follow_redirects=True, timeout=60) as other:
        refused(other, come_back(other, walk, query), NOT_IN)
    # And a second time where it was.
    come_back(person, walk, query)
    assert is_in(person)
    send(person, person.get("/logout"))
    assert not is_in(person)
    refused(person, come_back(person, walk, query), NOT_IN)


@pytest.mark.slow
def test_replayed_code_admits_no_one(walk: Walk, person: httpx.Client) -> None:
    ada(walk)
    used = held_back(person, walk, "ada")
    come_back(person, walk, used)
    assert is_in(person)
    with httpx.Client(base_url=walk.hub.url, follow_redirects=True, timeout=60) as thief:
        fresh = held_back(thief, walk, "ada")
        refused(thief, come_back(thief, walk, fresh | {"code": used["code"]}), NOT_IN)


@pytest.mark.slow
def test_expired_code_admits_no_one(walk: Walk, person: httpx.Client) -> None:
    ada(walk)
    query = held_back(person, walk, "ada")
    walk.provider.go_ahead(3600)
    try:
        refused(person, come_back(person, walk, query), NOT_IN)
    finally:
        walk.provider.go_ahead(0)
