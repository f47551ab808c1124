"""Webhooks by page: the secret once, the deliveries, sending again."""

import datetime as dt
import re

from lib.ids import id_text
from notify.endpoints.signing import PREVIOUS_SIGNS_FOR
from notify.events.kinds import FOR_ORGANISATIONS
from notify.models import Delivery, WebhookEndpoint
from tests.notify.deliveries.test_telling import let_time_pass, tell
from tests.notify.receiver import Receiver
from tests.support import cast
from tests.support.lists import file_of, rows_of


def test_webhook_from_creation_to_deletion(
    people: cast.Cast,
    server: Receiver,
) -> None:
    alice = cast.signed_in(people.alice)
    refused = alice.post("/o/acme/webhooks/new", {"url": "ftp://example.com"})
    assert refused.status_code == 422
    response = alice.post("/o/acme/webhooks/new", {"url": server.url, "kinds": ["topup.paid"]})
    secret = re.findall(r"whsec_[A-Za-z0-9+/=]+", response.content.decode())
    assert len(secret) == 1
    assert response["Cache-Control"] == "private, no-store"
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.kinds == ["topup.paid"]
    listed = alice.get("/o/acme/webhooks").content.decode()
    page = f"/o/acme/webhooks/{id_text(endpoint.id)}"
    assert f'href="{page}"' in listed
    assert secret[0] not in listed + alice.get(page).content.decode()
    assert alice.post(f"{page}/test").status_code == 303
    assert "In progress" in rows_of(alice, page)[0]
    server.statuses = [500, 204]
    tell()
    let_time_pass()
    tell()
    text = alice.get(page).content.decode()
    assert "Delivered" in rows_of(alice, page)[0]
    assert [row["state"] for row in file_of(alice, f"{page}?state=delivered&export=csv")] == [
        "Delivered"
    ]
    assert rows_of(alice, f"{page}?state=dead&sort=time") == []
    again = re.findall(rf'action="({page}/deliveries/\w+/send)"', text)
    alice.post(again[0])
    assert Delivery.objects.get().state == "pending"
    text = alice.post(f"{page}/rotate").content.decode()
    rotated = re.findall(r"whsec_[A-Za-z0-9+/=]+", text)
    assert len(rotated) == 1
    assert (
        f"For {PREVIOUS_SIGNS_FOR // dt.timedelta(hours=1)} hours, events are also signed" in text
    )
    assert rotated != secret
    bob = cast.signed_in(people.bob)
    assert bob.get(page).status_code == 403
    assert cast.signed_in(people.charlie).get(page).status_code == 404
    assert alice.get(f"{page}/remove").status_code == 200
    assert alice.post(f"{page}/remove", {"confirm": "other"}).status_code == 422
    alice.post(f"{page}/remove", {"confirm": "127.0.0.1"})
    assert alice.get(page).status_code == 404


def test_a_webhook_is_changed_on_its_page(people: cast.Cast, server: Receiver) -> None:
    alice = cast.signed_in(people.alice)
    alice.post("/o/acme/webhooks/new", {"url": server.url, "kinds": ["topup.paid"]})
    page = f"/o/acme/webhooks/{id_text(WebhookEndpoint.objects.get().id)}"
    form = alice.get(f"{page}/edit").content.decode()
    boxes = re.findall(r'name="kinds" value="([\w.]+)"', form)
    expected = {kind.name for kind in FOR_ORGANISATIONS} - {"webhook.tested"}
    assert sorted(boxes) == sorted(expected)  # each in one group
    assert len(re.findall(r'name="kinds" value="[\w.]+"[^>]* checked', form)) == 1
    sent = {"name": "Ops", "url": f"{server.url}/new", "kinds": ["budget.reached"]}
    assert alice.post(f"{page}/edit", {**sent, "url": "ftp://x"}).status_code == 422
    assert alice.post(f"{page}/edit", sent).status_code == 303
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.name, endpoint.url, endpoint.kinds) == (
        "Ops", f"{server.url}/new", ["budget.reached"],
    )  # fmt: skip
    assert cast.signed_in(people.bob).get(f"{page}/edit").status_code == 403


def test_webhooks_are_filtered_sorted_and_exported(people: cast.Cast, server: Receiver) -> None:
    alice, page = cast.signed_in(people.alice), "/o/acme/webhooks"
    for name, kinds in (("b", []), ("a", ["topup.paid"])):
        alice.post(f"{page}/new", {"url": f"{server.url}/{name}", "kinds": kinds})
    urls = [row["url"] for row in file_of(alice, f"{page}?sort=url&export=csv")]
    assert urls == [f"{server.url}/a", f"{server.url}/b"]
    [row] = rows_of(alice, f"{page}?q=TOPUP&cols=url,events")
    assert "Top-up paid" in row
