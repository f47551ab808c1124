"""W57: an owner's settings of the organisation."""

from accounts.models import AuditEvent
from tests.cast import Cast, signed_in

URL = "/o/acme/settings"
FORM = {
    "name": "Acme Ltd.",
    "include_cost": "on",
    "retention_hours": "3",
    "required_labels": ["project", "tags"],
    "second_factor_roles": ["owner"],
}


def test_an_owner_changes_them_at_once(people: Cast) -> None:
    alice = signed_in(people.alice)
    assert alice.get(URL).status_code == 200
    assert alice.post(URL, FORM).status_code == 303
    people.acme.refresh_from_db()
    assert people.acme.name == "Acme Ltd."
    assert people.acme.include_cost
    assert people.acme.retention_hours == 3
    assert people.acme.required_labels == ["project", "tags"]
    assert people.acme.second_factor_roles == ["owner"]
    actions = {event.action for event in AuditEvent.objects.filter(actor_user=people.alice)}
    assert actions == {"organisation.renamed", "organisation.changed"}


def test_what_is_wrong_changes_nothing(people: Cast) -> None:
    alice = signed_in(people.alice)
    for wrong in (
        {"name": ""},
        {"retention_hours": "25"},
        {"required_labels": ["colour"]},
        {"second_factor_roles": ["king"]},
    ):
        assert alice.post(URL, {**FORM, **wrong}).status_code == 422, wrong
    people.acme.refresh_from_db()
    assert (people.acme.name, people.acme.include_cost) == ("Acme", False)


def test_it_is_archived_by_its_name(people: Cast) -> None:
    alice = signed_in(people.alice)
    assert alice.post(f"{URL}/archive", {"confirm": "acme"}).status_code == 422
    assert alice.post(f"{URL}/archive", {"confirm": "Acme"}).status_code == 303
    assert alice.get(URL).status_code == 404


def test_nobody_else_has_the_page(people: Cast) -> None:
    for user, status in ((people.bob, 403), (people.charlie, 404), (people.dora, 403)):
        assert signed_in(user).post(URL, FORM).status_code == status
        assert signed_in(user).post(f"{URL}/archive", {"confirm": "Acme"}).status_code == status
    people.acme.refresh_from_db()
    assert (people.acme.name, people.acme.archived_at) == ("Acme", None)
