"""Addresses that somebody gave with a request: called as webhooks are, but for three tries, and not
for a key that has ended."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Key
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from notify.deliveries import deliveries, results, sending
from notify.deliveries.deliveries import HookCall, call_hook
from notify.deliveries.retries import HOOK_TRIES_MAX
from notify.endpoints.signing import key_secret
from notify.models import Delivery
from outbox.facts import put
from tests.lib.network.test_guarded_pool import dripping
from tests.notify.deliveries.test_telling import let_time_pass
from tests.notify.receiver import Receiver, signed
from tests.support import cast
from tests.usage.rows import credit, happen
from usage.models import UsageRecord

TEXT = "sk-weir-the-key-of-the-request"
BODY = json.dumps({"id": "1", "prompt": "a cat"})


def ordered(people: cast.Cast, server: Receiver, **over: Any) -> Key:
    """A fact that an address shall hear of, and the key that the request had."""
    key, _ = cast.make_key(people.core, "hooks")
    call = HookCall(f"{server.url}/done", key_secret(TEXT), str(key.id), BODY)
    with transaction.atomic():
        call_hook(put("task.completed", people.acme.id), call._replace(**over))
    return key


def tell() -> int:
    due = deliveries.lease_due(10)
    for delivery_id in due:
        sending.send(delivery_id)
    return len(due)


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\na: ", b"HTTP/1.1 302 Found\r\na: "])
def test_attempt_ends_however_slowly_the_receiver_answers(
    people: cast.Cast, server: Receiver, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """P9: a receiver that sends byte by byte does not hold the worker's threads."""
    assert sending._ATTEMPT_S < deliveries.LEASE_S / 2
    monkeypatch.setattr(sending, "_ATTEMPT_S", 0.2)
    with dripping(begun) as url:
        ordered(people, server, url=url)
        assert tell() == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries[0]["status"]) == ("pending", None)
    assert delivery.tries[0]["error"] == results.BROKEN_OFF["timeout"]


def test_hook_gets_the_body_signed_for_the_key_holder(people: cast.Cast, server: Receiver) -> None:
    ordered(people, server)
    assert (tell(), tell()) == (1, 0)
    ((headers, body),) = server.got
    assert body == BODY.encode()
    assert signed(key_secret(TEXT), headers, body)
    assert not signed(key_secret(TEXT + "x"), headers, body)
    delivery = Delivery.objects.get()
    assert headers["webhook-id"] == id_text(delivery.fact_id)
    assert (delivery.state, delivery.hook) == ("delivered", None)


def test_it_is_tried_three_times_with_the_same_bytes(people: cast.Cast, server: Receiver) -> None:
    ordered(people, server)
    server.statuses = [500]
    for _ in range(HOOK_TRIES_MAX):
        assert (tell(), tell()) == (1, 0)
        let_time_pass()
    assert tell() == 0
    delivery = Delivery.objects.get()
    assert (delivery.state, len(delivery.tries), delivery.hook) == ("dead", 3, None)
    assert len({(headers["webhook-id"], body) for headers, body in server.got}) == 1
    assert [one["error"] for one in delivery.tries] == ["Answered with status 500."] * 3


def test_hook_attempts_are_on_the_requests_page(people: cast.Cast, server: Receiver) -> None:
    """What is seen of them is what a webhook's owner sees, and nobody else's is."""
    key, _ = cast.make_key(people.core, "hooks", user=people.bob)
    credit(key)
    one, other = (
        happen(key, clock.now(), ended_at=clock.now(), operation="suno_music") for _ in range(2)
    )
    call = HookCall(f"{server.url}/done?secret=1", key_secret(TEXT), str(key.id), BODY)
    with transaction.atomic():
        call_hook(put("task.completed", people.acme.id, request=id_text(one.request_id)), call)
    bob = cast.signed_in(people.bob)

    def page(record: UsageRecord) -> str:
        response = bob.get(f"/o/acme/requests/{id_text(record.request_id)}")
        assert response.status_code == 200
        return response.content.decode()

    assert "Nothing sent yet" in page(one)
    server.statuses = [500, 204]
    for _ in range(2):
        assert tell() == 1
        let_time_pass()
    page_text = page(one).partition('id="callback-title"')[2].partition("</section>")[0]
    assert "Delivered" in page_text
    answers = re.findall(r'<td class="w">([^<]+)</td>', page_text)
    assert answers == ["500", "204"]
    assert "secret=1" not in page(one)
    assert "callback-title" not in page(other)
    # Rows of another organisation are not even there for this one's pages.
    with use_tenant(people.stranger.id):
        assert not Delivery.objects.exists()
    with use_tenant(people.acme.id):
        assert Delivery.objects.filter(endpoint=None, user=None).count() == 1


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
def test_it_ends_with_the_key_of_the_request(people: cast.Cast, server: Receiver, end: str) -> None:
    """P23: who has a key that was revoked hears nothing more."""
    key = ordered(people, server)
    Key.objects.filter(id=key.id).update(**{end: clock.now() - dt.timedelta(seconds=1)})
    assert tell() == 1
    assert server.got == []
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.hook) == ("dead", None)
    assert delivery.tries[0]["error"] == "The key of the request has ended."


@pytest.mark.parametrize(
    "url", ["https://", "https://[", "https://a b/", "https://\x00/", "https://é.example:99999/"]
)
def test_invalid_hook_address_is_tried_and_harms_nothing(
    people: cast.Cast, server: Receiver, url: str
) -> None:
    ordered(people, server, url=url)
    assert tell() == 1
    assert Delivery.objects.get().tries[0]["error"]
    assert server.got == []
