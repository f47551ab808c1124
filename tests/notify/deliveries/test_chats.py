"""Alerts in Slack, Feishu, DingTalk and WeCom: in the form that each documents, once, and with
addresses that nobody reads back (W53, P13, P14)."""

import base64
import re
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.core.mail.backends.locmem import EmailBackend
from django.template.loader import get_template

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Key, KeyKind
from billing.limits import budget_alerts, budgets
from billing.models import Budget, BudgetWindow
from lib.ids import id_text
from notify.deliveries import deliveries, sending
from notify.endpoints import endpoints
from notify.endpoints.chat_services import TEXT_BYTES_MAX, chat_request, cut_text, refusal
from notify.endpoints.endpoints import WebhookRefused
from notify.events.kinds import FOR_ORGANISATIONS
from notify.models import Delivery, WebhookEndpoint
from tests.billing.limits.test_budgets import nothing
from tests.billing.racing import racers
from tests.notify.chats import ADDRESSES, SECRETS, SERVICES, Chats
from tests.notify.deliveries.test_telling import happen, let_time_pass, tell
from tests.notify.receiver import Receiver
from tests.support import cast
from tests.support.hostile import LONG, NUL, STORABLE
from tests.support.lists import rows_of

USD = 10**9


@pytest.fixture
def chats(server: Receiver) -> Chats:
    new_chats = Chats()
    server.judge = new_chats.judge
    return new_chats


def add(people: cast.Cast, server: Receiver, service: str, **over: Any) -> WebhookEndpoint:
    endpoint, page_text = endpoints.create_endpoint(
        cast.actor(people.alice, people.acme), people.acme, server.url + ADDRESSES[service],
        service=service, secret=SECRETS[service], **over,
    )  # fmt: skip
    assert page_text == ""
    return endpoint


