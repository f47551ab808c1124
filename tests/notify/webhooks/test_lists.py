"""What the pages of webhooks and alerts say of what was sent, and which of it they list."""

from typing import Any

import pytest
from django.test import Client

from lib import clock
from lib.ids import id_text
from notify.endpoints import endpoints
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from notify.webhooks.views import ALERTS, DELIVERIES
from outbox.models import Fact
from tests.support.cast import Cast, actor, make_key, signed_in, with_key
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db
FAILED = {"at": "2026-11-01T10:00:00+00:00", "status": 500, "error": "", "ms": 1200}
ASKED = {"at": "2026-11-01T10:01:00+00:00", "asked": True}
BROKEN = {"at": "2026-11-01T10:02:00+00:00", "status": None, "error": "No connection.", "ms": 7}
TAKEN = {"at": "2026-11-01T10:03:00+00:00", "status": 204, "error": "", "ms": 31}


def webhook(people: Cast, url: str = "https://one.example.com/h", **more: Any) -> WebhookEndpoint:
    endpoint, _ = endpoints.create_endpoint(
        actor(people.alice, people.acme), people.acme, url, **more
    )
    return endpoint


def alert(people: Cast, url: str, **more: Any) -> WebhookEndpoint:
    endpoint, _ = endpoints.create_endpoint(actor(people.dora), None, url, **more)
    return endpoint


def sent(
    endpoint: WebhookEndpoint, kind: str, state: DeliveryState, *tries: dict[str, Any]
) -> Delivery:
    fact = Fact.objects.create(
        kind=kind, organisation_id=endpoint.organisation_id, taken_at=clock.now()
    )
    return Delivery.objects.create(fact=fact, endpoint=endpoint, state=state, tries=list(tries))


def listed(client: Client, page: str, query: str, column: str) -> list[str]:
    """One column of a list, as its file has it."""
    return [row[column] for row in file_of(client, f"{page}?{query}&export=csv")]


def test_delivery_shows_its_last_attempt_and_counts_no_wish_to_repeat(people: Cast) -> None:
    endpoint = webhook(people)
    delivery = sent(endpoint, "topup.paid", DeliveryState.DEAD, FAILED, ASKED, BROKEN)
    page = f"/o/acme/webhooks/{id_text(endpoint.id)}"
    columns = ",".join(column.name for column in DELIVERIES.columns)
    (row,) = file_of(signed_in(people.alice), f"{page}?cols={columns}&export=csv")
    assert (row["response"], row["attempts"], row["duration_ms"]) == ("No connection.", "2", "7")
    assert (row["event"], row["state"]) == ("Top-up paid", "Failed")
    assert row["id"] == id_text(delivery.fact_id)


def test_deliveries_are_filtered_by_event_and_status(people: Cast) -> None:
    endpoint, alice = webhook(people), signed_in(people.alice)
    sent(endpoint, "topup.paid", DeliveryState.DEAD, BROKEN)
    sent(endpoint, "invoice.closed", DeliveryState.DELIVERED, TAKEN)
    page = f"/o/acme/webhooks/{id_text(endpoint.id)}"
    assert listed(alice, page, "kind=topup.paid", "event") == ["Top-up paid"]
    assert listed(alice, page, "state=delivered", "event") == ["Invoice closed"]
    assert listed(alice, page, "kind=topup.paid&state=delivered", "event") == []


