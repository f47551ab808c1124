"""Reading a session: one reason, one audit event, and a bound that it names (P31)."""

import datetime as dt
import json
from uuid import UUID

import pytest
from django.http import Http404

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from accounts.organisations import teams
from content.log import session_log
from content.log.kept import Kept
from content.models import DataKey
from lib.ids import id_text, new_id
from lib.refusal import Refused
from tests.content.log.test_log import asking, kept, reader
from tests.support.cast import Cast, actor

pytestmark = pytest.mark.django_db


def texts_of(read: session_log.SessionLog) -> list[str]:
    return [json.loads(kept.request)["messages"][0]["content"] for _, kept in read.entries]


@pytest.fixture
def session() -> UUID:
    return new_id()


def test_session_is_read_in_order_with_one_event(people: Cast, session: UUID) -> None:
    bob = reader(people)
    kept(people.core, "One", "Two", "Three", session_id=session)
    kept(people.core, "Elsewhere", session_id=new_id())
    read = session_log.read_session_log(bob, session, " a complaint ")
    assert texts_of(read) == ["One", "Two", "Three"]
    assert (read.older, read.unreadable) == (False, 0)
    event = AuditEvent.objects.get(action__startswith="content.")
    assert (event.action, event.reason) == ("content.session_read", "a complaint")
    requests = [id_text(entry.request_id) for entry, _ in reversed(read.entries)]
    assert event.detail == {"session": id_text(session), "entries": 3, "requests": requests}
    assert event.object_id == id_text(read.entries[-1][0].request_id)


def test_no_session_is_read_without_a_reason(people: Cast, session: UUID) -> None:
    bob = reader(people)
    kept(people.core, "One", session_id=session)
    with pytest.raises(Refused, match="Say why"):
        session_log.read_session_log(bob, session, " ")
    with pytest.raises(Http404):
        session_log.read_session_log(bob, new_id(), "why")
    with pytest.raises(AccessDenied):
        session_log.read_session_log(actor(people.alice, people.acme), session, "why")
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_reader_of_one_team_reads_what_this_team_asked_in_it(people: Cast, session: UUID) -> None:
    """P12"""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    bob = reader(people, within=[side])
    kept(people.core, "Hidden", session_id=session)
    with pytest.raises(Http404):
        session_log.read_session_log(bob, session, "why")
    kept(side, "Shown", session_id=session)
    assert texts_of(session_log.read_session_log(bob, session, "why")) == ["Shown"]


def test_long_session_is_read_from_its_end_and_says_so(
    people: Cast, session: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = reader(people)
    kept(people.core, "One", "Two", "Three", session_id=session)
    monkeypatch.setattr(session_log, "ENTRIES_MAX", 2)
    read = session_log.read_session_log(bob, session, "why")
    assert (texts_of(read), read.older) == (["Two", "Three"], True)
    monkeypatch.setattr(session_log, "ENTRIES_MAX", 3)
    assert not session_log.read_session_log(bob, session, "why").older
    monkeypatch.setattr(session_log, "BYTES_MAX", 1)
    read = session_log.read_session_log(bob, session, "why")
    assert (texts_of(read), read.older) == (["Three"], True)


def test_what_was_erased_is_counted_and_what_ended_is_not(people: Cast, session: UUID) -> None:
    bob = reader(people)
    (first, *_) = kept(people.core, "One", "Two", session_id=session)
    (gone,) = kept(people.core, "Gone", session_id=session)
    (over,) = kept(people.core, "Over", session_id=session)
    DataKey.objects.filter(id=gone.data_key_id).delete()
    over.expires_at = over.created_at - dt.timedelta(hours=1)
    over.save(update_fields=["expires_at"])
    read = session_log.read_session_log(bob, session, "why")
    assert (sorted(texts_of(read)), read.unreadable) == (["One", "Two"], 1)
    assert first.request_id in {entry.request_id for entry, _ in read.entries}


def test_kept_bodies_are_those_that_were_sent(people: Cast, session: UUID) -> None:
    bob = reader(people)
    kept(people.core, "Ünï 😀 \u202e <b>", session_id=session)
    ((_, read),) = session_log.read_session_log(bob, session, "why").entries
    assert read == Kept(asking("Ünï 😀 \u202e <b>").request, error="No channel answered.")
