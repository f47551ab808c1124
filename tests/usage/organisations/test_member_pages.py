"""The page of members, a person's page, and the change of a role (W51)."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import Key, Membership, Role, Team
from accounts.organisations import teams
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, make_key, member, signed_in
from tests.support.hostile import EVERYTHING
from tests.support.lists import file_of, rows_of
from tests.usage.rows import credit, happen
from usage.rollups.rollups import roll_up

TEAM = "/o/acme/team"


def text_of(response: Any) -> str:
    return str(response.content.decode())


def of(people: Cast, user: Any) -> str:
    """The address of a member's page."""
    return f"{TEAM}/members/{Membership.objects.get(user=user, organisation=people.acme).pk}"


@pytest.fixture
def second(people: Cast) -> Team:
    return teams.create_team(people.acme, "second", actor=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_owner_sees_everyone_and_their_spending(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    credit(key)
    happen(key, clock.now(), charge_nano=1_250_000_000)
    roll_up()
    browser = signed_in(people.alice)
    rows = rows_of(browser, TEAM)
    assert [row.split()[0] for row in rows] == ["Alice", "Bob"]
    assert "Developer All teams" in rows[1]
    assert "$1.25" in rows[1]
    (exported,) = file_of(browser, f"{TEAM}?q=bob&export=csv")
    assert (exported["email"], exported["spent_usd"]) == ("bob@example.org", "1.25")
    page = text_of(browser.get(of(people, people.bob)))
    assert "$1.25" in page
    assert "range=mtd&amp;user=bob%40example.org" in page


@pytest.mark.django_db
def test_a_members_page_disables_all_of_its_keys(people: Cast) -> None:
    """Where one looks first when somebody leaves."""
    mine = [make_key(people.core, name, user=people.bob)[0] for name in ("ci", "web")]
    off, _ = make_key(people.core, "off", user=people.bob)
    Key.objects.filter(id=off.id).update(disabled=True)
    make_key(people.core, "alice", user=people.alice)
    alice, url = signed_in(people.alice), of(people, people.bob)
    page = text_of(alice.get(url))
    form = page.partition('action="/o/acme/keys/bulk"')[2].partition("</form>")[0]
    ids = re.findall(r'name="id" value="(\w+)"', form)
    assert set(ids) == {id_text(key.id) for key in mine}
    sent = {"act": "disable", "id": ids, "next": url}
    preview = text_of(alice.post("/o/acme/keys/bulk", sent))
    assert "Disable keys" in preview
    plan = re.findall(r'name="plan" value="([^"]+)"', preview)
    done = alice.post("/o/acme/keys/bulk", sent | {"step": "apply", "plan": plan})
    assert (done.status_code, done["Location"]) == (303, url)
    assert not Key.objects.filter(user=people.bob, disabled=False).exists()
    assert Key.objects.filter(name="alice", disabled=False).exists()
    # Nothing is left to disable, and who may not sees no button.
    assert "Disable all keys" not in text_of(alice.get(url))
    assert "Disable all keys" not in text_of(signed_in(people.bob).get(of(people, people.alice)))


@pytest.mark.parametrize("limited", ["rpm", "tpm", "parallel"])
def test_only_limit_of_a_member_is_shown_beside_no_limit_of_the_others(
    people: Cast, limited: str
) -> None:
    labels = {"rpm": "Requests/min", "tpm": "Tokens/min", "parallel": "Concurrency"}
    Membership.objects.filter(user=people.bob).update(**{limited: 1234})
    page = text_of(signed_in(people.alice).get(of(people, people.bob)))
    for name, label in labels.items():
        cell = page.partition(f"<dt>{label}</dt>")[2].partition("</dd>")[0]
        text = re.sub(r"<[^>]+>", "", cell).strip()
        assert text == ("1,234" if name == limited else "No limit"), label


def test_member_managers_see_who_has_a_second_factor(people: Cast) -> None:
    Authenticator.objects.create(user=people.bob, type="totp", data={})
    alice = signed_in(people.alice)
    rows = {row["name"]: row["second_factor"] for row in file_of(alice, f"{TEAM}?export=csv")}
    assert rows == {"Alice": "Off", "Bob": "On"}
    assert "Two-factor" in text_of(alice.get(TEAM))
    bill = signed_in(member(people.acme, "bill", Role.BILLING))
    assert "Two-factor" not in text_of(bill.get(TEAM))
    assert "second_factor" not in file_of(bill, f"{TEAM}?export=csv")[0]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("role=owner", ["Alice"]),
        ("role=developer", ["Bob"]),
        ("q=ALICE", ["Alice"]),
        ("team=second", ["Alice"]),
        ("team=core", ["Alice", "Bob"]),
        ("state=deactivated", []),
        ("sort=-role", ["Bob", "Alice"]),
    ],
)
def test_filters_and_order(people: Cast, second: Team, query: str, names: list[str]) -> None:
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    rows = rows_of(signed_in(people.alice), f"{TEAM}?{query}")
    assert [row.split()[0] for row in rows] == names


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
def test_self_only_reader_sees_names(people: Cast, role: Role) -> None:
    """P12: names of colleagues, and of nobody but itself an address or a page."""
    browser = signed_in(member(people.acme, "fay", role))
    page = text_of(browser.get(TEAM))
    assert "Alice" in page
    for hidden in ("alice@example.org", of(people, people.alice), "Invite"):
        assert hidden not in page
    fay = Membership.objects.get(user__email="fay@example.org")
    assert browser.get(f"{TEAM}/members/{fay.pk}").status_code == 200
    assert browser.get(of(people, people.alice)).status_code == 404
    assert browser.get(f"{TEAM}/members/999999").status_code == 404
    (exported,) = file_of(browser, f"{TEAM}?q=alice&export=csv&cols=name,email,spent")
    assert set(exported) == {"name"}
    assert browser.get(f"{TEAM}/members/{fay.pk}/edit").status_code == 403


