"""W75, W76: operators suspend organisations and deactivate people; to others the pages are not."""

import pytest

from accounts import organisations
from accounts.actors import SYSTEM
from accounts.models import User
from tests.cast import Cast, signed_in


def test_people_are_found_and_shut_out(people: Cast) -> None:
    dora = signed_in(people.dora)
    page = dora.get("/admin/people?q=BOB").content.decode()
    assert "bob@example.org" in page
    assert "charlie@example.org" not in page
    dora.post(f"/admin/people/{people.bob.pk}/deactivate")
    assert not User.objects.get(pk=people.bob.pk).is_active
    assert "bob@example.org" in dora.get("/admin/people?state=inactive").content.decode()
    assert "alice@example.org" not in dora.get("/admin/people?state=inactive").content.decode()
    dora.post(f"/admin/people/{people.bob.pk}/activate")
    assert User.objects.get(pk=people.bob.pk).is_active


def test_neither_oneself_nor_the_last_owner_is_shut_out(people: Cast) -> None:
    dora = signed_in(people.dora)
    for user, text in ((people.dora, "yourself"), (people.alice, "last owner of Acme")):
        told = dora.post(f"/admin/people/{user.pk}/deactivate", follow=True).content.decode()
        assert text in told
        assert User.objects.get(pk=user.pk).is_active


def test_an_organisation_is_suspended_and_let_go(people: Cast) -> None:
    dora, alice = signed_in(people.dora), signed_in(people.alice)
    path = "/admin/organisations/acme"
    assert dora.post(f"{path}/suspend", {"reason": ""}).status_code == 422
    dora.post(f"{path}/suspend", {"reason": "Invoice <7> is unpaid."})
    home = alice.get("/o/acme/teams").content.decode()
    assert "Acme is suspended." in home
    assert "Invoice &lt;7&gt; is unpaid." in home
    assert alice.post("/o/acme/teams/new", {"name": "x"}).status_code == 403
    dora.post(f"{path}/unsuspend")
    assert "is suspended" not in alice.get("/o/acme/teams").content.decode()


def test_an_archived_organisation_is_brought_back(people: Cast) -> None:
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    signed_in(people.dora).post("/admin/organisations/acme/restore")
    assert signed_in(people.alice).get("/o/acme/teams").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "people/{id}/deactivate",
        "people/{id}/activate",
        "organisations/acme/suspend",
        "organisations/acme/unsuspend",
        "organisations/acme/restore",
    ],
)
def test_others_do_not_find_it(people: Cast, path: str) -> None:
    for user in (people.alice, people.bob, people.charlie):
        address = f"/admin/{path.format(id=people.bob.pk)}"
        assert signed_in(user).post(address, {"reason": "x"}).status_code == 404
    people.acme.refresh_from_db()
    assert people.acme.suspended_at is None
    assert signed_in(people.dora).post("/admin/organisations/none/suspend").status_code == 404
    assert signed_in(people.dora).post("/admin/people/99999999/activate").status_code == 404
