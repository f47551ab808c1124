"""A session of the content log as one story: for whom, with what beside it, and as a file (P12)."""

import datetime as dt
import json
import re
from typing import Any
from uuid import UUID

import pytest

from accounts.models import AuditEvent
from content.log.kept import Kept
from lib import clock
from lib.ids import id_text, new_id
from tests.content.log.entries import ANSWER, keep
from tests.playground.content_log.test_conversation import reader
from tests.support.cast import Cast, make_key, signed_in
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db

Message = dict[str, Any]


def asked(*words: str) -> list[Message]:
    """Messages of a person and of a model in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(words)]


def work(people: Cast, *steps: tuple[list[Message], str]) -> UUID:
    """Keep a session whose requests have these messages and answers; "" for a failure."""
    key, _ = make_key(people.core, "agent", user=people.alice)
    credit(key)
    session = new_id()
    for number, (messages, answer) in enumerate(steps):
        at = clock.now() - dt.timedelta(minutes=30 - number)
        more = {"session_id": session, "session": {"name": "Mend the weir"}}
        record = happen(key, at, 10**6 * (number + 1), **more)
        request = json.dumps({"model": "gpt-5", "messages": messages}).encode()
        choice = {**ANSWER["choices"][0], "message": {"role": "assistant", "content": answer}}
        body = json.dumps(ANSWER | {"choices": [choice]}).encode()
        kept = Kept(request, body) if answer else Kept(request, error="The upstream is away.")
        keep(record, kept, session_id=session, status=200 if answer else 502)
    return session


def page_of(session: UUID) -> str:
    return f"/o/acme/sessions/{id_text(session)}"


def test_session_is_one_story_with_the_cost_of_each_step(people: Cast) -> None:
    reader(people)
    session = work(
        people,
        (asked("List the gates"), "Two gates"),
        (asked("List the gates", "Two gates", "Close one"), ""),
        (asked("List the gates", "Two gates", "Close one"), "Closed"),
        (asked("List the gates", "One gate", "Open it"), "Opened"),
    )
    browser = signed_in(people.bob)
    assert f"{page_of(session)}/conversation" in browser.get(page_of(session)).content.decode()
    form = browser.get(f"{page_of(session)}/conversation").content.decode()
    assert "Show conversation" in form
    assert "gates" not in form
    answer = browser.post(f"{page_of(session)}/conversation", {"reason": "a complaint"})
    assert answer["Cache-Control"] == "private, no-store"
    body = answer.content.decode()
    for once in ("List the gates", "Two gates", "Close one", "Closed", "Opened", "One gate"):
        assert body.count(once) == 1, once
    assert "The upstream is away." in body
    assert "The same request as step 2, sent again" in body
    assert re.search(r'href="#step-1">[^<]*a branch from step 1 begins', body)
    assert 'id="step-1"' in body
    assert [cost for cost in ("$0.001", "$0.002", "$0.003", "$0.004") if cost not in body] == []
    event = AuditEvent.objects.get(action__startswith="content.")
    assert (event.action, event.reason) == ("content.session_read", "a complaint")
    log = signed_in(people.alice).get("/o/acme/audit").content.decode()
    assert "read the texts of <bdi>4</bdi> requests of session" in log


def test_session_is_downloaded_as_a_line_for_each_request(people: Cast) -> None:
    reader(people)
    session = work(people, (asked("One"), "Two"), (asked("One", "Two", "Three"), "Four"))
    data = {"reason": "a complaint", "file": "lines"}
    answer = signed_in(people.bob).post(f"{page_of(session)}/conversation", data)
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Cache-Control"] == "private, no-store"
    lines = [json.loads(line) for line in answer.content.decode().splitlines()]
    assert [len(json.loads(line["request"])["messages"]) for line in lines] == [1, 3]
    assert {line["session_id"] for line in lines} == {id_text(session)}
    assert AuditEvent.objects.filter(action="content.session_read").count() == 1


def test_session_is_not_shown_without_a_reason_or_to_others(people: Cast) -> None:
    """P12"""
    session = work(people, (asked("Secret gates"), "Two"))
    for person, status in ((people.alice, 403), (people.charlie, 404)):
        browser = signed_in(person)
        assert browser.get(f"{page_of(session)}/conversation").status_code == status
        shown = browser.post(f"{page_of(session)}/conversation", {"reason": "why"})
        assert shown.status_code == status
    page = signed_in(people.alice).get(page_of(session)).content.decode()
    assert "/conversation" not in page
    reader(people)
    browser = signed_in(people.bob)
    refused = browser.post(f"{page_of(session)}/conversation", {"reason": " "})
    assert refused.status_code == 422
    assert "Secret gates" not in refused.content.decode()
    assert browser.get(f"{page_of(new_id())}/conversation").status_code == 404
    assert browser.get("/o/acme/sessions/none/conversation").status_code == 404
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()
