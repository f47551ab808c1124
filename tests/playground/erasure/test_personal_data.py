"""The archive of what the installation has of a person."""

import json

import pytest

from accounts.audit import audit
from accounts.models import AuditEvent
from lib.ids import id_text
from playground.erasure import personal_data
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import refuse

pytestmark = pytest.mark.django_db


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
