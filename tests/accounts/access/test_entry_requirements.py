"""What an organisation asks of its members' sessions: a second factor."""

import pytest
from django.test import Client

from accounts.models import KeyKind
from accounts.organisations import organisations
from tests.accounts.factors import with_app
from tests.support.cast import Cast, actor, make_key, signed_in, with_key


@pytest.fixture
def forced(people: Cast) -> Cast:
    owner = actor(people.alice, people.acme)
    organisations.force_second_factor(people.acme, ["developer"], actor=owner)
    return people


@pytest.mark.parametrize("path", ["/o/acme/", "/o/acme/keys", "/o/acme/playground"])
def test_person_lacking_a_factor_is_led_to_set_one_up(forced: Cast, path: str) -> None:
    browser = signed_in(forced.bob)
    answer = browser.get(path)
    assert (answer.status_code, answer["Location"]) == (303, "/account/security")
    page = browser.get("/account/security").content.decode()
    assert "Acme requires two-factor authentication." in page


def test_fragment_redirects_the_whole_page(forced: Cast) -> None:
    answer = signed_in(forced.bob).get("/o/acme/keys", headers={"hx-request": "true"})
    assert answer["HX-Redirect"] == "/account/security"


def test_api_reports_it_to_a_session(forced: Cast) -> None:
    answer = signed_in(forced.bob).get("/api/v1/keys")
    assert answer.status_code == 403
    assert "requires two-factor authentication" in answer.json()["error"]["message"]


def test_keys_keep_working(forced: Cast) -> None:
    _, text = make_key(forced.core, user=forced.bob, kind=KeyKind.MANAGEMENT)
    assert with_key(text).get("/api/v1/keys").status_code == 200


def test_a_factor_opens_the_organisation(forced: Cast) -> None:
    owner = with_app(forced.bob)
    assert owner.browser.get("/o/acme/keys").status_code == 200
    owner.browser.post("/account/security/app/remove")
    assert owner.browser.get("/o/acme/keys").status_code == 303


def test_other_roles_and_organisations_are_not_asked(forced: Cast) -> None:
    def status(browser: Client, path: str) -> int:
        return browser.get(path).status_code

    assert status(signed_in(forced.alice), "/o/acme/keys") == 200
    assert status(signed_in(forced.charlie), "/o/stranger/keys") == 200
    assert status(signed_in(forced.dora), "/o/acme/keys") == 200


def test_foreign_organisation_still_looks_missing(forced: Cast) -> None:
    assert signed_in(forced.charlie).get("/o/acme/keys").status_code == 404
