import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, Role, User
from tests.support.cast import BUILT_IN, Cast, member, person, signed_in
from tests.support.markup import squeezed


def test_the_root_leads_home(people: Cast, client: Client) -> None:
    assert client.get("/")["Location"] == "/login"
    alice = signed_in(people.alice)
    assert alice.get("/")["Location"] == "/o/acme/"
    Membership.objects.create(user=people.alice, organisation=people.stranger, role=Role.VIEWER)
    alice.get("/o/stranger/")
    assert alice.get("/")["Location"] == "/o/stranger/"


def test_the_root_of_somebody_without_an_organisation(db: None) -> None:
    assert "not a member of any organisation" in signed_in(person("zoe")).get("/").content.decode()
    assert signed_in(person("dora", operator=True)).get("/").status_code == 302


# None: an operator who is no member.
ROLES = [*BUILT_IN, None]


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_every_shell_link_opens_for_its_audience(people: Cast, role: Role | None) -> None:
    """Home of each role, and of an operator who is no member."""
    user = people.dora if role is None else member(people.acme, "vic", role)
    visitor = signed_in(user)
    page = squeezed(visitor.get("/o/acme/").content.decode())
    shell = page[: page.index("<main")] + page[page.index("</main>") :]
    links = set(re.findall(r'<a [^>]*href="(/(?:o|admin)/[^"]*)"', shell))
    assert len(links) > 4
    for link in links:
        answer = visitor.get(link)
        assert answer.status_code == 200, link
        # The page that is open is the one that the shell marks.
        assert f'href="{link}" aria-current="page"' in squeezed(answer.content.decode())


def test_the_switcher_lists_ones_own_organisations(people: Cast) -> None:
    page = signed_in(people.alice).get("/o/acme/").content.decode()
    assert "/o/acme/" in page
    assert "Stranger" not in page


def test_theme_and_language_are_kept(people: Cast) -> None:
    bob = signed_in(people.bob)
    response = bob.post("/appearance", {"theme": "dark", "next": "/o/acme/keys?q=1"})
    assert (response.status_code, response["Location"]) == (303, "/o/acme/keys?q=1")
    assert 'data-theme="dark"' in bob.get("/o/acme/").content.decode()
    bob.post("/appearance", {"language": "zh-hans"})
    assert 'lang="zh-hans"' in bob.get("/o/acme/").content.decode()
    kept = User.objects.get(id=people.bob.id)
    assert (kept.theme, kept.language) == ("dark", "zh-hans")


def test_signed_out_visitor_chooses_too(db: None, client: Client) -> None:
    response = client.post("/appearance", {"theme": "light"}, headers={"hx-request": "true"})
    assert response.status_code == 204
    assert 'data-theme="light"' in client.get("/login").content.decode()
    assert client.get("/appearance").status_code == 405


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", ""])
def test_choice_redirects_nowhere_else(db: None, client: Client, back: str) -> None:
    assert client.post("/appearance", {"theme": "dark", "next": back})["Location"] == "/"


@pytest.mark.parametrize("path", ["/design/", "/design/chat"])
def test_the_component_pages_are_for_operators(people: Cast, path: str) -> None:
    assert signed_in(people.dora).get(path).status_code == 200
    assert signed_in(people.alice).get(path).status_code == 404


def test_missing_page_has_the_request_id_and_is_not_cached(client: Client) -> None:
    response = client.get("/nothing/here")
    assert response.status_code == 404
    assert response["x-request-id"] in response.content.decode()
    assert response["Cache-Control"] == "private, no-store"


def test_a_missing_operation_answers_as_the_api_does(client: Client) -> None:
    response = client.get("/api/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_url"
    assert response.json()["request_id"] == response["x-request-id"]


@pytest.mark.parametrize("path", ["/o/acme/", "/api/v1/keys"])
def test_failure_shows_only_the_request_id(
    people: Cast, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def broken(actor: Any) -> Any:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("accounts.access.access.visible_keys", broken)
    browser = signed_in(people.alice)
    browser.raise_request_exception = False
    response = browser.get(path)
    assert response.status_code == 500
    assert "a secret detail" not in response.content.decode()
    assert response["x-request-id"] in response.content.decode()
