"""Told at least once, signed, to whom it is for, and to nobody inside (outbox, egress, P14)."""

import base64
import dataclasses
import datetime as dt
import json
import re
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection, transaction

from accounts.keys import keys
from accounts.models import AuditEvent, Key, KeyKind, Organisation, Role, User
from config.celery import app
from lib import clock
from lib.ids import id_text, new_id
from notify import tasks
from notify.deliveries import deliveries, sending, slow_receivers
from notify.deliveries.retries import TRIES_MAX
from notify.deliveries.slow_receivers import Attempts
from notify.endpoints import endpoints
from notify.models import Delivery, WebhookEndpoint
from outbox.facts import put
from outbox.models import Fact
from tests.lib.network.test_guarded_pool import dripping
from tests.notify.receiver import Receiver, signed
from tests.support import cast


def happen(people: cast.Cast, kind: str = "code.redeemed", **body: Any) -> UUID:
    with transaction.atomic():
        return put(kind, people.acme.id, **body)


def tell() -> int:
    """What the worker does: spread, lease, send; how many tries were made."""
    deliveries.spread_facts(100)
    due = deliveries.lease_due(100)
    for delivery_id in due:
        sending.send(delivery_id)
    return len(due)


def let_time_pass() -> None:
    Delivery.objects.update(due_at=clock.now() - dt.timedelta(seconds=1))


def make_endpoint(people: cast.Cast, server: Receiver, *kinds: str) -> tuple[WebhookEndpoint, str]:
    return endpoints.create_endpoint(
        cast.actor(people.alice, people.acme), people.acme, server.url + "/hook", kinds
    )


