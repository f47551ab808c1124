"""Saved views and their reports by the management API."""

import json
from typing import Any

from django.test import Client

from accounts.models import AuditEvent, KeyKind
from tests.support.cast import Cast, make_key, with_key

URL = "/api/v1/saved-views"
VIEW = {"page": "usage", "name": "By model", "query": "range=30d&group=model", "shared": True}
REPORT = {"every": "week", "hour": 7, "timezone": "Asia/Kolkata", "people": ["alice@example.org"]}


def program_of(people: Cast, name: str, kind: KeyKind = KeyKind.MANAGEMENT) -> Client:
    _, text = make_key(people.core, f"{kind} of {name}", user=getattr(people, name), kind=kind)
    return with_key(text)


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    return client.generic(method, path, data, "application/json")


def test_a_view_and_its_report_by_the_api(people: Cast) -> None:
    alice = program_of(people, "alice")
    body = send(alice, "POST", URL, VIEW).json()
    assert body | VIEW == body
    assert body["owner"] == "alice@example.org"
    assert send(alice, "POST", URL, VIEW).status_code == 409
    one = f"{URL}/{body['id']}"
    changed = send(alice, "PATCH", one, {"query": "range=7d", "name": "Week"}).json()
    assert (changed["name"], changed["query"], changed["shared"]) == ("Week", "range=7d", True)
    report = f"{one}/report"
    assert alice.get(report).status_code == 404
    stored = send(alice, "PUT", report, REPORT).json()
    assert stored | REPORT == stored
    assert alice.get(report).json() == stored
    wrong = send(alice, "PUT", report, {**REPORT, "people": ["nobody@example.org"]})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "people")
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        refused = send(alice, "PUT", report, {**REPORT, "timezone": zone})
        assert (refused.status_code, refused.json()["error"]["param"]) == (422, "timezone")
    assert send(alice, "DELETE", report).status_code == 204
    assert alice.get(report).status_code == 404
    assert send(alice, "DELETE", one).status_code == 204
    actions = AuditEvent.objects.filter(action__regex="^(view|report)").order_by("id")
    assert [event.action for event in actions] == [
        "view.saved", "view.changed", "report.scheduled", "report.ended", "view.deleted",
    ]  # fmt: skip


def test_only_its_person_changes_a_view(people: Cast) -> None:
    """P12: a shared view is read by colleagues; a key that calls models has none of its own."""
    document = send(program_of(people, "alice"), "POST", URL, VIEW).json()
    one = f"{URL}/{document['id']}"
    bob = program_of(people, "bob")
    assert bob.get(one).json()["name"] == "By model"
    model_key = program_of(people, "alice", KeyKind.RELAY)
    assert model_key.get(one).status_code == 200
    for client, status in ((bob, 404), (model_key, 403), (program_of(people, "dora"), 401)):
        for method, path, body in (
            ("PATCH", one, {"shared": False}),
            ("DELETE", one, None),
            ("PUT", f"{one}/report", REPORT),
        ):
            assert send(client, method, path, body).status_code == status, (method, status)
    assert send(model_key, "POST", URL, {**VIEW, "name": "x"}).status_code == 403
