"""P36: somebody plants text through the pages, deletes their account, and nothing of it is left in
database, files and logs of a running hub; how the pages look."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitor import Visitor, findings, too_wide
from tests.runner.databases import own_database
from tests.support.beside import Beside, manage
from tests.support.hub import SOON, Hub

pytestmark = pytest.mark.browser

WORD = "zqbrimble7f3"
ADDRESS = f"{WORD}@brimble.example"


def assemble() -> dict[str, str]:
    """Beside the hub: an owner, somebody to be erased, an operator; a link to sign in for each."""
    from accounts.access.actors import SYSTEM
    from accounts.members import members
    from accounts.models import Role
    from accounts.organisations import organisations
    from accounts.sign_in import sign_in

    alice = members.add_person("alice@example.org", actor=SYSTEM)
    dora = members.add_person("dora@example.org", operator=True, actor=SYSTEM)
    acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
    zed = members.add_person(ADDRESS, name=f"{WORD} Brimble", actor=SYSTEM)
    members.set_member(acme, ADDRESS, Role.DEVELOPER, actor=SYSTEM)
    for name in ("bob", "eve"):
        person = members.add_person(f"{name}@example.org", actor=SYSTEM)
        members.set_member(acme, person.email, Role.DEVELOPER, actor=SYSTEM)
    people = {"alice": alice, "dora": dora, "zed": zed}
    return {name: sign_in.make_sign_in_link(user) for name, user in people.items()}


def confirm(address: str) -> None:
    """Beside the hub: whoever is signed in has shown a password just now."""
    from django.contrib.auth import SESSION_KEY
    from django.contrib.sessions.models import Session

    from accounts.models import User
    from accounts.sessions.store import SessionStore
    from lib import clock

    user = User.objects.get(email=address)
    for row in Session.objects.all():
        decoded = row.get_decoded()
        if decoded.get(SESSION_KEY) != str(user.pk):
            continue
        decoded["account_authentication_methods"] = [
            {"method": "password", "at": clock.now().timestamp()}
        ]
        decoded["account_authentication_methods_user"] = str(user.pk)
        row.session_data = SessionStore().encode(decoded)
        row.save()


def work() -> int:
    """Beside the hub: what the worker does."""
    from playground.erasure.erasure_steps import erase_people

    return erase_people()


class Place(NamedTuple):
    hub: Hub
    beside: Beside
    links: dict[str, str]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with ExitStack() as until:
        dsn = until.enter_context(own_database("hub_erasure"))
        hub = Hub(dsn, application=SOON)
        until.callback(hub.close)
        hub.settings()
        hub.start()
        beside = Beside({**os.environ, **hub.environment, "DATABASE_URL": dsn})
        until.callback(beside.close)
        yield Place(hub, beside, beside.call(assemble))


def find_places(hub: Hub, word: str) -> list[str]:
    """The tables, files and logs that say it."""
    tables = hub.rows(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname = current_schema() AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    places = []
    for row in tables:
        (counted,) = hub.rows(
            f'SELECT count(*) FROM "{row["relname"]}" t '
            "WHERE strpos(lower(t::text), %s) > 0 OR strpos(t::text, %s) > 0",
            word, word.encode().hex(),
        )  # fmt: skip
        places += [row["relname"]] if counted["count"] else []
    files = [path for path in hub.spool.rglob("*") if path.is_file()]
    places += [str(path) for path in files if word.encode() in path.read_bytes()]
    return [*places, *(["log"] if word in hub.log() else [])]


def look(visitor: Visitor, name: str) -> None:
    """Nothing is too wide, and nothing is wrong for who cannot see it; a picture where wanted."""
    page = visitor.page
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        assert too_wide(page) == ""
        assert findings(page) == []
        if shots := os.environ.get("ERASURE_SHOTS"):
            page.screenshot(path=Path(shots) / f"{name}-{scheme}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def enter(place: Place, browser: Browser, who: str, address: str, **options: Any) -> Visitor:
    visitor = Visitor(browser, place.hub.url, **options)
    visitor.page.goto(place.links[who])
    visitor.page.locator("main button[type=submit]").click()
    visitor.page.wait_for_url(lambda url: "/link/" not in url)
    place.beside.call(confirm, address)
    return visitor


def test_somebody_plants_text_and_deletes_their_account(place: Place, browser: Browser) -> None:
    """P36, P22: by the pages that everybody has."""
    zed = enter(place, browser, "zed", ADDRESS)
    page = zed.page
    page.goto("/o/acme/keys/new")
    page.get_by_label("Name", exact=True).fill(f"{WORD} laptop")
    page.locator("main form button[type=submit], #dialog button[type=submit]").last.click()
    expect(page.get_by_text("sk-weir-").first).to_be_visible()
    assert {"accounts_key", "accounts_auditevent", "accounts_user"} <= set(
        find_places(place.hub, WORD)
    )
    page.goto("/account/data")
    look(zed, "own-data")
    page.get_by_role("link", name="Delete account").click()
    dialog = page.locator("dialog")
    expect(dialog.get_by_label("Email address, to confirm")).to_be_visible()
    look(zed, "delete-account")
    dialog.get_by_label("Email address, to confirm").fill(ADDRESS)
    dialog.get_by_role("button", name="Delete account").click()
    page.wait_for_url("**/account/deleted")
    look(zed, "deleted")
    assert place.beside.call(work) == 1
    assert find_places(place.hub, WORD) == []
    assert "BROKEN" not in place.beside.call(manage, "verify").upper()
    assert zed.complaints == []
    zed.context.close()


def test_an_operator_erases_and_follows_it(place: Place, browser: Browser) -> None:
    dora = enter(place, browser, "dora", "dora@example.org", locale="zh-CN")
    page = dora.page
    (bob,) = place.hub.rows("SELECT id FROM accounts_user WHERE email = 'bob@example.org'")
    page.goto(f"/admin/people/{bob['id']}/erase")
    look(dora, "erase-person")
    page.locator("#id_reason").fill("asked for it")
    page.locator("#id_email").fill("bob@example.org")
    page.locator(".form-foot button").click()
    page.wait_for_url("**/erasure")
    look(dora, "running")
    place.beside.call(work)
    # It asks for itself how far it is.
    expect(page.locator("#erasure dd").first).to_be_visible()
    page.reload()
    expect(page.locator("#erasure")).not_to_have_attribute("hx-trigger", "every 3s")
    look(dora, "done")
    page.goto("/admin/people")
    expect(page.get_by_text("bob@example.org")).to_have_count(0)
    assert dora.complaints == []
    dora.context.close()


def test_an_owner_erases_within_the_organisation(place: Place, browser: Browser) -> None:
    """P12: the page says that the account stays, and it does."""
    alice = enter(place, browser, "alice", "alice@example.org")
    page = alice.page
    (eve,) = place.hub.rows(
        "SELECT m.id FROM accounts_membership m JOIN accounts_user u ON u.id = user_id "
        "WHERE email = 'eve@example.org'"
    )
    page.goto(f"/o/acme/team/members/{eve['id']}/erase")
    expect(page.get_by_text("its data in other organisations")).to_be_visible()
    look(alice, "erase-member")
    page.locator("#id_reason").fill("left")
    page.locator("#id_email").fill("eve@example.org")
    page.locator(".form-foot button").click()
    page.wait_for_url("**/team/erasures/**")
    place.beside.call(work)
    page.reload()
    expect(page.locator("#erasure").get_by_text("Acme")).to_be_visible()
    look(alice, "erased-member")
    (account,) = place.hub.rows(
        "SELECT is_active, (SELECT count(*) FROM accounts_membership WHERE user_id = u.id) AS n "
        "FROM accounts_user u WHERE email = 'eve@example.org'"
    )
    assert account == {"is_active": True, "n": 0}
    assert alice.complaints == []
    alice.context.close()