def test_slow_receiver_leaves_the_threads_to_the_others(
    people: cast.Cast, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9: of a receiver that does not answer, two attempts at a time go on in a process."""
    monkeypatch.setattr(sending, "ATTEMPTS", attempts := Attempts())
    with dripping(b"HTTP/1.1 200 OK\r\na: ") as url, monkeypatch.context() as patched:
        patched.setattr(sending, "_ATTEMPT_S", 0.2)
        patched.setattr(slow_receivers, "_SLOW_S", 0.1)
        alice = cast.actor(people.alice, people.acme)
        slow, _ = endpoints.create_endpoint(alice, people.acme, url)
        happen(people)
        assert tell() == 1
    make_endpoint(people, server)
    with attempts.attempt(slow.id) as one, attempts.attempt(slow.id) as two:
        assert (one, two) == (True, True)
        let_time_pass()
        happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
        assert tell() == 4
        waiting = Delivery.objects.filter(endpoint=slow)
        assert sorted(len(one.tries) for one in waiting) == [0, 1]
        assert {one.state for one in waiting} == {"pending"}
        # They are due again soon, not when the lease ends.
        assert waiting.filter(due_at__lt=clock.now() + dt.timedelta(seconds=3)).count() == 2
        assert (len(server.got), len(mail.outbox)) == (1, 1)
    # Both were answered soon, so it is like any other.
    with attempts.attempt(slow.id), attempts.attempt(slow.id), attempts.attempt(slow.id) as third:
        assert third


def test_receiver_that_answers_soon_again_is_slow_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts()
    for slow_s in (-1, 60):
        monkeypatch.setattr(slow_receivers, "_SLOW_S", slow_s)
        with attempts.attempt("a") as one, attempts.attempt("a") as two:
            assert (one, two) == (True, True)
            with attempts.attempt("a") as third:
                assert third is (slow_s == -1)
    with attempts.attempt("a"), attempts.attempt("a"), attempts.attempt("a") as third:
        assert third


def test_slow_webhooks_leave_the_mail_alone(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P35: also after a letter that took long."""
    monkeypatch.setattr(sending, "ATTEMPTS", attempts := Attempts())
    happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
    with monkeypatch.context() as patched:
        patched.setattr(slow_receivers, "_SLOW_S", -1)
        assert tell() == 1
        for receiver in "ab":
            with attempts.attempt(receiver):
                pass
    happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
    with attempts.attempt("a"), attempts.attempt("b"):
        assert tell() == 1
    assert len(mail.outbox) == 2


def test_message_that_waited_for_a_thread_beyond_its_lease_sends_nothing(
    people: cast.Cast, server: Receiver
) -> None:
    """Another message was sent for the delivery: it would be tried twice within seconds."""
    make_endpoint(people, server)
    happen(people)
    deliveries.spread_facts(10)
    (leased,) = deliveries.lease_due(10)
    for expires_in, sent in ((-1, 0), (deliveries.LEASE_S, 1)):
        message = app.amqp.create_task_message(
            "1", tasks.deliver.name, args=[str(leased)], expires=expires_in
        )
        tasks.deliver.push_request(expires=message.headers["expires"])
        try:
            tasks.deliver.run(str(leased))
        finally:
            tasks.deliver.pop_request()
        assert len(server.got) == sent


def test_event_taken_twice_is_delivered_once(people: cast.Cast, server: Receiver) -> None:
    make_endpoint(people, server)
    fact = happen(people)
    for _ in range(2):
        assert deliveries.spread_facts(100) == 1
        Fact.objects.filter(id=fact).update(taken_at=None)
    assert Delivery.objects.filter(fact_id=fact).count() == 1


def test_event_is_signed_and_delivered_once(people: cast.Cast, server: Receiver) -> None:
    _, secret = make_endpoint(people, server)
    fact = happen(people, amount="5.00")
    deliveries.spread_facts(100)
    before = clock.now()
    (leased,) = deliveries.lease_due(100)
    # Whoever took it has so long before another one takes it.
    due_at = Delivery.objects.get(id=leased).due_at
    lease = dt.timedelta(seconds=30)
    assert before + lease - dt.timedelta(seconds=1) < due_at <= clock.now() + lease
    let_time_pass()
    assert tell() == 1
    assert tell() == 0
    ((headers, body),) = server.got
    assert signed(secret, headers, body)
    assert not signed("whsec_" + base64.b64encode(b"x" * 32).decode(), headers, body)
    document = json.loads(body)
    assert document["id"] == headers["webhook-id"] == id_text(fact)
    assert (document["type"], document["data"]) == ("code.redeemed", {"amount": "5.00"})
    assert document["organisation"] == id_text(people.acme.id)
    assert abs(int(headers["webhook-timestamp"]) - clock.now().timestamp()) < 5
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries[0]["status"]) == ("delivered", 204)


def test_only_the_requested_kinds_and_organisation_are_delivered(
    people: cast.Cast, server: Receiver
) -> None:
    make_endpoint(people, server, "topup.paid")
    charlies = cast.actor(people.charlie, people.stranger)
    endpoints.create_endpoint(charlies, people.stranger, server.url + "/stranger")
    happen(people)
    assert tell() == 0
    assert server.got == []


def test_failed_delivery_is_retried_unchanged_until_given_up(
    people: cast.Cast, server: Receiver
) -> None:
    make_endpoint(people, server)
    happen(people)
    server.statuses = [500]
    waits = []
    for _ in range(TRIES_MAX):
        assert tell() == 1
        assert tell() == 0
        waits.append(Delivery.objects.get().due_at - clock.now())
        let_time_pass()
    delivery = Delivery.objects.get()
    assert (delivery.state, len(delivery.tries)) == ("dead", TRIES_MAX)
    assert dt.timedelta(seconds=3) < waits[0] < dt.timedelta(seconds=7)
    assert waits[8] > dt.timedelta(hours=13)
    # Whoever asks for it once more gets all the tries anew.
    deliveries.send_again(cast.actor(people.alice, people.acme), delivery)
    assert tell() == 1
    again = Delivery.objects.get()
    assert (again.state, len(again.tries)) == ("pending", TRIES_MAX + 2)
    assert dt.timedelta(seconds=3) < again.due_at - clock.now() < dt.timedelta(seconds=7)
    assert tell() == 0
    assert len({(headers["webhook-id"], body) for headers, body in server.got}) == 1
    server.statuses = [200]
    deliveries.send_again(cast.actor(people.alice, people.acme), delivery)
    assert tell() == 1
    assert Delivery.objects.get().state == "delivered"


