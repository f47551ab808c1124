import datetime as dt
import html
import re
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.models import AuditEvent, Key, KeyKind, Role
from accounts.sign_in import sign_in
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import PASSWORD, Cast, make_key, member, signed_in

KEYS = "/o/acme/keys"
NEW = "/o/acme/keys/new"


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_people_who_see_the_keys(people: Cast, client: Client) -> None:
    make_key(people.core, "bobs", user=people.bob)
    make_key(people.core, "alices", user=people.alice)
    alice, bob = signed_in(people.alice).get(KEYS), signed_in(people.bob).get(KEYS)
    assert "bobs" in text_of(alice)
    assert "alices" in text_of(alice)
    assert "bobs" in text_of(bob)
    assert "alices" not in text_of(bob)
    assert signed_in(people.charlie).get(KEYS).status_code == 404
    assert "bobs" in text_of(signed_in(people.dora).get(KEYS))
    away = client.get(KEYS)
    assert (away.status_code, away["Location"]) == (302, "/login?next=/o/acme/keys")


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://testserver/o/acme/keys?q=ci", "%2Fo%2Facme%2Fkeys%3Fq%3Dci"),
        ("http://elsewhere/o/acme/keys", "%2F"),
        ("http://[", "%2F"),
    ],
)
def test_a_fragment_of_a_signed_out_page_leads_back_to_the_page(
    people: Cast, page: str, back: str
) -> None:
    browser = Client(headers={"hx-request": "true", "hx-current-url": page})
    response = browser.get(NEW)
    assert response.status_code == 401
    assert response["HX-Redirect"] == f"/login?next={back}"


def test_tenant_pages_are_not_cached(people: Cast) -> None:
    response = signed_in(people.alice).get(KEYS)
    assert response["Cache-Control"] == "private, no-store"
    assert {"HX-Request", "Cookie"} <= set(re.split(r",\s*", response["Vary"]))


def test_billing_reads_the_list_and_may_not_write(people: Cast) -> None:
    key, _ = make_key(people.core, "ci")
    fay = signed_in(member(people.acme, "fay", Role.BILLING))
    assert "ci" in text_of(fay.get(KEYS))
    assert "keys/new" not in text_of(fay.get(KEYS))
    refused = fay.post(NEW, {"name": "more", "kind": "relay"})
    assert refused.status_code == 403
    assert "developer" in text_of(refused)
    assert fay.post(f"{KEYS}/{id_text(key.id)}/revoke", {"confirm": "ci"}).status_code == 403
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_new_key_of_the_shortest_lifetime_does_not_expire_soon(people: Cast) -> None:
    bob = signed_in(people.bob)
    bob.post(NEW, {"name": "short", "kind": "relay", "lifetime": "7"})
    assert "Expires soon" not in text_of(bob.get(KEYS))
    Key.objects.filter(name="short").update(expires_at=clock.now() + dt.timedelta(days=2))
    assert "Expires soon" in text_of(bob.get(KEYS))


@pytest.mark.parametrize("hidden", [True, False])
def test_the_secret_is_shown_once(people: Cast, hidden: bool) -> None:
    browser = signed_in(people.bob)
    response = browser.post(
        NEW,
        {"name": "web-prod", "kind": "relay", "models": "gpt-*, o*\ngpt-*", "lifetime": "30"},
        headers={"hx-request": "true"} if hidden else {},
    )
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    match = re.search(r"sk-weir-[0-9A-Za-z]{38}", text_of(response))
    assert match is not None
    key = Key.objects.get(name="web-prod")
    assert keys.digest_of(match.group()) == bytes(key.digest)
    assert (key.user, key.created_by, key.model_patterns) == (
        people.bob,
        people.bob,
        ["gpt-*", "o*"],
    )
    assert key.expires_at is not None
    assert abs(key.expires_at - clock.now() - dt.timedelta(days=30)) < dt.timedelta(minutes=1)
    for path in (KEYS, f"{KEYS}?state=all", "/o/acme/", f"{KEYS}/{id_text(key.id)}/revoke"):
        assert match.group() not in text_of(browser.get(path))
    assert match.group() not in str(list(AuditEvent.objects.values()))
    again = browser.post(NEW, {"name": "web-prod", "kind": "relay"})
    assert again.status_code == 422
    assert "Another key is already named web-prod." in text_of(again)


def test_a_management_key_is_made_for_oneself(people: Cast) -> None:
    signed_in(people.bob).post(NEW, {"name": "tool", "kind": "management"})
    key = Key.objects.get(name="tool")
    assert (key.kind, key.user) == (KeyKind.MANAGEMENT, people.bob)


