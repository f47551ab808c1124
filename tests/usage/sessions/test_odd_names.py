"""Whatever a client calls its session, every reader of it goes on: pages, exports, sums."""

import csv
import io
import json
import zipfile
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import Key
from dialects.json.body import read_body
from lib import clock
from lib.ids import id_text
from relay.requests.sessions import Session, read_session_headers, read_session_members
from tests.support import cast, hostile
from tests.usage.rows import NOON, credit
from tests.usage.sessions.test_sessions import SESSIONS, api, page_of, turn
from usage.models import Rollup
from usage.rollups.rollups import replace_all

TEXTS = (*hostile.STORABLE, hostile.NUL, hostile.LONG, hostile.EVERYTHING, "a" * 10_000, "שלום")


@pytest.fixture
def sessions(people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """A session for each text, as the relay reads and stores it, with a sub-agent of that name."""
    monkeypatch.setattr(clock, "now", lambda: NOON)
    credit(key)
    read = []
    for number, text in enumerate(TEXTS):
        body = read_body(json.dumps({"metadata": {"session_id": text}}).encode())
        session = read_session_members(key.id, body)
        if session is None:
            continue
        headers = {
            b"x-claude-code-session-id": f"s{number}".encode(),
            b"x-claude-code-agent-id": text.encode(),
        }
        named = read_session_headers(key.id, headers)
        assert named is not None
        session = session._replace(agent=named.agent)
        turn(key, session.id, -number - 60, named=json.loads(session.details))
        read.append(session)
    assert len(read) > 10
    return read


def test_pages_show_the_name(people: cast.Cast, sessions: list[Session]) -> None:
    alice = cast.signed_in(people.alice)
    listed = page_of(alice, "?rows=100&range=custom&from=2026-01-01&to=2027-01-01")
    for session in sessions:
        assert id_text(session.id) in listed
        page = page_of(alice, f"/{id_text(session.id)}")
        assert " ".join(session.name.split()) in page
        if session.agent:
            assert " ".join(session.agent.split()) in page


def test_the_api_finds_it_by_its_name(people: cast.Cast, sessions: list[Session]) -> None:
    client = api(people)
    for session in sessions:
        query = {"name": session.name, "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
        found = client.get("/api/v1/sessions", query).json()["items"]
        assert id_text(session.id) in {row["id"] for row in found}, session.name
        assert {row["name"] for row in found} == {session.name}
        detail = client.get(f"/api/v1/sessions/{id_text(session.id)}").json()
        agents = [one["name"] for one in detail["agents"]]
        assert session.agent in agents or not session.agent


def exported(people: cast.Cast, form: str) -> bytes:
    client = cast.signed_in(people.alice)
    query = f"?cols=name,id&range=custom&from=2026-01-01&to=2027-01-01&export={form}"
    answer: Any = client.get(f"{SESSIONS}{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def test_exports_hold_it_as_a_text(people: cast.Cast, sessions: list[Session]) -> None:
    """A spreadsheet runs nothing of it."""
    names = {id_text(session.id): session.name for session in sessions}
    rows = list(csv.reader(io.StringIO(exported(people, "csv").decode("utf-8-sig"), newline="")))
    written = {id: name for name, id in rows[1:]}
    assert written.keys() == names.keys()
    for id, name in names.items():
        assert written[id].lstrip("'\t") == name.lstrip("'\t")
        assert written[id][0] not in "=+-@"
    lines = [json.loads(line) for line in exported(people, "jsonl").splitlines()]
    assert {tuple(line.values()) for line in lines} == {(name, id) for id, name in names.items()}
    with zipfile.ZipFile(io.BytesIO(exported(people, "xlsx"))) as book:
        assert not any(b"<f>" in book.read(name) for name in book.namelist())


def test_sums_count_its_requests(people: cast.Cast, key: Key, sessions: list[Session]) -> None:
    with connection.cursor() as cursor:
        replace_all(cursor, NOON)
    assert sum(Rollup.objects.filter(key_id=key.id).values_list("requests", flat=True)) == len(
        sessions
    )


def test_long_names_with_one_beginning_are_two_sessions(key: Key) -> None:
    ids = set[UUID]()
    for length in (9_999, 10_000):
        body = read_body(json.dumps({"session_id": "長" * length}).encode())
        session = read_session_members(key.id, body)
        assert session is not None
        assert len(session.name) == 128
        ids.add(session.id)
    assert len(ids) == 2