@pytest.mark.parametrize("also_in_core", [False, True])
def test_role_change_keeps_archived_teams(people: Cast, second: Team, also_in_core: bool) -> None:
    """P23: a limited member does not get all teams by the archiving of theirs."""
    teams.create_team(people.acme, "third", actor=SYSTEM)
    held = [second, people.core] if also_in_core else [second]
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=held, actor=SYSTEM)
    teams.archive_team(second, actor=SYSTEM)
    alice, url = signed_in(people.alice), f"{of(people, people.bob)}/edit"
    page = text_of(alice.get(url))
    assert "second (archived)" in page
    boxes = re.findall(r'<input[^>]*name="teams"[^>]*>', page)
    ticked = [box for box in boxes if "checked" in box]
    slugs = [re.findall(r'value="([^"]+)"', box)[0] for box in ticked]
    assert (len(boxes), len(slugs)) == (3, len(held))
    assert alice.post(url, {"role": "viewer", "teams": slugs}).status_code in (204, 303)
    bob = Membership.objects.get(user=people.bob)
    assert (bob.role, bob.all_teams, {*bob.teams.all()}) == ("viewer", False, {*held})
    # Nobody else gets an archived team.
    url = f"{of(people, member(people.acme, 'eve', Role.VIEWER))}/edit"
    assert "second" not in text_of(alice.get(url))
    assert alice.post(url, {"role": "viewer", "teams": ["second"]}).status_code == 422


