"""The conversation of a request on its page: who reads it, why, and what is recorded (P12)."""

import datetime as dt
import json

import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Role, Team
from accounts.organisations import teams
from content.log.kept import Kept
from content.models import DataKey
from lib import clock
from lib.ids import id_text
from tests.content.log.entries import ANSWER, keep
from tests.support.cast import Cast, make_key, signed_in
from tests.usage.rows import credit, happen
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

READS = ["content.read", "requests.read", "usage.read"]


def reader(people: Cast, *, within: list[Team] | None = None) -> None:
    """Give bob a role that reads contents, in all teams or in these."""
    role = custom_roles.create_role(people.acme, "Reader", READS, actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, teams=within, actor=SYSTEM
    )


def asked(people: Cast) -> UsageRecord:
    key, _ = make_key(people.core, "ci", user=people.alice)
    credit(key)
    return happen(key, clock.now() - dt.timedelta(hours=1))


def page_of(record: UsageRecord) -> str:
    return f"/o/acme/requests/{id_text(record.request_id)}"


def test_reader_gives_a_reason_and_sees_the_conversation(people: Cast) -> None:
    reader(people)
    record = asked(people)
    keep(record)
    browser = signed_in(people.bob)
    page = browser.get(page_of(record)).content.decode()
    assert "Show conversation" in page
    assert "Paris" not in page
    answer = browser.post(f"{page_of(record)}/conversation", {"reason": "a complaint"})
    body = answer.content.decode()
    assert "It is Paris." in body
    assert "What is &lt;b&gt;the capital&lt;/b&gt; of France?" in body
    assert 'id="receipt-title"' in body
    assert answer["Cache-Control"] == "private, no-store"
    event = AuditEvent.objects.get(action="content.read")
    assert (event.reason, event.actor_user) == ("a complaint", people.bob)
    assert event.object_id == id_text(record.request_id)
    log = signed_in(people.alice).get("/o/acme/audit").content.decode()
    assert "read the texts of request" in log


def test_reader_learns_of_failed_attempts_and_of_what_is_missing(people: Cast) -> None:
    reader(people)
    record = asked(people)
    keep(record, Kept(b"", json.dumps(ANSWER).encode(), broken=True, left_out=("request",),
                      failures=("No <key> fits.",)))  # fmt: skip
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation", {"reason": "why"})
    body = answer.content.decode()
    assert "Attempt 1 failed: No &lt;key&gt; fits." in body
    assert "The answer broke off. This is what had arrived." in body
    assert "The request was not kept, because it could not be masked." in body


def test_link_to_a_conversation_asks_who_may_read_it_for_a_reason(people: Cast) -> None:
    """P12"""
    record = asked(people)
    keep(record)
    link = f"{page_of(record)}/conversation"
    assert signed_in(people.alice).get(link).status_code == 403
    assert signed_in(people.charlie).get(link).status_code == 404
    reader(people)
    page = signed_in(people.bob).get(link)
    assert (page.status_code, page["Cache-Control"]) == (200, "private, no-store")
    body = page.content.decode()
    assert "Show conversation" in body
    assert "Paris" not in body
    assert not AuditEvent.objects.filter(action="content.read").exists()


def test_without_a_reason_nothing_is_shown(people: Cast) -> None:
    reader(people)
    record = asked(people)
    keep(record)
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation", {"reason": " "})
    assert answer.status_code == 422
    assert "Paris" not in answer.content.decode()
    assert not AuditEvent.objects.filter(action="content.read").exists()


def test_no_built_in_role_reads_not_even_an_owner(people: Cast) -> None:
    """P12"""
    record = asked(people)
    keep(record)
    for person in (people.alice, people.bob):
        answer = signed_in(person).post(f"{page_of(record)}/conversation", {"reason": "why"})
        assert answer.status_code == 403
    assert "Show conversation" not in signed_in(people.alice).get(page_of(record)).content.decode()
    for person in (people.charlie, people.dora):
        answer = signed_in(person).post(f"{page_of(record)}/conversation", {"reason": "why"})
        assert answer.status_code in (403, 404)
    assert not AuditEvent.objects.filter(action="content.read").exists()


def test_reader_of_one_team_reads_that_team(people: Cast) -> None:
    """P12"""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    reader(people, within=[side])
    record = asked(people)
    keep(record)
    browser = signed_in(people.bob)
    hidden = browser.post(f"{page_of(record)}/conversation", {"reason": "why"})
    assert hidden.status_code == 404
    key, _ = make_key(side, "theirs")
    other = happen(key, clock.now() - dt.timedelta(hours=1))
    keep(other)
    shown = browser.post(f"{page_of(other)}/conversation", {"reason": "why"})
    assert "It is Paris." in shown.content.decode()


def test_expired_and_erased_texts_are_not_shown(people: Cast) -> None:
    reader(people)
    record = asked(people)
    past = clock.now() - dt.timedelta(minutes=1)
    entry = keep(record)
    DataKey.objects.all().delete()
    browser = signed_in(people.bob)
    erased = browser.post(f"{page_of(record)}/conversation", {"reason": "why"})
    assert erased.status_code == 422
    assert "can no longer be read" in erased.content.decode()
    entry.expires_at = past
    entry.save(update_fields=["expires_at"])
    assert browser.post(f"{page_of(record)}/conversation", {"reason": "y"}).status_code == 404
    assert "are not kept" in browser.get(page_of(record)).content.decode()


def test_request_that_is_no_chat_is_shown_as_it_was_sent(people: Cast) -> None:
    reader(people)
    record = asked(people)
    keep(record, Kept(b'{"input": "a <sentence>"}', b'{"data": []}'), operation="embeddings")
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation", {"reason": "why"})
    assert "a &lt;sentence&gt;" in answer.content.decode()


def test_reader_downloads_one_line_of_json(people: Cast) -> None:
    reader(people)
    record = asked(people)
    keep(record)
    data = {"reason": "a complaint", "file": "lines"}
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation", data)
    assert answer["Content-Type"] == "application/x-ndjson"
    (line,) = answer.content.decode().splitlines()
    assert json.loads(json.loads(line)["request"])["messages"][0]["role"] == "system"
    assert AuditEvent.objects.filter(action="content.read").count() == 1
