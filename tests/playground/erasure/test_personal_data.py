"""The archive of what the installation has of a person."""

import json

import pytest

from accounts.audit import audit
from accounts.models import AuditEvent, Invitation, Role
from lib import clock
from lib.ids import id_text
from playground.erasure import personal_data
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen, refuse

pytestmark = pytest.mark.django_db


def test_archive_of_an_organisation_has_nothing_of_another(people: Cast) -> None:
    """P12: neither keys nor requests. The attempts before the last one are not the person's."""
    here, _ = make_key(people.core, "here", user=people.bob)
    there, _ = make_key(people.stranger.teams.get(), "there", user=people.bob)
    credit(here)
    asked = [refuse(key) for key in (here, there)]
    happen(here, clock.now(), 0, final=False, status=502)
    whole = dict(personal_data.personal_data(people.bob, content=False))
    part = dict(personal_data.data_in_organisation(people.bob, people.acme))
    for files, of in ((whole, asked), (part, asked[:1])):
        requests = json.loads(files["requests/0001.json"])
        assert {one["id"] for one in requests} == {id_text(record.id) for record in of}
    names = [{key["name"] for key in json.loads(files["keys.json"])} for files in (whole, part)]
    assert names == [{"here", "there"}, {"here"}]


def test_archive_has_invitations_to_the_address_in_any_case(people: Cast) -> None:
    """P36: of a person and of a member, as erasing them removes them in any case."""
    Invitation.objects.bulk_create(
        Invitation(
            organisation=organisation, email=people.bob.email.upper(), role=Role.VIEWER,
            expires_at=clock.now(), digest=organisation.slug.encode(),
        )
        for organisation in (people.acme, people.stranger)
    )  # fmt: skip
    for files, count in (
        (personal_data.personal_data(people.bob, content=False), 2),
        (personal_data.data_in_organisation(people.bob, people.acme), 1),
    ):
        assert len(json.loads(dict(files)["invitations.json"])) == count


def test_archive_has_each_row_once_however_many_are_in_a_file(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = make_key(people.core, "bob", user=people.bob)
    requests = sorted(id_text(refuse(key).id) for _ in range(4))
    for n in range(4):
        audit.record(actor(people.bob, people.acme), people.acme, "team.changed", people.core, n=n)
    events = AuditEvent.objects.filter(actor_user=people.bob).order_by("id")
    audited = [id_text(event.id) for event in events]
    assert len(audited) == 4
    for at_once in (3, 4):
        monkeypatch.setattr(personal_data, "_BATCH", at_once)
        for files in (
            dict(personal_data.personal_data(people.bob, content=False)),
            dict(personal_data.data_in_organisation(people.bob, people.acme)),
        ):
            for folder, ids in (("requests", requests), ("audit", audited)):
                parts = [json.loads(files[name]) for name in sorted(files) if folder in name]
                assert [len(part) for part in parts] == [
                    min(at_once, 4 - first) for first in range(0, 4, at_once)
                ]
                assert [row["id"] for part in parts for row in part] == ids, at_once
