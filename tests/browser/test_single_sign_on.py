"""Single sign-on, walked in a browser against an identity provider that others wrote (W02, W57)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from stack.checks import free_port
from tests.browser.identity_provider import CLIENT, SECRET, RealProvider, real_provider
from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.databases import own_database
from tests.hub import ROOT, SOON, Hub

pytestmark = pytest.mark.browser

_SET_UP = """
import json
from accounts import members, organisations, signin, single_sign_on, teams
from accounts.actors import SYSTEM
alice = members.add_person("alice@acme.example", actor=SYSTEM)
acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
teams.create_team(acme, "Research", actor=SYSTEM)
row = single_sign_on.save_single_sign_on(
    SYSTEM, acme, secret="{secret}", issuer="{issuer}", client_id="{client}",
    domains=["acme.example"], group_claim="groups", default_role="", required=False,
    group_rules=[{{"group": "ml", "role": "developer", "teams": ["research"]}}],
)
print(json.dumps([single_sign_on.provider_id(row), signin.make_sign_in_link(alice)]))
"""


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
        script = _SET_UP.format(secret=SECRET, issuer=provider.url, client=CLIENT)
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
            cwd=ROOT, env={**os.environ, **hub.environment, "DATABASE_URL": dsn},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        id, link = json.loads(done.stdout.splitlines()[-1])
        provider.serve(f"{hub.url}/login/sso/{id}/callback")
        yield Walk(hub, provider, f"/login/sso/{id}", link)


@pytest.fixture
def page(walk: Walk, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        base_url=walk.hub.url, viewport={"width": 360, "height": 740}, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


def sign_in_at_provider(page: Page, name: str) -> None:
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()


def consent(page: Page, name: str) -> None:
    """Sign in at the provider, and let it tell us."""
    sign_in_at_provider(page, name)
    page.get_by_role("button", name="Continue").click()


def begin(page: Page, walk: Walk, name: str) -> None:
    page.goto(walk.path)
    consent(page, name)


def held_back(page: Page, walk: Walk, name: str) -> dict[str, str]:
    """The code and state with which the provider leads back, before they come to us.

    The consent is given with the browser's cookies, beside its page: a page's routes see no
    request that a redirect leads to.
    """
    page.goto(walk.path)
    sign_in_at_provider(page, name)
    page.get_by_role("button", name="Continue").wait_for()
    client = page.context.request
    action = page.locator("form").get_attribute("action") or ""
    answer = client.post(action, form={"prompt": "consent"}, max_redirects=0)
    while walk.path not in (location := answer.headers["location"]):
        answer = client.get(location, max_redirects=0)
    query = parse_qs(urlsplit(location).query)
    return {parameter: values[0] for parameter, values in query.items()}


def come_back(page: Page, walk: Walk, query: dict[str, str]) -> None:
    page.goto(f"{walk.path}/callback?{urlencode(query)}")


def refused(page: Page, walk: Walk, words: str) -> None:
    """In plain words, on a page that reads well; nobody is in."""
    expect(page.locator("main")).to_contain_text(words)
    assert findings_in_both_themes(page) == []
    assert too_wide(page) == ""
    page.goto("/o/acme/")
    page.wait_for_url("**/login?**")


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
    consent(page, "ada")
    page.wait_for_url("**/o/acme/")
    (row,) = walk.rows(
        "SELECT m.role, m.all_teams, array_agg(t.slug) AS teams FROM accounts_membership m "
        "JOIN accounts_user u ON u.id = m.user_id "
        "JOIN accounts_membership_teams mt ON mt.membership_id = m.id "
        "JOIN accounts_team t ON t.id = mt.team_id WHERE u.email = %s GROUP BY m.id",
        "ada@acme.example",
    )
    assert row == {"role": "developer", "all_teams": False, "teams": ["research"]}


def test_the_owner_sees_the_claims_of_a_test(walk: Walk, page: Page) -> None:
    ada(walk, "tess")
    page.goto(walk.owner_link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/o/acme/")
    page.goto("/o/acme/settings/sso")
    page.get_by_role("link", name="Test").click()
    consent(page, "tess")
    page.wait_for_url("**/settings/sso")
    expect(page.locator("main")).to_contain_text("tess@acme.example")
    expect(page.locator("main")).to_contain_text("the role Developer in research")
    assert findings_in_both_themes(page) == []
    assert too_wide(page) == ""
    assert walk.rows("SELECT id FROM accounts_user WHERE email = 'tess@acme.example'") == []


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email_verified": False}, "has not verified your email address"),
        ({"email": "x@elsewhere.example"}, "not at a domain of this organisation"),
        ({"groups": ["cooks"]}, "Your groups give no access here."),
    ],
)
def test_claims_that_let_nobody_in(
    walk: Walk, page: Page, claims: dict[str, Any], words: str
) -> None:
    id = f"who-{next(iter(claims)).replace('_', '-')}"
    ada(walk, id, **claims)
    begin(page, walk, id)
    refused(page, walk, words)
    email = claims.get("email", f"{id}@acme.example")
    assert walk.rows("SELECT id FROM accounts_user WHERE email = %s", email) == []


NOT_IN = "Single sign-on failed."


def test_a_wrong_code_lets_nobody_in(walk: Walk, page: Page) -> None:
    ada(walk)
    come_back(page, walk, held_back(page, walk, "ada") | {"code": "made-up"})
    refused(page, walk, NOT_IN)


def test_a_replayed_state_lets_nobody_in(walk: Walk, page: Page, browser: Browser) -> None:
    ada(walk)
    query = held_back(page, walk, "ada")
    # Elsewhere than where it was begun: the state is of another session.
    other = browser.new_context(base_url=walk.hub.url, reduced_motion="reduce").new_page()
    come_back(other, walk, query)
    refused(other, walk, NOT_IN)
    other.context.close()
    # And a second time where it was.
    come_back(page, walk, query)
    page.wait_for_url("**/o/acme/")
    page.goto("/logout")
    page.locator("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    come_back(page, walk, query)
    refused(page, walk, NOT_IN)


def test_a_replayed_code_lets_nobody_in(walk: Walk, page: Page, browser: Browser) -> None:
    ada(walk)
    used = held_back(page, walk, "ada")
    come_back(page, walk, used)
    page.wait_for_url("**/o/acme/")
    thief = browser.new_context(base_url=walk.hub.url, reduced_motion="reduce").new_page()
    fresh = held_back(thief, walk, "ada")
    come_back(thief, walk, fresh | {"code": used["code"]})
    refused(thief, walk, NOT_IN)
    thief.context.close()


def test_an_expired_code_lets_nobody_in(walk: Walk, page: Page) -> None:
    ada(walk)
    query = held_back(page, walk, "ada")
    walk.provider.go_ahead(3600)
    try:
        come_back(page, walk, query)
        refused(page, walk, NOT_IN)
    finally:
        walk.provider.go_ahead(0)
