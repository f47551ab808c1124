"""P36, P31: what an erased person asked, and the content log kept, is readable no more."""

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.keys.keys import mint_key
from accounts.members import members
from accounts.models import AuditEvent, Organisation, Role, User
from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import owner_of
from content.log.sql import find_data_key
from content.models import DataKey, Entry
from lib import clock
from lib.ids import new_id
from lib.vault import VaultError
from playground.erasure.erasure_requests import request_erasure
from playground.erasure.erasure_steps import erase_people
from tests.content.log.entries import keep
from tests.support.cast import Cast, actor
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.erasure.erasure_steps.seal_key", lambda: b"key of the tests")


def asked(organisation: Organisation, person: User) -> Entry:
    team = organisation.teams.get()
    key, _ = mint_key(SYSTEM, team, f"of {person.id}", user=person)
    credit(key)
    return keep(happen(key, clock.now() - dt.timedelta(minutes=1)))


def data_key_of(organisation: Organisation, person: User) -> UUID | None:
    """The data key with which the relay would seal what the person asks: a new one if there is
    none, None if there may be none."""
    owner = owner_of(person.id, UUID(int=0))
    statements = find_data_key(organisation.id, owner, str(person.id), new_id(), "\\x00")
    with connection.cursor() as cursor:
        for statement, parameters in statements:
            cursor.execute(statement, dict[str, Any](parameters))
        rows = cursor.fetchall()
    return rows[0][0] if rows else None


def test_erasing_a_person_destroys_their_data_keys(people: Cast) -> None:
    bobs, alices = asked(people.acme, people.bob), asked(people.acme, people.alice)
    request_erasure(actor(people.dora), people.bob, reason="left")
    assert erase_people() == 1
    with pytest.raises(VaultError):
        open_data_key(bobs.data_key_id)
    open_data_key(alices.data_key_id)
    assert AuditEvent.objects.get(action="user.erased").detail["data_keys"] == 1


def test_what_still_waited_when_the_person_was_erased_gets_no_key(people: Cast) -> None:
    asked(people.acme, people.bob)
    known = data_key_of(people.acme, people.bob)
    assert known == DataKey.objects.get(owner=f"user:{people.bob.id}").id
    request_erasure(actor(people.dora), people.bob, reason="left")
    erase_people()
    assert data_key_of(people.acme, people.bob) is None
    assert not DataKey.objects.filter(owner=f"user:{people.bob.id}").exists()


def test_owner_destroys_the_key_of_their_organisation_alone(people: Cast) -> None:
    """P12"""
    members.set_member(people.stranger, people.bob.email, Role.DEVELOPER, actor=SYSTEM)
    here, there = asked(people.acme, people.bob), asked(people.stranger, people.bob)
    request_erasure(actor(people.alice, people.acme), people.bob, reason="left")
    erase_people()
    with pytest.raises(VaultError):
        open_data_key(here.data_key_id)
    open_data_key(there.data_key_id)


def test_person_who_comes_back_has_a_new_key(people: Cast) -> None:
    before = asked(people.acme, people.bob)
    request_erasure(actor(people.alice, people.acme), people.bob, reason="left")
    erase_people()
    assert data_key_of(people.acme, people.bob) is None
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, actor=SYSTEM)
    after = data_key_of(people.acme, people.bob)
    assert after is not None
    assert after != before.data_key_id
