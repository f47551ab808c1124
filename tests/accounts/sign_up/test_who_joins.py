"""Who joins by domain, founds an organisation, or follows an invitation."""

from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import (
    Membership,
    Role,
    SetUpLink,
    SignUpDomain,
    SignUpMode,
    SignUpSetting,
)
from accounts.organisations import organisations, teams
from accounts.sign_up import first_run, listed_domains, sign_up
from tests.support.cast import Cast, actor, signed_in

pytestmark = pytest.mark.django_db


def test_domains_are_listed_by_name_and_end_with_their_organisation(people: Cast) -> None:
    for domain in ("zeta.example", "acme.example"):
        SignUpDomain.objects.create(domain=domain, organisation=people.acme, role=Role.VIEWER)
    found = [one["domain"] for one in sign_up.describe_settings()["domains"]]
    assert found == ["acme.example", "zeta.example"]
    assert listed_domains.find_listed("eve@ACME.example") is not None
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    assert listed_domains.find_listed("eve@acme.example") is None


def test_only_a_confirmed_person_of_no_organisation_founds_one(people: Cast, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    SignUpSetting.objects.create(mode=SignUpMode.OPEN)
    eve = members.add_person("eve@example.org", actor=SYSTEM)
    assert not sign_up.may_found(eve)
    eve.emailaddress_set.create(email=eve.email, verified=True)  # type: ignore[attr-defined]
    assert sign_up.may_found(eve)
    people.bob.emailaddress_set.create(email=people.bob.email, verified=True)  # type: ignore[attr-defined]
    assert not sign_up.may_found(people.bob)


def test_new_link_of_the_first_run_ends_the_one_before() -> None:
    first, second = (first_run.make_set_up_link().rpartition("/")[2] for _ in range(2))
    assert (first_run.is_living(first), first_run.is_living(second)) == (False, True)
    assert SetUpLink.objects.count() == 1


def test_first_organisation_is_made_once_however_often_it_is_named(people: Cast) -> None:
    first = first_run.create_first_organisation(people.dora, "Works")
    assert first_run.create_first_organisation(people.dora, "Works") == first
    assert first_run.create_first_organisation(people.bob, "Works") == people.acme
    assert Membership.objects.get(user=people.dora).role == Role.OWNER


def test_invitation_names_its_teams_and_leads_into_its_organisation(people: Cast) -> None:
    second = teams.create_team(people.acme, "Second team", actor=SYSTEM)
    (sent,) = invitations.invite(
        people.acme, [], Offer(Role.VIEWER, teams=[second]),
        actor=actor(people.alice, people.acme),
    )  # fmt: skip
    charlie = signed_in(people.charlie)
    assert charlie.get("/o/stranger/settings").status_code == 200
    assert "Second team" in charlie.get(sent.path).content.decode()
    joined = charlie.post(sent.path)
    assert joined["Location"] == "/o/acme/"
    assert charlie.session["organisation"] == "acme"
    row = Membership.objects.get(user=people.charlie, organisation=people.acme)
    assert ([*row.teams.all()], row.all_teams) == ([second], False)
