"""Searching and downloading the content log by the management API (P12, P31)."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, KeyKind, User
from content.log import log
from lib import clock
from lib.ids import id_text
from tests.content.log.entries import put_in_store
from tests.support.cast import Cast, make_key, signed_in
from tests.usage.contents.test_search_page import asked, key_of, reader

pytestmark = pytest.mark.django_db

SEARCH, DOWNLOAD = "/api/v1/content-log/search", "/api/v1/content-log/download"


def api_of(people: Cast, user: User) -> Client:
    _, secret = make_key(people.core, "management", user=user, kind=KeyKind.MANAGEMENT)
    return Client(headers={"authorization": f"Bearer {secret}"})


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def test_search_returns_hits_and_how_far_it_looked(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader(people)
    client = api_of(people, people.bob)
    key = key_of(people.core, "ci", user=people.alice)
    old = asked(key, "a needle here", minutes_ago=30)
    asked(key, "hay", minutes_ago=20)
    monkeypatch.setattr(log, "LOOKED_AT_MAX", 1)
    first = post(client, SEARCH, text="NEEDLE", reason="a complaint").json()
    assert (first["items"], first["looked_at"]) == ([], 1)
    body = {"text": "NEEDLE", "reason": "a complaint", "cursor": first["next"]}
    second = post(client, SEARCH, **body).json()
    assert second == {
        "items": [
            {
                "request_id": id_text(old.request_id), "session_id": None,
                "created_at": clock.rfc3339(old.created_at),
                "team": "core", "key": id_text(key.id), "key_name": "ci",
                "person": people.alice.email, "model": "gpt-5", "status": 200,
                "before": "a ", "match": "needle", "after": " here",
            }
        ],
        "looked_at": 1, "back_to": clock.rfc3339(old.created_at), "next": None,
    }  # fmt: skip
    assert AuditEvent.objects.filter(action="content.searched").count() == 2


def test_filters_and_cursors_that_are_wrong_are_refused(people: Cast) -> None:
    reader(people)
    client = api_of(people, people.bob)
    good: dict[str, Any] = {"text": "needle", "reason": "why"}
    for wrong in (
        {"reason": " "}, {"reason": None}, {"text": ""}, {"text": " "}, {"text": "x" * 501},
        {"project": ["x"]}, {"status": "review"}, {"from": "yesterday"}, {"key": ["x"]},
    ):  # fmt: skip
        assert post(client, SEARCH, **good | wrong).status_code in (400, 422), wrong
    for wrong in ({"text": "\x00"}, {"cursor": "made-up"}):
        assert post(client, SEARCH, **good | wrong).status_code in (400, 422), wrong
        assert post(client, DOWNLOAD, **good | wrong).status_code in (400, 422), wrong
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_download_is_filtered_and_ends_with_a_cursor(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader(people)
    client = api_of(people, people.bob)
    key = key_of(people.core, "ci")
    asked(key, "needle", minutes_ago=120)
    asked(key, "needle", status=500)
    asked(key, "hay", status=500)
    monkeypatch.setattr(log, "DOWNLOADED_MAX", 1)
    since = clock.rfc3339(clock.now() - dt.timedelta(hours=1))
    body: dict[str, Any] = {"reason": "an audit", "status": "error", "from": since}
    texts = []
    while True:
        answer = post(client, DOWNLOAD, **body)
        assert answer["Content-Type"] == "application/x-ndjson"
        assert "no-store" in answer["Cache-Control"]
        *lines, end = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
        texts += [json.loads(line["request"])["messages"][0]["content"] for line in lines]
        if end["next"] is None:
            break
        body["cursor"] = end["next"]
    assert sorted(texts) == ["hay", "needle"]


def test_keys_of_owners_and_operators_read_nothing(people: Cast) -> None:
    """P12"""
    asked(key_of(people.core, "ci"), "needle")
    owner = api_of(people, people.alice)
    operator = signed_in(people.dora)
    for client in (owner, operator):
        for path in (SEARCH, DOWNLOAD):
            answer = post(client, path, text="needle", reason="why")
            assert answer.status_code in (401, 403, 404)
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()


def test_store_that_is_away_answers_503(people: Cast, tmp_path: Path, settings: Any) -> None:
    settings.CONTENT_STORE = (tmp_path / "store").as_uri()
    reader(people)
    put_in_store(asked(key_of(people.core, "ci", user=people.alice), "a needle here"))
    settings.CONTENT_STORE = ""
    answer = post(api_of(people, people.bob), SEARCH, text="needle", reason="a complaint")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "content_store_unavailable")
    assert "does not answer now" in error["message"]
