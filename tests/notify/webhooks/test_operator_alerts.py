"""Operators' alerts in chats: a channel, a job and a bill, in the form of each service, and to
operators alone (P13, P14, I25)."""

import re
from typing import Any

import pytest
from django.db import transaction

from accounts.models import KeyKind
from lib.ids import id_text, new_id
from notify.endpoints import endpoints
from notify.endpoints.endpoints import WebhookRefused
from notify.events.kinds import FOR_OPERATORS
from notify.models import Delivery, WebhookEndpoint
from outbox.facts import put
from tests.notify.chats import ADDRESSES, SECRETS, SERVICES, Chats
from tests.notify.deliveries.test_telling import happen, tell
from tests.notify.receiver import Receiver
from tests.support import cast

pytestmark = pytest.mark.django_db
FACTS: dict[str, dict[str, Any]] = {
    "channel.troubled": {
        "channel": "main-7", "channel_id": "0", "cause": "no_credit", "what": "", "last": True,
    },
    "jobs.stopped": {
        "jobs": [
            {"task": "t", "title": "Seal the ledger", "since": "2026-11-22T00:00:00Z", "error": ""}
        ],
    },
    "bill.differs": {
        "bill": id_text(new_id()), "provider": "openai", "first_on": "2026-10-01",
        "last_on": "2026-10-31", "differences": 3, "billed": "10.00", "ours": "9.00",
        "currency": "USD",
    },
}  # fmt: skip
SAID = {"channel.troubled": "main-7", "jobs.stopped": "Seal the ledger", "bill.differs": "openai"}


@pytest.fixture
def chats(server: Receiver) -> Chats:
    new_chats = Chats()
    server.judge = new_chats.judge
    return new_chats


def add(people: cast.Cast, server: Receiver, service: str, **over: Any) -> WebhookEndpoint:
    endpoint, _ = endpoints.create_endpoint(
        cast.actor(people.dora), None, server.url + ADDRESSES[service],
        service=service, secret=SECRETS[service], **over,
    )  # fmt: skip
    return endpoint


def test_each_chat_gets_each_alert_of_operators_once(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    for service in SERVICES:
        add(people, server, service)
    with transaction.atomic():
        for kind, body in FACTS.items():
            put(kind, None, **body)
    tell()
    assert tell() == 0
    assert chats.refused == []
    assert len(chats.said) == len(SERVICES) * len(FACTS)
    for word in SAID.values():
        assert sorted(name for name, text in chats.said if word in text) == sorted(SERVICES)


def test_organisations_and_operators_get_only_their_own_alerts(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    mine = add(people, server, "slack", kinds=["jobs.stopped"])
    theirs, _ = endpoints.create_endpoint(
        cast.actor(people.alice, people.acme), people.acme, server.url + ADDRESSES["wecom"],
        service="wecom",
    )  # fmt: skip
    with transaction.atomic():
        put("jobs.stopped", None, **FACTS["jobs.stopped"])
        put("channel.troubled", None, **FACTS["channel.troubled"])
    happen(people, amount="5.00", currency="USD", expires_at=None)
    tell()
    deliverys = Delivery.objects.exclude(endpoint=None).values_list("endpoint", "fact__kind")
    assert sorted(deliverys, key=str) == sorted(
        [(mine.id, "jobs.stopped"), (theirs.id, "code.redeemed")], key=str
    )
    for kind, organisation in (("code.redeemed", None), ("jobs.stopped", people.acme)):
        with pytest.raises(WebhookRefused, match="no event"):
            endpoints.create_endpoint(
                cast.actor(people.dora), organisation, "https://example.com/h", [kind]
            )


def test_the_page_and_the_api_never_show_the_address(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    dora, page = cast.signed_in(people.dora), "/admin/alerts"
    assert "Email only" in dora.get(page).content.decode()
    sent = {"service": "feishu", "name": "On call", "secret": SECRETS["feishu"]}
    assert dora.post(f"{page}/new", {**sent, "url": "ftp://x"}).status_code == 422
    answer = dora.post(f"{page}/new", {**sent, "url": server.url + ADDRESSES["feishu"]})
    assert answer.status_code in (302, 303)
    endpoint = WebhookEndpoint.objects.get(organisation=None)
    edit = f"{page}/{id_text(endpoint.id)}/edit"
    form = dora.get(edit).content.decode()
    boxes = re.findall(r'name="kinds" value="([\w.]+)"', form)
    assert sorted(boxes) == sorted(kind.name for kind in FOR_OPERATORS)
    assert 'name="url"' not in form
    assert dora.post(edit, {"name": "On call", "language": "zh-hans"}).status_code == 303
    endpoint.refresh_from_db()
    assert endpoint.language == "zh-hans"
    dora.post(edit, {"name": "On call", "language": "en"})
    dora.post(f"{page}/{id_text(endpoint.id)}/test")
    tell()
    assert [name for name, _ in chats.said] == ["feishu"]
    page_text = dora.get(page).content.decode()
    assert "On call" in page_text
    assert "Delivered" in page_text
    assert "Email only" not in page_text
    assert "s3cret" not in page_text
    assert SECRETS["feishu"] not in page_text
    dora.post(f"{page}/{id_text(endpoint.id)}/remove")
    assert "Email only" in dora.get(page).content.decode()
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    assert cast.with_key(text).get("/api/v1/operator-webhooks").status_code in (401, 403, 404)