def test_team_admin_sees_only_its_members(people: Cast, second: Team) -> None:
    """P12"""
    ann = member(people.acme, "ann", Role.ADMIN)
    zoe = member(people.acme, "zoe", Role.DEVELOPER)
    members.set_member(people.acme, ann.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    members.set_member(people.acme, zoe.email, Role.DEVELOPER, teams=[second], actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    browser = signed_in(ann)
    assert [row.split()[0] for row in rows_of(browser, TEAM)] == ["Alice", "Ann", "Zoe"]
    assert browser.get(of(people, people.bob)).status_code == 404
    assert browser.get(f"{of(people, people.bob)}/edit").status_code == 404
    # Alice is in her team, and above her.
    assert browser.get(f"{of(people, people.alice)}/edit").status_code == 403
    response = browser.post(f"{of(people, zoe)}/edit", {"role": "viewer", "teams": ["second"]})
    assert response.status_code == 303
    assert zoe.memberships.get().role == Role.VIEWER
    for beyond in ({"role": "owner"}, {"role": "viewer", "teams": ["core"]},
                   {"role": "viewer"}):  # fmt: skip
        assert browser.post(f"{of(people, zoe)}/edit", beyond).status_code == 422


def test_foreign_members_look_missing(people: Cast) -> None:
    """P12"""
    charlie = signed_in(people.charlie)
    bob = Membership.objects.get(user=people.bob)
    for id in (bob.pk, 999_999, "x", "0"):
        for rest in ("", "/edit", "/_f/preview", "/remove"):
            path = f"/o/stranger/team/members/{id}{rest}"
            assert charlie.get(path).status_code == 404, path
    charlie.post("/o/stranger/team/bulk", {"role": "viewer", "id": [bob.pk]})
    bob.refresh_from_db()
    assert bob.role == Role.DEVELOPER
    assert charlie.get(TEAM).status_code == 404


def test_role_change_previews_what_is_lost(people: Cast, second: Team) -> None:
    make_key(people.core, "ci", user=people.bob)
    browser = signed_in(people.alice)
    dialog = text_of(browser.get(f"{of(people, people.bob)}/edit"))
    assert "No longer possible" not in dialog
    assert "Redeem codes" in dialog
    preview = text_of(browser.get(f"{of(people, people.bob)}/_f/preview", {"role": "viewer"}))
    assert "Create own keys" in preview.partition("<details")[0]
    assert "1 API key stops working." in preview
    elsewhere = {"role": "developer", "teams": "second"}
    preview = text_of(browser.get(f"{of(people, people.bob)}/_f/preview", elsewhere))
    assert "1 API key stops working." in preview
    saved = browser.post(f"{of(people, people.bob)}/edit", {"role": "viewer"})
    assert saved.status_code == 303
    assert people.bob.memberships.get().role == Role.VIEWER


def test_all_or_none_get_the_new_role(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "auditor", ["audit.read"], actor=SYSTEM)
    zoe = member(people.acme, "zoe", Role.VIEWER)
    ids = [one.pk for one in Membership.objects.filter(organisation=people.acme)]
    browser = signed_in(people.alice)
    value = id_text(role.id)
    refused = browser.post(f"{TEAM}/bulk", {"role": value, "id": ids}, follow=True)
    assert "You cannot change alice@example.org. Nothing was changed." in text_of(refused)
    assert zoe.memberships.get().role == Role.VIEWER
    theirs = [one.pk for one in Membership.objects.filter(user__in=[people.bob, zoe])]
    browser.post(f"{TEAM}/bulk", {"role": value, "id": theirs})
    assert zoe.memberships.get().custom_role == role
    assert people.bob.memberships.get().custom_role == role
    refused = browser.post(f"{TEAM}/bulk", {"role": "", "id": theirs}, follow=True)
    assert "Choose a role" in text_of(refused)


def test_names_are_text(people: Cast, second: Team) -> None:
    """P15"""
    people.bob.name = f"<script>alert(1)</script>{EVERYTHING}"[:120].replace("\x00", "")
    people.bob.save()
    role = custom_roles.create_role(people.acme, "<script>alert(2)", ["audit.read"], actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    browser = signed_in(people.alice)
    here = of(people, people.bob)
    for path in (TEAM, here, f"{here}/edit", f"{here}/remove", f"{TEAM}/roles",
                 f"{TEAM}/roles/{id_text(role.id)}"):  # fmt: skip
        page = text_of(browser.get(path))
        assert "<script>alert" not in page, path
