"""Pages of roles (W51)."""

from typing import Any

from accounts.access import access
from accounts.access.actors import SYSTEM, authority_of
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import CustomRole, Role
from accounts.roles.rules import PERMISSIONS
from accounts.roles.words import GROUPS, WORDS, has_permission, lost, permission_groups
from lib.ids import id_text
from tests.support.cast import Cast, actor, member, signed_in
from tests.support.lists import rows_of

ROLES = "/o/acme/team/roles"


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_every_permission_has_its_words() -> None:
    assert sorted(WORDS) == sorted(PERMISSIONS)
    assert len(WORDS) == sum(len(group) for _, group in GROUPS)
    texts = [str(text) for words in WORDS.values() for text in words]
    assert len(set(texts)) == len(texts)
    assert all(texts)


def test_role_description_matches_its_permissions() -> None:
    owner, viewer = authority_of(Role.OWNER), authority_of(Role.VIEWER)
    lines = [line for _, group in permission_groups(owner) for line in group]
    missing = [str(line.title) for line in lines if not line.has]
    assert missing == ["Read contents"]
    assert has_permission(viewer, "usage.read")
    assert has_permission(viewer, "members.read:own")
    assert not has_permission(viewer, "members.read")
    titles = [str(title) for title in lost(authority_of(Role.DEVELOPER), viewer)]
    assert "Create own keys" in titles
    assert "See all usage" not in titles
    assert lost(viewer, owner) == []


def test_a_role_is_made_changed_and_deleted(people: Cast) -> None:
    browser = signed_in(people.alice)
    assert [row.split()[0] for row in rows_of(browser, ROLES)] == [
        "Owner", "Admin", "Billing", "Developer", "Viewer",
    ]  # fmt: skip
    form = {"name": "Auditor", "permissions": ["usage.read", "audit.read"]}
    assert browser.post(f"{ROLES}/new", form).status_code == 303
    role = CustomRole.objects.get()
    assert role.permissions == ["audit.read", "usage.read"]
    again = browser.post(f"{ROLES}/new", form)
    assert again.status_code == 422
    assert "already named" in text_of(again)
    page = f"{ROLES}/{id_text(role.id)}"
    assert "No members have this role" in text_of(browser.get(page))
    browser.post(page, {"name": "Auditors", "permissions": ["usage.read"]})
    role.refresh_from_db()
    assert (role.name, role.permissions) == ("Auditors", ["usage.read"])
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    assert "Bob" in text_of(browser.get(page))
    kept = browser.post(f"{page}/remove")
    assert kept.status_code == 422
    assert "still have this role" in text_of(kept)
    members.set_member(people.acme, people.bob.email, Role.VIEWER, actor=SYSTEM)
    assert browser.post(f"{page}/remove").status_code == 303
    assert not CustomRole.objects.exists()


def test_unpermitted_reader_sees_no_editor(people: Cast) -> None:
    """P12, P23"""
    role = custom_roles.create_role(people.acme, "payer", ["wallet.write"], actor=SYSTEM)
    page = f"{ROLES}/{id_text(role.id)}"
    less = custom_roles.create_role(people.acme, "less", ["models.read"], actor=SYSTEM)
    ann = signed_in(member(people.acme, "ann", Role.ADMIN))
    listed = text_of(ann.get(ROLES))
    assert f"{page}/remove" not in listed
    assert f"{ROLES}/{id_text(less.id)}/remove" in listed
    assert 'name="permissions"' not in text_of(ann.get(page))
    assert ann.post(page, {"name": "x", "permissions": []}).status_code == 403
    beyond = ann.post(f"{ROLES}/new", {"name": "x", "permissions": ["wallet.write"]})
    assert beyond.status_code == 422
    bob, charlie = signed_in(people.bob), signed_in(people.charlie)
    assert bob.get(page).status_code == 404
    assert bob.get(f"{ROLES}/new").status_code == 403
    for id in (id_text(role.id), id_text(people.acme.id), "nothing", "custom"):
        assert charlie.get(f"/o/stranger/team/roles/{id}").status_code == 404
        assert charlie.post(f"/o/stranger/team/roles/{id}/remove").status_code == 404
    assert charlie.get(ROLES).status_code == 404
    assert ann.get(f"{ROLES}/owner").status_code == 200
    assert ann.post(f"{ROLES}/owner", {"name": "x"}).status_code == 403
    role.refresh_from_db()
    assert role.name == "payer"


def test_owner_grants_reading_of_contents_that_no_role_has(people: Cast) -> None:
    """An owner decides who reads, and does not read; an admin cannot grant it."""
    assert access.scope_of(actor(people.alice, people.acme), "content.read") is None
    form = {"name": "Reader", "permissions": ["content.read", "requests.read"]}
    ann = signed_in(member(people.acme, "ann", Role.ADMIN))
    assert ann.post(f"{ROLES}/new", form).status_code == 422
    alice = signed_in(people.alice)
    assert (
        "disabled" not in text_of(alice.get(f"{ROLES}/new")).split('value="content.read"')[1][:80]
    )
    assert alice.post(f"{ROLES}/new", form).status_code == 303
    role = CustomRole.objects.get()
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    assert access.scope_of(actor(people.bob, people.acme), "content.read") == "all"