def test_api_names_a_delivery_and_its_event_apart(people: Cast) -> None:
    """`webhook-id` is the event's: the same of each attempt, and at each receiver."""
    endpoint = webhook(people)
    delivery = sent(endpoint, "topup.paid", DeliveryState.DELIVERED, FAILED, ASKED, TAKEN)
    _, text = make_key(people.core, "m", user=people.alice, kind="management")
    answer = with_key(text).get(f"/api/v1/webhooks/{id_text(endpoint.id)}/deliveries").json()
    (item,) = answer["items"]
    assert (item["id"], item["event"]) == (id_text(delivery.id), id_text(delivery.fact_id))
    assert (item["type"], item["state"]) == ("topup.paid", "delivered")
    assert [(one["status"], one["ms"]) for one in item["tries"]] == [(500, 1200), (204, 31)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("on CALL", ["On call"]),
        ("two.example", ["two.example.com"]),
        ("wecom", ["On call"]),
        ("top-up paid", ["two.example.com"]),
        ("topup.paid", ["two.example.com"]),
        ("nothing", []),
    ],
)
def test_webhooks_are_found_by_each_of_their_words(
    people: Cast, words: str, found: list[str]
) -> None:
    webhook(people, "https://two.example.com/h", kinds=["topup.paid"])
    webhook(people, "https://qyapi.example.com/s", name="On call", service="wecom")
    assert listed(signed_in(people.alice), "/o/acme/webhooks", f"q={words}", "title") == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("NIGHT", ["Night"]),
        ("two.example", ["Books"]),
        ("ledger check failed", ["Books"]),
        ("nothing", []),
    ],
)
def test_alerts_are_found_by_each_of_their_words(
    people: Cast, words: str, found: list[str]
) -> None:
    alert(people, "https://two.example.com/h", name="Books", kinds=["books.wrong"])
    alert(people, "https://hooks.example.com/s", name="Night", service="slack")
    assert listed(signed_in(people.dora), "/admin/alerts", f"q={words}", "title") == found


def test_alerts_show_what_came_of_the_last_one(people: Cast) -> None:
    quiet = alert(people, "https://quiet.example.com/h")
    chat = alert(people, "https://hooks.example.com/s", name="Night", service="slack")
    sent(chat, "jobs.stopped", DeliveryState.DELIVERED, TAKEN)
    sent(chat, "jobs.stopped", DeliveryState.DEAD, FAILED, BROKEN)
    columns = ",".join(column.name for column in ALERTS.columns)
    rows = file_of(signed_in(people.dora), f"/admin/alerts?cols={columns}&export=csv")
    shown = {row["title"]: row for row in rows}
    assert (shown["Night"]["state"], shown["Night"]["response"]) == ("Failed", "No connection.")
    assert (shown["Night"]["service"], shown["Night"]["by"]) == ("Slack", people.dora.email)
    empty = shown["quiet.example.com"]
    assert (empty["state"], empty["response"]) == ("", "")
    assert quiet.service == "webhook"


def test_only_who_may_change_webhooks_is_offered_to(people: Cast) -> None:
    """An operator sees an organisation's webhooks, and makes none."""
    webhook(people)
    new = 'href="/o/acme/webhooks/new"'
    assert new in signed_in(people.alice).get("/o/acme/webhooks").content.decode()
    assert new not in signed_in(people.dora).get("/o/acme/webhooks").content.decode()


def test_page_asks_for_deliveries_again_while_one_waits(people: Cast) -> None:
    endpoint, alice = webhook(people), signed_in(people.alice)
    page = f"/o/acme/webhooks/{id_text(endpoint.id)}"
    sent(endpoint, "topup.paid", DeliveryState.DEAD, BROKEN)
    assert 'hx-trigger="every' not in alice.get(page).content.decode()
    sent(endpoint, "topup.paid", DeliveryState.PENDING, FAILED)
    assert 'hx-trigger="every' in alice.get(page).content.decode()


def test_page_of_a_chat_says_why_it_makes_no_new_secret(people: Cast) -> None:
    chat = webhook(people, "https://hooks.example.com/s", service="slack")
    page = f"/o/acme/webhooks/{id_text(chat.id)}"
    answer = signed_in(people.alice).post(f"{page}/rotate", follow=True)
    assert answer.redirect_chain == [(page, 303)]
    assert "Make a new address in the chat service" in answer.content.decode()


def test_webhook_is_deleted_only_by_typing_its_host(people: Cast) -> None:
    endpoint, alice = webhook(people), signed_in(people.alice)
    page = f"/o/acme/webhooks/{id_text(endpoint.id)}/remove"
    for typed in ("", "other.example.com", "one.example"):
        assert alice.post(page, {"confirm": typed}).status_code == 422
    endpoint.refresh_from_db()
    assert endpoint.removed_at is None
    assert alice.post(page, {"confirm": " one.example.com "}).status_code == 303
    endpoint.refresh_from_db()
    assert endpoint.removed_at is not None


def test_form_for_a_chat_begins_with_the_readers_language(people: Cast) -> None:
    alice = signed_in(people.alice, headers={"accept-language": "zh-hans"})
    form = alice.get("/o/acme/webhooks/new").content.decode()
    assert '<option value="zh-hans" selected>' in form