def test_strangers_make_no_keys(people: Cast) -> None:
    assert signed_in(people.charlie).post(NEW, {"name": "x", "kind": "relay"}).status_code == 404
    assert signed_in(people.dora).post(NEW, {"name": "x", "kind": "relay"}).status_code == 403
    assert not Key.objects.filter(name="x").exists()


def test_a_form_without_the_csrf_text_is_refused_plainly(people: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.bob, backend="django.contrib.auth.backends.ModelBackend")
    response = browser.post(NEW, {"name": "x", "kind": "relay"})
    assert response.status_code == 403
    assert "out of date" in text_of(response)
    assert not Key.objects.filter(name="x").exists()


def test_revoking_needs_the_name(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    url = f"{KEYS}/{id_text(key.id)}/revoke"
    browser = signed_in(people.bob)
    assert "ci" in text_of(browser.get(url))
    wrong = browser.post(url, {"confirm": "co"}, headers={"hx-request": "true"})
    assert (wrong.status_code, wrong["HX-Retarget"]) == (422, "#dialog")
    key.refresh_from_db()
    assert key.revoked_at is None
    right = browser.post(url, {"confirm": "ci"})
    assert (right.status_code, right["Location"]) == (303, KEYS)
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_key_is_disabled_and_enabled_immediately(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    page, browser = f"{KEYS}/{id_text(key.id)}", signed_in(people.bob)
    assert f'action="{page}/disable"' in browser.get(KEYS).content.decode()
    answer = browser.post(f"{page}/disable", headers={"hx-request": "true"})
    assert (answer.status_code, f'"post": "{page}/enable"' in answer["HX-Trigger"]) == (204, True)
    key.refresh_from_db()
    assert key.disabled
    assert f'action="{page}/enable"' in browser.get(KEYS).content.decode()
    plain = browser.post(f"{page}/enable", {"next": f"{KEYS}?state=all"})
    assert (plain.status_code, plain["Location"]) == (303, f"{KEYS}?state=all")
    key.refresh_from_db()
    assert not key.disabled
    Key.objects.filter(id=key.id).update(revoked_at=clock.now())
    assert browser.post(f"{page}/disable").status_code in (303, 404)
    assert signed_in(people.charlie).post(f"{page}/disable").status_code == 404


@pytest.mark.parametrize("hidden", [True, False])
def test_rotating_shows_the_new_secret_once(people: Cast, hidden: bool) -> None:
    key, old = make_key(people.core, "ci", user=people.bob)
    url, browser = f"{KEYS}/{id_text(key.id)}/rotate", signed_in(people.bob)
    assert "Rotate ci" in text_of(browser.get(url))
    headers = {"hx-request": "true"} if hidden else {}
    wrong = browser.post(url, {"grace_hours": "5"}, headers=headers)
    assert wrong.status_code == 422
    response = browser.post(url, {"grace_hours": "72"}, headers=headers)
    assert (response.status_code, response["Cache-Control"]) == (200, "private, no-store")
    match = re.search(r"sk-weir-[0-9A-Za-z]{38}", text_of(response))
    assert match is not None
    key.refresh_from_db()
    assert keys.digest_of(match.group()) == bytes(key.digest)
    for path in (KEYS, url):
        text = text_of(browser.get(path))
        assert match.group() not in text
        assert f"…{old[-4:]}" in text
    ended = browser.post(f"{KEYS}/{id_text(key.id)}/end-former")
    assert (ended.status_code, ended["Location"]) == (303, KEYS)
    assert f"…{old[-4:]}" not in text_of(browser.get(KEYS))
    keys.revoke_key(SYSTEM, key)
    assert "is no longer active" in text_of(browser.post(url, {"grace_hours": "0"}))


def test_revoking_by_a_dialog_reloads_the_list(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    response = signed_in(people.alice).post(
        f"{KEYS}/{id_text(key.id)}/revoke", {"confirm": "ci"}, headers={"hx-request": "true"}
    )
    assert (response.status_code, response["HX-Redirect"]) == (204, KEYS)


def test_foreign_and_missing_keys_look_alike(people: Cast) -> None:
    alices, _ = make_key(people.core, "alices", user=people.alice)
    theirs, _ = make_key(people.stranger.teams.get(), "theirs", user=people.charlie)
    bob = signed_in(people.bob)
    for id in (alices.id, theirs.id, new_id()):
        response = bob.post(f"{KEYS}/{id_text(id)}/revoke", {"confirm": "alices"})
        assert response.status_code == 404
        for act in ("rotate", "end-former"):
            response = bob.post(f"{KEYS}/{id_text(id)}/{act}", {"grace_hours": "0"})
            assert response.status_code == 404
    assert bob.get(f"{KEYS}/nonsense/revoke").status_code == 404
    assert not Key.objects.exclude(revoked_at=None).exists()


def test_search_and_states(people: Cast) -> None:
    make_key(people.core, "web-prod", user=people.alice)
    off, _ = make_key(people.core, "etl")
    keys.change_key(SYSTEM, off, disabled=True)
    over, _ = make_key(people.core, "lapsed")
    Key.objects.filter(id=over.id).update(expires_at=clock.now() - dt.timedelta(days=1))
    gone, _ = make_key(people.core, "gone")
    keys.revoke_key(SYSTEM, gone)
    browser = signed_in(people.alice)

    def listed_names(**query: str) -> set[str]:
        page = text_of(browser.get(KEYS, query, headers={"hx-request": "true"}))
        return {name for name in ("web-prod", "etl", "lapsed", "gone") if f">{name}<" in page}

    assert listed_names() == {"web-prod", "etl", "lapsed"}
    assert listed_names(state="active") == {"web-prod"}
    assert listed_names(state="disabled") == {"etl"}
    assert listed_names(state="expired") == {"lapsed"}
    assert listed_names(state="revoked") == {"gone"}
    assert listed_names(state="all") == {"web-prod", "etl", "lapsed", "gone"}
    assert listed_names(state="made-up") == {"web-prod", "etl", "lapsed"}
    assert listed_names(q="WEB") == {"web-prod"}
    assert listed_names(q="alice@") == {"web-prod"}
    assert listed_names(q="%") == set()
    assert listed_names(q="we\x00b") == {"web-prod"}
    assert "Nothing matches these filters" in text_of(browser.get(KEYS, {"q": "zzz"}))


def test_a_long_list_is_cut(people: Cast) -> None:
    names = {make_key(people.core, f"k{number:02}")[0].name for number in range(52)}
    browser = signed_in(people.alice)

    def listed_names(page: str) -> set[str]:
        return set(re.findall(r">(k\d\d)<", page))

    first = text_of(browser.get(KEYS))
    after = re.search(r'rel="next"\s+href="(\?after=[^"]+)"', first)
    assert after is not None
    second = text_of(browser.get(KEYS + html.unescape(after.group(1))))
    assert (len(listed_names(first)), len(listed_names(second))) == (50, 2)
    assert listed_names(first) | listed_names(second) == names
    assert listed_names(text_of(browser.get(KEYS, {"after": "nonsense"}))) == listed_names(first)


def test_names_are_text_and_not_markup(people: Cast) -> None:
    make_key(people.core, "<script>alert(1)</script>", user=people.bob)
    page = text_of(signed_in(people.bob).get(KEYS))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


# The sign-in link ---------------------------------------------------------------------------------


def test_link_signs_in_once_and_viewing_does_not_use_it_up(people: Cast) -> None:
    path = sign_in.make_sign_in_link(people.bob)
    browser = Client()
    for _ in range(2):
        looked = browser.get(path)
        assert looked.status_code == 200
        assert "bob@example.org" in text_of(looked)
        assert "no-store" in looked["Cache-Control"]
    response = browser.post(path)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.get("/", follow=True).redirect_chain == [("/o/acme/", 302)]
    other = Client()
    assert other.get(path).status_code == 410
    assert other.post(path).status_code == 410
    assert other.get("/")["Location"] == "/login"


def test_a_link_needs_the_csrf_text(people: Cast) -> None:
    path = sign_in.make_sign_in_link(people.bob)
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    assert Client().get(path).status_code == 200


def test_the_session_rotates(people: Cast) -> None:
    browser = signed_in(people.charlie)
    before = browser.session.session_key
    browser.post(sign_in.make_sign_in_link(people.bob))
    assert browser.session.session_key != before
    assert browser.get(KEYS).status_code == 200


def test_a_link_brings_the_persons_language(people: Cast) -> None:
    people.bob.language, people.bob.theme = "zh-hans", "dark"
    people.bob.save()
    browser = Client()
    response = browser.post(sign_in.make_sign_in_link(people.bob))
    assert response.cookies["language"].value == "zh-hans"
    assert response.cookies["theme"].value == "dark"


def test_password_and_link_behave_alike(people: Cast) -> None:
    browser = Client()
    response = browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.get(KEYS).status_code == 200
