"""Reading and searching the content log: who, why, and how far (P31)."""

import datetime as dt
import json
from typing import Any

import pytest
from django.http import Http404

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Role, Team
from accounts.organisations import teams
from content.access import visible_entries
from content.log import log
from content.log.kept import Kept
from content.models import DataKey, Entry
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from tests.content.log.entries import REQUEST, keep
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


def reader(people: Cast, *, within: list[Team] | None = None) -> Actor:
    role = custom_roles.create_role(
        people.acme, "Reader", ["content.read", "requests.read"], actor=SYSTEM
    )
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, teams=within, actor=SYSTEM
    )
    return actor(people.bob, people.acme)


def asking(text: str) -> Kept:
    request = REQUEST | {"messages": [{"role": "user", "content": text}]}
    return Kept(json.dumps(request).encode(), error="No channel answered.")


def kept(team: Team, *texts: str, **over: Any) -> list[Entry]:
    """Entries of a key of the team, the last one is the newest."""
    key, _ = make_key(team, f"ci {Entry.objects.count()}")
    credit(key)
    ago = [dt.timedelta(minutes=len(texts) - number) for number in range(len(texts))]
    return [
        keep(happen(key, clock.now() - past), asking(text), **over)
        for past, text in zip(ago, texts, strict=True)
    ]


def test_a_reading_is_one_audit_event_with_its_reason(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello")
    _, read = log.read_entry(bob, entry.request_id, " a complaint ")
    assert b"Hello" in read.request
    event = AuditEvent.objects.get(action="content.read")
    assert (event.actor_user, event.reason) == (people.bob, "a complaint")
    assert event.object_id == id_text(entry.request_id)


def test_nothing_is_read_or_searched_without_a_reason(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello")
    with pytest.raises(Refused, match="Say why"):
        log.read_entry(bob, entry.request_id, " ")
    with pytest.raises(Refused, match="Say why"):
        log.search(bob, visible_entries(bob), "hello", "")
    with pytest.raises(Refused, match="text to search for"):
        log.search(bob, visible_entries(bob), " ", "why")
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_expired_entry_is_read_no_longer(people: Cast) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "Hello", expires_at=clock.now())
    with pytest.raises(Http404):
        log.read_entry(bob, entry.request_id, "why")
    assert log.search(bob, visible_entries(bob), "hello", "why").looked_at == 0


def test_owner_and_other_organisations_read_nothing(people: Cast) -> None:
    """P12"""
    bob = reader(people)
    (theirs,) = kept(people.stranger.teams.get(), "Hello")
    with pytest.raises(Http404):
        log.read_entry(bob, theirs.request_id, "why")
    (ours,) = kept(people.core, "Hello")
    alice = actor(people.alice, people.acme)
    with pytest.raises(AccessDenied):
        log.read_entry(alice, ours.request_id, "why")
    with pytest.raises(AccessDenied):
        log.search(alice, Entry.objects.all(), "hello", "why")


def test_reader_of_a_team_searches_that_team(people: Cast) -> None:
    """P12"""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    bob = reader(people, within=[side])
    (hidden,) = kept(people.core, "Hello core")
    (entry,) = kept(side, "Hello side")
    with pytest.raises(Http404):
        log.read_entry(bob, hidden.request_id, "why")
    assert log.search(bob, visible_entries(bob), "hello", "why").hits == [entry]


def test_search_ignores_case_and_is_audited(people: Cast) -> None:
    bob = reader(people)
    first, _, last = kept(people.core, "The STRASSE", "an avenue", "die straße")
    result = log.search(bob, visible_entries(bob), "Straße", "a complaint")
    assert result == ([last, first], 3, None)
    event = AuditEvent.objects.get(action="content.searched")
    assert (event.reason, event.detail["text"]) == ("a complaint", "Straße")


def test_search_says_how_far_it_looked(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = reader(people)
    first, second, third = kept(people.core, "needle", "hay", "hay")
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 2)
    assert log.search(bob, visible_entries(bob), "needle", "why") == ([], 2, second)
    older = visible_entries(bob).filter(created_at__lt=second.created_at)
    assert log.search(bob, older, "needle", "why") == ([first], 1, None)
    monkeypatch.setattr(log, "HITS_MAX", 1)
    assert log.search(bob, visible_entries(bob), "hay", "why") == ([third], 1, third)


def test_search_passes_over_what_no_key_opens(people: Cast) -> None:
    """P36"""
    bob = reader(people)
    (gone,) = kept(people.core, "needle")
    DataKey.objects.all().delete()
    (entry,) = kept(people.core, "needle")
    assert log.search(bob, visible_entries(bob), "needle", "why").hits == [entry]
    with pytest.raises(Refused, match="can no longer be read"):
        log.read_entry(bob, gone.request_id, "why")