def test_emptied_broker_delays_a_delivery_by_under_a_minute(
    people: cast.Cast, server: Receiver
) -> None:
    """The broker only wakes workers: whoever leased a delivery and died held it for 30 s."""
    make_endpoint(people, server)
    happen(people)
    deliveries.spread_facts(10)
    assert len(deliveries.lease_due(10)) == 1  # a worker was woken for it, and that was lost
    assert deliveries.lease_due(10) == []
    assert Delivery.objects.get().due_at - clock.now() < dt.timedelta(seconds=31)
    let_time_pass()
    assert tell() == 1
    assert len(server.got) == 1


def test_no_private_address_is_ever_reached(
    people: cast.Cast, server: Receiver, settings: LazySettings
) -> None:
    """P13: what an operator does not list stays out of reach, wherever the name leads."""
    make_endpoint(people, server)
    settings.WEBHOOK_EGRESS_ALLOW = []
    WebhookEndpoint.objects.update(url=server.url.replace("http", "https"))
    happen(people)
    tell()
    delivery = Delivery.objects.get()
    assert delivery.tries[0]["error"] == "No public https address answers there, on port 443."
    assert server.got == []


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "ftp://example.com", "https://", "https://a b", "https://0x7f.1/",
     "https://me:secret@example.com/", "https://127.1/", "//example.com", "https://[::1"],
)  # fmt: skip
def test_addresses_that_are_never_sent_to(people: cast.Cast, url: str) -> None:
    actor = cast.actor(people.alice, people.acme)
    with pytest.raises(endpoints.WebhookRefused):
        endpoints.create_endpoint(actor, people.acme, url)


@pytest.mark.parametrize("url", ["http://example.com", "https://example.com:8443/"])
def test_other_ports_need_a_listed_network(
    people: cast.Cast, settings: LazySettings, url: str
) -> None:
    settings.WEBHOOK_EGRESS_ALLOW = []
    actor = cast.actor(people.alice, people.acme)
    with pytest.raises(endpoints.WebhookRefused):
        endpoints.create_endpoint(actor, people.acme, url)
    endpoints.create_endpoint(actor, people.acme, "https://example.com:443/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "localhost", "LOCALHOST.", "hub.localhost", "10.1.2.3",
     "169.254.169.254", "[::ffff:127.0.0.1]", "[fd00::1]", "0.0.0.0", "[64:ff9b::7f00:1]"],
)  # fmt: skip
def test_internal_address_is_rejected_when_the_webhook_is_created(
    people: cast.Cast, settings: LazySettings, host: str
) -> None:
    """P13: names are resolved at each sending; what is an address already is judged at once."""
    settings.WEBHOOK_EGRESS_ALLOW = []
    actor = cast.actor(people.alice, people.acme)
    with pytest.raises(endpoints.WebhookRefused, match="is not a public address") as refused:
        endpoints.create_endpoint(actor, people.acme, f"https://{host}/hook")
    assert refused.value.field == "url"
    assert str(refused.value).lower().startswith(f"{host.strip('[]').lower()} is not")
    endpoints.create_endpoint(actor, people.acme, "https://93.184.216.34/hook")
    settings.WEBHOOK_EGRESS_ALLOW = ["127.0.0.0/8"]
    endpoints.create_endpoint(actor, people.acme, "http://localhost:8080/hook")


