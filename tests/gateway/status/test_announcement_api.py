"""Announcements by the management API."""

import datetime as dt
import json
from typing import Any

from django.test import Client

from accounts.models import AuditEvent
from lib import clock
from tests.support.cast import Cast, signed_in

URL = "/api/v1/announcements"


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    return client.generic(method, path, data, "application/json")


def test_an_announcement_is_published_changed_and_ended(people: Cast) -> None:
    dora = signed_in(people.dora)
    body = send(dora, "POST", URL, {"title": "Maintenance", "tone": "warn"}).json()
    one = f"{URL}/{body['id']}"
    assert "Maintenance" in signed_in(people.bob).get("/o/acme/").content.decode()
    end = clock.rfc3339(clock.now() + dt.timedelta(days=1))
    changed = send(dora, "PATCH", one, {"text": "On Sunday", "ends_at": end}).json()
    assert (changed["title"], changed["text"]) == ("Maintenance", "On Sunday")
    assert changed["ends_at"] is not None
    assert send(dora, "PATCH", one, {"ends_at": None}).json()["ends_at"] is None
    early = send(dora, "PATCH", one, {"ends_at": "2020-01-01T00:00:00Z"})
    assert (early.status_code, early.json()["error"]["param"]) == (422, "ends_at")
    assert send(dora, "DELETE", one).status_code == 204
    assert dora.get(one).json()["ends_at"] is not None
    assert "Maintenance" not in signed_in(people.bob).get("/o/acme/").content.decode()
    later = clock.rfc3339(clock.now() + dt.timedelta(days=1))
    waiting = send(dora, "POST", URL, {"title": "Later", "starts_at": later}).json()
    assert send(dora, "DELETE", f"{URL}/{waiting['id']}").status_code == 204
    assert dora.get(f"{URL}/{waiting['id']}").status_code == 404
    assert AuditEvent.objects.filter(action__startswith="announcement.").count() == 6
    assert send(signed_in(people.alice), "POST", URL, {"title": "x"}).status_code == 403