def reached(people: cast.Cast, subject: str = "ci") -> None:
    happen(
        people, "budget.reached", budget="1", scope="key", subject=subject, limit="10.00",
        spent="8.00", currency="USD", threshold=80, spent_percent=80, action="block",
        resets_at="2026-12-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.mark.django_db
def test_each_service_takes_its_form_in_its_language(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    for service in SERVICES:
        add(people, server, service, kinds=["budget.reached"])
    add(people, server, "wecom", language="zh-hans", kinds=["budget.reached"])
    reached(people, '<at user_id="all">&<!channel>')
    happen(people, "topup.paid", amount="1", currency="USD", available="1")
    tell()
    assert chats.refused == []
    assert sorted(service for service, _ in chats.said) == sorted([*SERVICES, "wecom"])
    assert {row.state for row in Delivery.objects.exclude(endpoint=None)} == {"delivered"}
    for service, text in chats.said:
        assert "/b/1" in text
        assert "8.00" in text
        kept = "&lt;at" if service == "slack" else "＜at"
        assert kept in text
    assert any("已使用" in text for service, text in chats.said if service == "wecom")


@pytest.mark.django_db
def test_service_rejection_with_status_200_is_retried(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    codes = {"slack": "status 429", "feishu": "11232", "dingtalk": "410100", "wecom": "45009"}
    values = {
        service: add(people, server, service, kinds=["code.redeemed"]) for service in SERVICES
    }
    chats.busy = True
    happen(people, amount="5.00", currency="USD", expires_at=None)
    assert tell() == 4
    for service, endpoint in values.items():
        row = Delivery.objects.get(endpoint=endpoint)
        assert (row.state, codes[service] in row.tries[0]["error"]) == ("pending", True), service
    chats.busy = False
    let_time_pass()
    assert tell() == 4
    assert len(chats.said) == 4
    server.judge = lambda path, body: (200, b"<html>")
    happen(people, amount="5.00", currency="USD", expires_at=None)
    tell()
    errors = [row.tries[0]["error"] for row in Delivery.objects.order_by("-id")[:4]]
    assert sorted(errors) == ["", *["Refused with code -1."] * 3]


@pytest.mark.django_db
def test_address_and_secret_of_a_chat_are_never_read_back(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    """P14."""
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api, alice = cast.with_key(text), cast.signed_in(people.alice)
    body = {
        "url": server.url + ADDRESSES["dingtalk"],
        "service": "dingtalk",
        "secret": SECRETS["dingtalk"],
        "name": "Money",
    }
    response = api.post("/api/v1/webhooks", body, "application/json")
    assert (response.status_code, response.json()["secret"]) == (201, "")
    page = f"/o/acme/webhooks/{response.json()['id']}"
    refused = api.post(f"/api/v1/webhooks/{response.json()['id']}/rotate")
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "service")
    assert alice.post(f"{page}/rotate", follow=True).status_code == 200
    assert api.post(f"/api/v1/webhooks/{response.json()['id']}/test").status_code == 202
    chats.busy = True
    tell()
    page_text = b"".join(
        (
            response.content, api.get("/api/v1/webhooks").content,
            alice.get("/o/acme/webhooks").content, alice.get(page).content,
            str(list(AuditEvent.objects.values())).encode(),
            str(list(Delivery.objects.values())).encode(),
            str(list(WebhookEndpoint.objects.values())).encode(),
            bytes(WebhookEndpoint.objects.get().sealed),
        )
    )  # fmt: skip
    for secret in ("s3cret", SECRETS["dingtalk"]):
        assert secret.encode() not in page_text
        assert base64.b64encode(secret.encode()) not in page_text
    assert b"Money" in page_text
    assert b"/\xe2\x80\xa6" in page_text


@pytest.mark.django_db
def test_chat_is_added_by_form_and_tested(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    alice = cast.signed_in(people.alice)
    sent = {"service": "feishu", "url": server.url + ADDRESSES["feishu"], "secret": "feishu-sign"}
    answer = alice.post(
        "/o/acme/webhooks/new", {**sent, "name": "Ops", "language": "en"}, follow=True
    )
    assert b"Chat added" in answer.content
    page = f"/o/acme/webhooks/{id_text(WebhookEndpoint.objects.get().id)}"
    assert b"Rotate secret" not in answer.content
    alice.post(f"{page}/test")
    tell()
    assert chats.said == [("feishu", "Test from Acme\n\nAlerts arrive here.\n")]
    assert "Feishu or Lark" in rows_of(alice, "/o/acme/webhooks?q=ops")[0]
    for wrong in ({"service": "wecom"}, {"service": "other"}, {"secret": "x\ny"}, {"secret": "é"}):
        assert alice.post("/o/acme/webhooks/new", {**sent, **wrong}).status_code == 422, wrong
    for name in [*(text[:60] for text in STORABLE), NUL, LONG]:
        status = alice.post("/o/acme/webhooks/new", {**sent, "name": name}).status_code
        assert status == (422 if name in (NUL, LONG) else 303), name


@pytest.mark.django_db
def test_internal_chat_address_is_rejected(people: cast.Cast, settings: Any) -> None:
    """P13: chats go through the same connector."""
    settings.WEBHOOK_EGRESS_ALLOW = []
    actor = cast.actor(people.alice, people.acme)
    for url in ("https://169.254.169.254/x", "http://hooks.slack.com/x", "https://localhost/"):
        with pytest.raises(WebhookRefused):
            endpoints.create_endpoint(actor, people.acme, url, service="slack")


def test_every_kind_has_words_for_a_chat() -> None:
    for kind in FOR_ORGANISATIONS:
        get_template(f"notify/letters/{kind.name.replace('.', '_')}.txt")


@pytest.mark.parametrize("text", ["", "a" * 10_000, "预" * 10_000, "😀" * 999, "<" * 9_999, "\0"])
@pytest.mark.parametrize("service", SERVICES)
def test_any_text_is_cut_to_each_services_limit(service: str, text: str) -> None:
    assert len(cut_text(text).encode()) <= TEXT_BYTES_MAX
    request = chat_request(service, "https://a.b/c", "", text, 1_700_000_000_000)
    assert request.url == "https://a.b/c"
    assert len(request.body) < 20_000


@pytest.mark.parametrize(
    ("service", "answer", "code"),
    [
        ("slack", b"anything", None),
        ("feishu", b'{"code":0}', None),
        ("feishu", b'{"code":19021}', 19021),
        ("feishu", b'{"errcode":0}', -1),
        ("dingtalk", b'{"errcode":0,"errmsg":"ok"}', None),
        ("wecom", b'{"errcode":93000}', 93000),
        ("wecom", b'{"errcode":"0"}', -1),
        ("wecom", b'{"errcode":false}', -1),
        ("wecom", b"[" * 100_000, -1),
        ("dingtalk", b"", -1),
        ("dingtalk", b"null", -1),
    ],
)
def test_rejections_of_each_service(service: str, answer: bytes, code: int | None) -> None:
    assert refusal(service, answer) == code


def alert_job(argument: int) -> None:
    """All that the worker does, as often as there are jobs, at once."""
    live_settings.WEBHOOK_EGRESS_ALLOW = ["127.0.0.1/32"]
    live_settings.EMAIL_BACKEND = f"{EmailBackend.__module__}.EmailBackend"
    budget_alerts.send_budget_alerts()
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(7):
        sending.send(delivery_id)


@pytest.mark.django_db(transaction=True)
def test_each_threshold_is_sent_once_per_chat_by_any_number_of_workers(
    people: cast.Cast, server: Receiver, chats: Chats
) -> None:
    """Issue: exactly one per threshold, period and receiver under parallel load."""
    for service in SERVICES:
        add(people, server, service)
    named = [spent_key(people, f"k{n}") for n in range(5)]
    with racers(2) as run:
        run(alert_job, list(range(16)))
        run(alert_job, list(range(16)))
    assert chats.refused == []
    lines = sorted(
        (service, *re.findall(r"Key (k\d) has used 80% .* notified at (\d+)%", text, re.DOTALL))
        for service, text in chats.said
    )
    assert lines == sorted(
        (service, (name, percent))
        for service in SERVICES
        for name in named
        for percent in ("50", "80")
    )


def spent_key(people: cast.Cast, name: str) -> str:
    key: Key = cast.make_key(people.core, name, user=people.bob)[0]
    budget: Budget = budgets.create_budget(
        SYSTEM, key.organisation, nothing, amount_nano=10 * USD,
        scope="key", subject=str(key.id), period="month",
    )  # fmt: skip
    BudgetWindow.objects.filter(budget=budget).update(spent_nano=8 * USD, cap_nano=10 * USD)
    return name