@pytest.mark.parametrize(
    ("status", "state"), [(302, "pending"), (404, "pending"), (410, "dead"), (299, "delivered")]
)
def test_only_a_receiver_that_is_gone_is_given_up_at_once(
    people: cast.Cast, server: Receiver, status: int, state: str
) -> None:
    """A redirect is a failure, which is not followed."""
    make_endpoint(people, server)
    server.statuses = [status]
    happen(people)
    tell()
    assert len(server.got) == 1
    delivery = Delivery.objects.get()
    assert delivery.state == state
    error = "" if state == "delivered" else f"Answered with status {status}."
    assert delivery.tries[0]["error"] == error


def test_rotated_secret_signs_together_with_the_previous_for_a_day(
    people: cast.Cast, server: Receiver
) -> None:
    endpoint, old = make_endpoint(people, server)
    new = endpoints.rotate_secret(cast.actor(people.alice, people.acme), endpoint)
    happen(people)
    tell()
    assert signed(old, *server.got[-1])
    assert signed(new, *server.got[-1])
    WebhookEndpoint.objects.update(before_until=clock.now())
    happen(people)
    tell()
    assert not signed(old, *server.got[-1])
    assert signed(new, *server.got[-1])


def test_a_removed_webhook_gets_nothing_more(people: cast.Cast, server: Receiver) -> None:
    endpoint, _ = make_endpoint(people, server)
    happen(people)
    deliveries.spread_facts(10)
    endpoints.remove_endpoint(cast.actor(people.alice, people.acme), endpoint)
    assert tell() == 1
    assert server.got == []
    assert Delivery.objects.get().state == "dead"


def key_of(people: cast.Cast, name: str = "m") -> tuple[Key, str]:
    return cast.make_key(people.core, name, user=people.alice, kind=KeyKind.MANAGEMENT)


@pytest.mark.parametrize("change", [{"revoked_at": clock.now()}, {"expires_at": clock.now()}])
def test_a_webhook_ends_with_the_key_that_made_it(
    people: cast.Cast, server: Receiver, change: dict[str, dt.datetime]
) -> None:
    """P23: who planted it with a key that is revoked now reads nothing more."""
    make_endpoint(people, server)
    key, text = key_of(people)
    _, other = key_of(people, "other")
    body = {"url": server.url + "/of-the-key"}
    endpoint = cast.with_key(text).post("/api/v1/webhooks", body, "application/json").json()
    assert endpoint["state"] == "active"
    happen(people)
    deliveries.spread_facts(10)
    Key.objects.filter(id=key.id).update(**change)
    assert tell() == 2
    waiting = Delivery.objects.get(endpoint__url__endswith="/of-the-key")
    assert waiting.state == "dead"
    assert waiting.tries[0]["error"] == "The key that made the webhook has ended."
    happen(people)
    assert tell() == 1
    assert len(server.got) == 2
    listed = cast.with_key(other).get("/api/v1/webhooks").json()["items"]
    assert [one["state"] for one in listed] == ["ended", "active"]
    owner = cast.signed_in(people.alice)
    assert "Key no longer valid" in owner.get("/o/acme/webhooks").content.decode()
    page = owner.get(f"/o/acme/webhooks/{endpoint['id']}").content.decode()
    assert "the key m, which set the URL of this webhook, was revoked" in page


