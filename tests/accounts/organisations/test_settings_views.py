"""W57: an owner's settings of the organisation."""

import re

import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles.custom_roles import create_role
from accounts.members.members import set_member
from accounts.models import AuditEvent, KeyKind, Organisation, Role
from accounts.roles.rules import PERMISSIONS
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, person, signed_in, with_key

URL = "/o/acme/settings"
FORM = {
    "name": "Acme Ltd.",
    "include_cost": "on",
    "retention_hours": "3",
    "client_address_days": "30",
    "required_labels": ["project", "tags"],
    "second_factor_roles": ["owner"],
}


def test_owner_changes_settings_immediately(people: Cast) -> None:
    alice = signed_in(people.alice)
    assert alice.get(URL).status_code == 200
    assert alice.post(URL, FORM).status_code == 303
    people.acme.refresh_from_db()
    assert people.acme.name == "Acme Ltd."
    assert people.acme.include_cost
    assert people.acme.retention_hours == 3
    assert people.acme.client_address_days == 30
    assert people.acme.required_labels == ["project", "tags"]
    assert people.acme.second_factor_roles == ["owner"]
    actions = {event.action for event in AuditEvent.objects.filter(actor_user=people.alice)}
    assert actions == {"organisation.renamed", "organisation.changed"}


def test_invalid_settings_change_nothing(people: Cast) -> None:
    alice = signed_in(people.alice)
    for wrong in (
        {"name": ""},
        {"retention_hours": "25"},
        {"client_address_days": "366"},
        {"required_labels": ["colour"]},
        {"second_factor_roles": ["king"]},
    ):
        assert alice.post(URL, {**FORM, **wrong}).status_code == 422, wrong
    people.acme.refresh_from_db()
    assert (people.acme.name, people.acme.include_cost) == ("Acme", False)


def test_required_factor_of_custom_roles_stays_without_such_a_role(people: Cast) -> None:
    """Its last custom role was removed; the form neither shows it as undone nor undoes it."""
    alice = signed_in(people.alice)
    assert 'value="custom"' not in alice.get(URL).content.decode()
    Organisation.objects.filter(pk=people.acme.pk).update(second_factor_roles=["custom"])
    html = alice.get(URL).content.decode()
    assert re.findall(r'name="second_factor_roles" value="(\w+)"[^>]* checked', html) == ["custom"]
    assert alice.post(URL, {**FORM, "second_factor_roles": ["custom"]}).status_code == 303


def test_organisation_is_archived_by_typing_its_name(people: Cast) -> None:
    alice = signed_in(people.alice)
    assert alice.post(f"{URL}/archive", {"confirm": "acme"}).status_code == 422
    assert alice.post(f"{URL}/archive", {"confirm": "Acme"}).status_code == 303
    assert alice.get(URL).status_code == 404


def test_only_owners_have_the_page(people: Cast) -> None:
    for user, status in ((people.bob, 403), (people.charlie, 404), (people.dora, 403)):
        assert signed_in(user).post(URL, FORM).status_code == status
        assert signed_in(user).post(f"{URL}/archive", {"confirm": "Acme"}).status_code == status
    people.acme.refresh_from_db()
    assert (people.acme.name, people.acme.archived_at) == ("Acme", None)


def test_only_owners_require_a_second_factor(people: Cast) -> None:
    """P23: who changes every other setting does not weaken how owners sign in."""
    role = create_role(people.acme, "Settings", PERMISSIONS, actor=SYSTEM)
    max = person("max")
    set_member(people.acme, max.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    assert signed_in(people.alice).post(URL, FORM).status_code == 303
    browser = signed_in(max)
    page = browser.get(URL).content.decode()
    assert "second_factor_roles" not in page
    assert "settings/sso" not in page
    assert browser.post(URL, {**FORM, "name": "Max", "second_factor_roles": []}).status_code == 303
    _, text = make_key(people.core, "m", user=max, kind=KeyKind.MANAGEMENT)
    change = {"name": "By a key", "second_factor_roles": []}
    answer = with_key(text).patch("/api/v1/organisation", change, "application/json")
    assert answer.status_code == 403
    people.acme.refresh_from_db()
    assert (people.acme.name, people.acme.second_factor_roles) == ("Max", ["owner"])


def test_custom_role_grants_no_owner_rights(people: Cast) -> None:
    """P23: even one of all permissions lacks what owners have."""
    with pytest.raises(Refused):
        create_role(people.acme, "Signs in", ["sign_in.write"], actor=SYSTEM)
    role = create_role(people.acme, "All", PERMISSIONS, actor=SYSTEM)
    max = person("max")
    set_member(people.acme, max.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    with pytest.raises(Refused):
        set_member(people.acme, people.bob.email, Role.OWNER, actor=actor(max, people.acme))
