"""W75, W76: operators suspend organisations and deactivate people; to others the pages are not."""

import datetime as dt
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.access.entry_requirements import has_factor
from accounts.models import AuditEvent, User
from accounts.organisations import organisations
from lib import clock
from outbox.models import Fact
from tests.accounts.factors import with_app
from tests.support.cast import PASSWORD, Cast, confirmed, person, signed_in


def test_people_are_found_and_deactivated(people: Cast) -> None:
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


def test_deactivating_ends_every_session(people: Cast) -> None:
    """P11: activated again, nobody comes back by an old cookie."""
    bob, dora = signed_in(people.bob), signed_in(people.dora)
    assert bob.get("/o/acme/keys").status_code == 200
    dora.post(f"/admin/people/{people.bob.pk}/deactivate")
    dora.post(f"/admin/people/{people.bob.pk}/activate")
    assert bob.get("/o/acme/keys").status_code == 302
    assert AuditEvent.objects.get(action="sessions.ended").reason == "user.deactivated"


def test_an_operator_ends_a_persons_sessions(people: Cast) -> None:
    bob, dora = signed_in(people.bob), signed_in(people.dora)
    assert bob.get("/o/acme/keys").status_code == 200
    response = dora.post(f"/admin/people/{people.bob.pk}/end-sessions", follow=True)
    assert "1 session of bob@example.org was ended." in response.content.decode()
    assert bob.get("/o/acme/keys").status_code == 302
    assert AuditEvent.objects.get(action="sessions.ended").actor_user_id == people.dora.pk


def test_an_operator_resets_a_second_factor(people: Cast) -> None:
    bob = with_app(people.bob).browser
    dora = signed_in(people.dora)
    path = f"/admin/people/{people.bob.pk}/reset-factors"
    listed = dora.get("/admin/people?q=bob").content.decode()
    assert path in listed
    assert "Make sure that the request really comes from them." in dora.get(path).content.decode()
    # Looking at the question changes nothing.
    assert bob.get("/o/acme/keys").status_code == 200
    assert dora.post(path).status_code == 303
    assert bob.get("/o/acme/keys").status_code == 302
    assert path not in dora.get("/admin/people?q=bob").content.decode()
    assert AuditEvent.objects.get(action="second_factor.reset").actor_user_id == people.dora.pk
    letter = Fact.objects.filter(kind="security.changed").latest("id")
    assert (letter.people, letter.body["action"]) == ([people.bob.pk], "second_factor.reset")
    answer = Client().post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert answer["Location"] == "/"


@pytest.mark.parametrize("command", ["weir", "python manage.py"])
def test_operators_do_not_reset_each_other(
    people: Cast, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Nobody touches somebody of the same rank; the server's command does, and is told, as this
    installation calls it."""
    monkeypatch.setattr(settings, "COMMAND", command)
    other = person("otto", operator=True)
    with_app(other)
    dora = signed_in(people.dora)
    path = f"/admin/people/{other.pk}/reset-factors"
    assert path not in dora.get("/admin/people?q=otto").content.decode()
    told = f"server: {command} reset_second_factor otto@example.org"
    assert told in dora.post(path, follow=True).content.decode()
    over_api = dora.post(f"/api/v1/people/{other.pk}/reset-second-factor")
    assert over_api.status_code == 422
    assert has_factor(other)
    call_command("reset_second_factor", "OTTO@example.org", stdout=StringIO())
    assert not has_factor(other)
    assert AuditEvent.objects.get(action="second_factor.reset").object_id == str(other.pk)
    letter = Fact.objects.filter(kind="security.changed").latest("id")
    assert (letter.people, letter.body["action"]) == ([other.pk], "second_factor.reset")
    with pytest.raises(CommandError, match="Nobody has the address"):
        call_command("reset_second_factor", "none@example.org")


def test_resetting_asks_for_a_recent_sign_in(people: Cast) -> None:
    with_app(people.bob)
    dora = signed_in(people.dora)
    confirmed(dora, people.dora, clock.now() - dt.timedelta(hours=1))
    path = f"/admin/people/{people.bob.pk}/reset-factors"
    assert dora.post(path)["Location"].startswith("/account/confirm")
    assert has_factor(people.bob)


def test_neither_oneself_nor_the_last_owner_is_deactivated(people: Cast) -> None:
    dora = signed_in(people.dora)
    for user, text in ((people.dora, "yourself"), (people.alice, "last owner of Acme")):
        page_text = dora.post(f"/admin/people/{user.pk}/deactivate", follow=True).content.decode()
        assert text in page_text
        assert User.objects.get(pk=user.pk).is_active


def test_organisation_is_suspended_and_restored(people: Cast) -> None:
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


def test_an_operator_creates_an_organisation_and_adds_members(people: Cast) -> None:
    dora = signed_in(people.dora)
    page = "/admin/organisations/new"
    assert page in dora.get("/admin/organisations").content.decode()
    assert "Email of the owner" in dora.get(page).content.decode()
    refused = dora.post(page, {"name": "Customer", "owner": "nobody@example.org"})
    assert "No account uses this address." in refused.content.decode()
    response = dora.post(page, {"name": "Customer", "owner": ""})
    assert response.headers["location"] == "/o/customer/"
    assert dora.get("/o/customer/team/invitations/new").status_code == 200
    add = "/admin/organisations/customer/members/new"
    assert add in dora.get("/admin/organisations").content.decode()
    answer = dora.post(add, {"email": "bob@example.org", "role": "admin"}, follow=True)
    assert "bob@example.org was added to Customer." in answer.content.decode()
    again = dora.post(add, {"email": "bob@example.org", "role": "admin"})
    assert "bob@example.org is already a member." in again.content.decode()
    assert signed_in(people.bob).get("/o/customer/team").status_code == 200
    acme = dora.post(
        "/admin/organisations/acme/members/new", {"email": "dora@example.org", "role": "owner"}
    )
    assert "You cannot grant" in acme.content.decode()
    assert signed_in(people.alice).get(page).status_code == 404