def test_former_secret_creates_no_webhook(people: cast.Cast) -> None:
    """P23: within its grace it does what it did, and makes nothing that stays."""
    key, former = key_of(people)
    keys.rotate_key(cast.actor(people.alice, people.acme), key, 1)
    body = {"url": "https://example.com/hook"}
    answer = cast.with_key(former).post("/api/v1/webhooks", body, "application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "key")
    assert not WebhookEndpoint.objects.exists()


def test_redirected_webhook_ends_with_the_key_that_redirected_it(
    people: cast.Cast, server: Receiver
) -> None:
    """P23: who points a person's webhook at their own server reads nothing once the key ended."""
    endpoint, _ = make_endpoint(people, server)
    path = f"/api/v1/webhooks/{id_text(endpoint.id)}"
    key, text = key_of(people)
    client = cast.with_key(text)
    client.patch(path, {"name": "Ours"}, "application/json")
    assert WebhookEndpoint.objects.get().key is None
    body = {"url": server.url + "/mine"}
    assert client.patch(path, body, "application/json").json()["state"] == "active"
    happen(people)
    deliveries.spread_facts(10)
    Key.objects.filter(id=key.id).update(revoked_at=clock.now())
    assert tell() == 1
    happen(people)
    assert tell() == 0
    assert server.got == []
    # A person who sets the address again has the webhook as before.
    actor = cast.actor(people.alice, people.acme)
    endpoints.change_endpoint(actor, endpoint, url=server.url + "/hook")
    happen(people)
    assert tell() == 1
    assert len(server.got) == 1


@pytest.mark.parametrize("operators", [False, True])
def test_former_secret_redirects_no_webhook(people: cast.Cast, operators: bool) -> None:
    """P23: nor learns the secret of one, nor adds events to it."""
    actor = cast.actor(people.dora if operators else people.alice, people.acme)
    organisation = None if operators else people.acme
    kinds = ["jobs.stopped"] if operators else ["topup.paid"]
    endpoint, _ = endpoints.create_endpoint(actor, organisation, "https://example.com/h", kinds)
    former = dataclasses.replace(actor, ends_at=clock.now() + dt.timedelta(hours=1))
    for call in (
        lambda: endpoints.change_endpoint(former, endpoint, url="https://example.com/mine"),
        lambda: endpoints.change_endpoint(former, endpoint, kinds=[]),
        lambda: endpoints.rotate_secret(former, endpoint),
    ):
        with pytest.raises(endpoints.WebhookRefused) as refused:
            call()
        assert refused.value.field == "key"
    kept = WebhookEndpoint.objects.get()
    assert (kept.url, kept.kinds, kept.sealed_before) == (endpoint.url, kinds, None)
    endpoints.change_endpoint(former, endpoint, name="Ours", url=endpoint.url, kinds=kinds)


def test_letters_go_to_those_who_pay(people: cast.Cast) -> None:
    cast.member(people.acme, "bill", Role.BILLING)
    happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
    assert tell() == 2
    assert {letter.to[0] for letter in mail.outbox} == {"alice@example.org", "bill@example.org"}
    assert mail.outbox[0].subject == "25.00 USD added to Acme"
    assert "27.50 USD" in mail.outbox[0].body
    assert "/o/acme/billing" in mail.outbox[0].body


def test_person_deactivated_before_an_email_is_sent_gets_none(people: cast.Cast) -> None:
    """Its delivery is given up, though it was due while they were active."""
    happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
    deliveries.spread_facts(10)
    User.objects.filter(pk=people.alice.pk).update(is_active=False)
    assert tell() == 1
    assert mail.outbox == []
    delivery = Delivery.objects.get(user=people.alice)
    assert (delivery.state, delivery.tries[0]["error"]) == ("dead", "The person is gone.")


def test_two_line_name_adds_no_header_and_loses_no_email(
    people: cast.Cast,
) -> None:
    Organisation.objects.update(name="Acme\r\nBcc: eve@example.org\n\nEve")
    happen(people, "topup.paid", amount="25.00", currency="USD", available="27.50")
    assert tell() == 1
    (letter,) = mail.outbox
    assert letter.subject == "25.00 USD added to Acme Bcc: eve@example.org Eve"
    assert letter.recipients() == ["alice@example.org"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("budget.reached", "resets_at"),
        ("budget.forecast", "forecast_at"),
        ("raise.asked", "until"),
    ],
)
def test_emails_state_times_as_people_do(people: cast.Cast, kind: str, field: str) -> None:
    budget = {"scope": "team", "subject": "core", "limit": "5", "spent": "4", "currency": "USD"}
    reached = {"threshold": 80, "spent_percent": 80, "resets_at": "2026-12-01T00:00:00+00:00"}
    happen(
        people,
        kind,
        budget="1",
        request="1",
        **budget,
        **{**reached, field: "2026-12-09T07:30:00+08:00"},
    )
    assert tell() > 0
    assert "8 Dec 2026, 23:30 UTC" in mail.outbox[0].body
    assert not re.search(r"\dT\d", str(mail.outbox[0].body))


