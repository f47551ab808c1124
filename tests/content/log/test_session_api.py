"""A session's kept texts over the management API (P12, P31)."""

import json
from uuid import UUID

import pytest

from accounts.models import AuditEvent, KeyKind
from content.models import DataKey
from lib.ids import id_text, new_id
from tests.content.log.test_log import kept, reader
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


def path_of(session: UUID) -> str:
    return f"/api/v1/content-log/sessions/{id_text(session)}"


def test_session_is_read_as_json_and_as_lines(people: Cast) -> None:
    reader(people)
    session = new_id()
    kept(people.core, "One 😀", "Two", session_id=session)
    (gone,) = kept(people.core, "Gone", session_id=session)
    DataKey.objects.filter(id=gone.data_key_id).delete()
    _, text = cast.make_key(people.core, "bob", user=people.bob, kind=KeyKind.MANAGEMENT)
    client = cast.with_key(text)
    answer = client.get(path_of(session), {"reason": "a complaint"})
    body = answer.json()
    assert (body["older"], body["unreadable"]) == (False, 1)
    asked = [json.loads(item["request"])["messages"][0]["content"] for item in body["requests"]]
    assert asked == ["One 😀", "Two"]
    assert body["requests"][0]["error"] == "No channel answered."
    lines = client.get(path_of(session), {"reason": "a complaint", "format": "jsonl"})
    assert lines["Content-Type"] == "application/x-ndjson"
    read = [json.loads(line) for line in lines.content.decode().splitlines()]
    assert read == body["requests"]
    assert (read[0]["session_id"], read[0]["team"], read[0]["person"]) == (
        id_text(session), "core", None,
    )  # fmt: skip
    events = AuditEvent.objects.filter(action="content.session_read")
    assert [event.reason for event in events] == ["a complaint"] * 2


def test_session_is_refused_without_a_reason_and_to_others(people: Cast) -> None:
    """P12"""
    session = new_id()
    kept(people.core, "One", session_id=session)
    _, owners = cast.make_key(people.core, "owner", user=people.alice, kind=KeyKind.MANAGEMENT)
    assert cast.with_key(owners).get(path_of(session), {"reason": "why"}).status_code == 403
    reader(people)
    _, text = cast.make_key(people.core, "bob", user=people.bob, kind=KeyKind.MANAGEMENT)
    client = cast.with_key(text)
    assert client.get(path_of(session)).status_code == 422
    assert client.get(path_of(session), {"reason": " "}).status_code == 422
    assert client.get(path_of(new_id()), {"reason": "why"}).status_code == 404
    assert client.get("/api/v1/content-log/sessions/none", {"reason": "why"}).status_code == 404
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()
