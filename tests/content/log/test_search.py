"""Searching the content log: what is searched, and what is recorded of it (P12)."""

import datetime as dt

import pytest

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Role
from content.access import visible_entries
from content.log.log import search
from content.models import Entry
from lib import clock
from lib.refusal import Refused
from tests.content.log.entries import keep
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


def test_search_opens_texts_and_records_its_reason(people: Cast) -> None:
    role = custom_roles.create_role(people.acme, "Reader", ["content.read"], actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    key, _ = make_key(people.core, "ci")
    credit(key)
    entry = keep(happen(key, clock.now() - dt.timedelta(hours=1)))
    bob = actor(people.bob, people.acme)
    result = search(bob, visible_entries(bob), "it is PARIS", "a complaint")
    assert (result.hits, result.looked_at, result.last) == ([entry], 1, None)
    assert search(bob, visible_entries(bob), "Berlin", "a complaint").hits == []
    reasons = AuditEvent.objects.filter(action="content.searched").values_list("reason", flat=True)
    assert list(reasons) == ["a complaint"] * 2
    with pytest.raises(Refused):
        search(bob, visible_entries(bob), "Paris", "")
    with pytest.raises(AccessDenied):
        search(actor(people.alice, people.acme), Entry.objects.all(), "Paris", "why")