def test_operator_events_reach_no_customer(people: cast.Cast, server: Receiver) -> None:
    make_endpoint(people, server)
    body = {"amount": "1.00", "currency": "USD", "processor": "stripe", "reason": "…"}
    happen(people, "payment.unmatched", **body)
    assert tell() == 1
    assert [letter.to for letter in mail.outbox] == [["dora@example.org"]]
    assert server.got == []


def test_operators_learn_where_a_doubtful_count_is_reviewed(people: cast.Cast) -> None:
    body = {"channel": "east", "model": "gpt-5", "slug": "acme", "flags": "usage_huge"}
    happen(people, "count.doubted", **body)
    assert tell() == 1
    (letter,) = mail.outbox
    assert (letter.to, "east" in letter.subject) == (["dora@example.org"], True)
    assert "/o/acme/requests?status=review" in letter.body
    assert "usage_huge" in letter.body


def test_operators_learn_which_usage_is_unknown(people: cast.Cast) -> None:
    """P28: what, of whom, and where it is settled."""
    body = {"provider": "openai", "channel": "east", "model": "gpt-5", "unknown": "holo_tokens"}
    happen(people, "usage.unknown", **body)
    assert tell() == 1
    (letter,) = mail.outbox
    assert (letter.to, "openai" in letter.subject) == (["dora@example.org"], True)
    assert "holo_tokens" in letter.body
    assert "/admin/reviews" in letter.body


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        ("no_credit", "key 2 is out of credit"),
        ("key_refused", "rejects key 2"),
        ("misconfigured", "certificate"),
        ("model_unknown", "does not know the model 2"),
        ("compressed", "compresses"),
        ("out", "last ten minutes"),
        ("unusable", "WEIR_KEK"),
    ],
)
def test_operators_learn_what_a_channel_needs(people: cast.Cast, cause: str, says: str) -> None:
    """F5, F7, F9: what no customer can mend."""
    body = {"channel": "east", "channel_id": "c1", "cause": cause, "what": "2", "last": True}
    happen(people, "channel.troubled", **body)
    assert tell() == 1
    (letter,) = mail.outbox
    assert (letter.to, "east" in letter.subject) == (["dora@example.org"], True)
    assert says in letter.body
    assert "/admin/channels/c1" in letter.body
    assert "last usable key" in letter.body


def test_operators_learn_which_invariant_is_violated(people: cast.Cast) -> None:
    """I25."""
    happen(
        people,
        "books.wrong",
        count=1,
        findings=[
            {
                "invariant": "I1 every posting sums to 0",
                "object": "7",
                "expected": "0",
                "found": "1",
            }
        ],
    )
    assert tell() == 1
    (letter,) = mail.outbox
    assert letter.to == ["dora@example.org"]
    assert "I1 every posting sums to 0" in letter.body
    assert "7 (expected 0, found 1)" in letter.body
    assert "/admin/findings" in letter.body


def test_operators_read_what_could_not_be_checked(people: cast.Cast) -> None:
    """I25: and not that it is wrong."""
    happen(people, "books.unchecked", count=1, parts=["postings since noon"])
    assert tell() == 1
    (letter,) = mail.outbox
    assert (letter.to, "did not finish" in letter.subject) == (["dora@example.org"], True)
    assert "postings since noon" in letter.body
    assert "does not mean that the ledger is wrong" in letter.body


def test_secrets_cannot_be_read_back(people: cast.Cast, server: Receiver) -> None:
    """P14: the secret is in one answer; nothing else holds it in the clear."""
    _, text = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    url = {"url": "https://example.com/hook"}
    endpoints_made = api.post("/api/v1/webhooks", url, content_type="application/json")
    secret = endpoints_made.json()["secret"]
    content = api.get("/api/v1/webhooks").content + str(list(AuditEvent.objects.values())).encode()
    assert secret.encode() not in content
    stored = bytes(WebhookEndpoint.objects.get().sealed)
    assert base64.b64decode(secret.removeprefix("whsec_")) not in stored
    assert secret.encode() not in stored


def test_facts_are_deleted_after_a_month(people: cast.Cast, server: Receiver) -> None:
    make_endpoint(people, server)
    happen(people)
    server.statuses = [500]
    tell()
    Fact.objects.update(created_at=clock.now() - dt.timedelta(days=40))
    assert deliveries.drop_old() == 0  # one telling is still to come
    server.statuses = [200]
    let_time_pass()
    tell()
    # To the day: what is younger than thirty days stays.
    for hours, forgotten in ((30 * 24 - 1, 0), (30 * 24 + 1, 2)):
        Fact.objects.update(created_at=clock.now() - dt.timedelta(hours=hours))
        assert deliveries.drop_old() == forgotten


def test_ended_delivery_has_no_further_attempt(people: cast.Cast, server: Receiver) -> None:
    make_endpoint(people, server)
    happen(people)
    tell()
    (delivery,) = Delivery.objects.all()
    failed: dict[str, Any] = {"status": 500, "error": "no", "ms": 1, "final": True}
    deliveries.end_try(delivery.id, **failed)
    deliveries.end_try(new_id(), **failed)
    after = Delivery.objects.get()
    assert (after.state, len(after.tries)) == ("delivered", 1)
    assert deliveries.unsent_letters() == (0, "", None)


@pytest.mark.parametrize(
    ("name", "read", "written"),
    [("alice", 200, 201), ("bob", 403, 403), ("charlie", 200, 201)],
)
def test_people_who_reach_webhooks(people: cast.Cast, name: str, read: int, written: int) -> None:
    alices, _ = endpoints.create_endpoint(
        cast.actor(people.alice, people.acme), people.acme, "https://example.com/a"
    )
    user = getattr(people, name)
    team = people.core if name != "charlie" else people.stranger.teams.get()
    _, text = cast.make_key(team, f"m-{name}", user=user, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    assert api.get("/api/v1/webhooks").status_code == read
    body = {"url": "https://example.com/b"}
    answer = api.post("/api/v1/webhooks", body, content_type="application/json")
    assert answer.status_code == written
    of_alice = api.get(f"/api/v1/webhooks/{id_text(alices.id)}/deliveries").status_code
    assert of_alice == {"alice": 200, "bob": 403, "charlie": 404}[name]


def test_email_without_a_possible_address_is_given_up(people: cast.Cast) -> None:
    """Else it would be tried again every thirty seconds, for good."""
    people.alice.email = "a\n@example.org"
    people.alice.save()
    happen(people, "balance.low", available="1.00", threshold="2.00", currency="USD")
    tell()
    delivery = Delivery.objects.get(user=people.alice)
    assert (delivery.state, len(delivery.tries)) == ("dead", 1)


@pytest.mark.django_db(transaction=True)
def test_parallel_distributors_share_facts_without_waiting() -> None:
    """A worker that is slow over one fact keeps no other fact from its readers."""
    people = cast.assemble()
    first, second = happen(people), happen(people)
    with psycopg.connect(**connection.get_connection_params()) as beside:
        beside.execute("SELECT 1 FROM outbox_fact WHERE id = %s FOR UPDATE", [first])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        assert deliveries.spread_facts(100) == 1
        assert [*Fact.objects.filter(taken_at=None).values_list("id", flat=True)] == [first]
    assert deliveries.spread_facts(100) == 1
    assert deliveries.spread_facts(100) == 0
    told = set(Delivery.objects.values_list("fact", flat=True))
    assert told <= {first, second}
