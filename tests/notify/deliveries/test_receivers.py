"""Who gets what, and for how long it is known: emails of each kind, failures, calls of tasks."""

import datetime as dt
from typing import Any, Final

import pytest
from django.db import transaction

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import AuditEvent, Role, User
from accounts.organisations import teams
from lib import clock
from lib.database.database_time import database_now
from lib.ids import id_text, new_id
from lib.refusal import Refused
from notify import tasks
from notify.deliveries import deliveries, sending
from notify.endpoints import endpoints
from notify.events.kinds import KINDS
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from outbox.facts import put, was_reported_since
from outbox.models import Fact
from tests.support.cast import Cast, actor, member

pytestmark = pytest.mark.django_db
# Which roles of the organisation get an email of its kinds, besides the members whom a fact names.
READERS: Final = {
    "balance.low": "owner billing",
    "topup.paid": "owner billing",
    "topup.failed": "owner billing",
    "topup.refunded": "owner billing",
    "topup.disputed": "owner billing",
    "autotopup.stopped": "owner billing",
    "invoice.closed": "owner billing",
    "subscription.renewed": "",
    "subscription.unpaid": "owner billing",
    "subscription.ended": "owner billing",
    "credit.posted": "owner billing",
    "budget.reached": "owner admin billing",
    "budget.forecast": "owner admin billing",
    "budget.tested": "owner admin billing",
    "raise.asked": "owner admin",
    "raise.decided": "",
    "raise.ended": "owner admin",
    "code.redeemed": "",
    "promo.expired": "owner billing",
    "export.ready": "operator",
    "own_key.refused": "owner admin",
    "guard.failing": "owner admin",
    "view_as.began": "owner",
    "video.completed": "",
    "video.failed": "",
    "task.completed": "",
    "task.failed": "",
    "webhook.tested": "",
}


def webhook(people: Cast) -> WebhookEndpoint:
    endpoint, _ = endpoints.create_endpoint(
        actor(people.alice, people.acme), people.acme, "https://one.example.com/h"
    )
    return endpoint


def delivery(kind: str = "topup.paid", **fields: Any) -> Delivery:
    body = fields.pop("body", {})
    organisation = fields.pop("organisation_id", None)
    fact = Fact.objects.create(
        kind=kind, organisation_id=organisation, body=body, taken_at=clock.now()
    )
    return Delivery.objects.create(fact=fact, **fields)


def test_email_of_each_kind_goes_to_those_whom_it_concerns(people: Cast) -> None:
    """Nobody who left, was deactivated, or is of another organisation gets any."""
    by_role = {"owner": people.alice, "developer": people.bob, "operator": people.dora}
    for role in (Role.ADMIN, Role.BILLING, Role.VIEWER):
        by_role[role] = member(people.acme, role, role)
    gone = member(people.acme, "gone", Role.OWNER)
    User.objects.filter(pk=gone.pk).update(is_active=False, operator=True)
    named = [people.bob.pk, people.charlie.pk, people.dora.pk, gone.pk]
    assert READERS.keys() == {
        kind.name for kind in KINDS.values() if not (kind.operators or kind.personal)
    }
    with transaction.atomic():
        for kind in KINDS.values():
            own = kind.name in READERS
            put(kind.name, people.acme.id if own else None, people=named)
    deliveries.spread_facts(len(KINDS))
    told: dict[str, set[str]] = {name: set() for name in KINDS}
    for name, email in Delivery.objects.values_list("fact__kind", "user__email"):
        told[name].add(email)
    for name, kind in KINDS.items():
        words = READERS[name].split() if name in READERS else ["operator"]
        expected = {by_role[word].email for word in words}
        if not kind.operators:
            expected.add(people.bob.email)
        if kind.personal:
            expected.add(people.charlie.email)
        assert told[name] == expected, name


def test_members_limited_to_teams_get_emails_about_these_alone(people: Cast) -> None:
    """P12: nothing of another team, and nothing of the organisation as a whole, which they do not
    see on any page either. Whom a fact names gets it in any case."""
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    for role in (Role.ADMIN, Role.BILLING):
        user = member(people.acme, role, role)
        members.set_member(people.acme, user.email, role, teams=[people.core, side], actor=SYSTEM)
        members.set_member(
            people.acme, member(people.acme, f"{role}-side", role).email, role, teams=[side],
            actor=SYSTEM,
        )  # fmt: skip
    owners = {"alice"}
    for team, named, reached in (
        (None, [], ""), (people.core, [], "admin billing"),
        (side, [], "admin billing admin-side billing-side"),
        (people.core, ["admin-side"], "admin billing admin-side"),
    ):  # fmt: skip
        ids = [User.objects.get(email=f"{name}@example.org").pk for name in named]
        told: dict[str, list[str]] = {name: [] for name in READERS}
        with transaction.atomic():
            Fact.objects.all().delete()
            for name in READERS:
                put(name, people.acme.id, team.pk if team else None, people=ids)
        deliveries.spread_facts(len(KINDS))
        for name, email in Delivery.objects.values_list("fact__kind", "user__email"):
            told[name].append(email.removesuffix("@example.org"))
        for name, roles in READERS.items():
            by_role = {one for one in reached.split() if one.split("-")[0] in roles.split()}
            by_role |= owners if "owner" in roles else set()
            assert sorted(told[name]) == sorted(by_role | {*named}), (name, team)


def test_test_event_reaches_its_webhook_alone_and_is_in_the_log(people: Cast) -> None:
    endpoint, other = webhook(people), webhook(people)
    sent = endpoints.send_test(actor(people.alice, people.acme), endpoint)
    deliveries.spread_facts(10)
    assert [*Delivery.objects.all()] == [sent]
    assert not other.deliveries.exists()
    event = AuditEvent.objects.filter(action="webhook.tested").get()
    assert (event.organisation, event.object_id) == (people.acme, id_text(endpoint.id))


def test_repeating_a_delivery_is_in_the_log_of_its_organisation(people: Cast) -> None:
    sent = delivery(endpoint=webhook(people), organisation_id=people.acme.id, state="dead")
    deliveries.send_again(actor(people.alice, people.acme), sent)
    event = AuditEvent.objects.filter(action="delivery.repeated").get()
    assert (event.organisation, event.object_id) == (people.acme, id_text(sent.id))
    assert event.actor_user == people.alice


def test_change_of_each_field_of_a_chat_is_saved(people: Cast) -> None:
    by = actor(people.alice, people.acme)
    chat, _ = endpoints.create_endpoint(
        by, people.acme, "https://hooks.example.com/s", service="slack", language="en"
    )
    changed: dict[str, Any] = {"name": "Night", "language": "zh-hans", "kinds": ["topup.paid"]}
    for field, value in changed.items():
        endpoints.change_endpoint(by, chat, **{field: value})
        chat.refresh_from_db()
        assert getattr(chat, field) == value


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("url", "https://me:secret@example.com/"), ("kinds", ["none.such"]), ("language", "xx"),
     ("name", "n" * 61)],
)  # fmt: skip
def test_wrong_value_is_refused_in_a_new_and_in_a_changed_webhook(
    people: Cast, field: str, wrong: Any
) -> None:
    by, endpoint = actor(people.alice, people.acme), webhook(people)
    with pytest.raises(Refused) as changed:
        endpoints.change_endpoint(by, endpoint, **{field: wrong})
    with pytest.raises(Refused) as made:
        endpoints.create_endpoint(
            by, people.acme, **{"url": "https://two.example.com/h", field: wrong}
        )
    assert changed.value.field == made.value.field == field
    assert WebhookEndpoint.objects.get().url == endpoint.url


def test_removed_webhook_makes_room_for_another(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "ENDPOINTS_MAX", 1)
    endpoints.remove_endpoint(actor(people.alice, people.acme), webhook(people))
    webhook(people)
    with pytest.raises(Refused, match="up to 1 webhooks"):
        webhook(people)


@pytest.mark.parametrize(("age_s", "wait_s"), [(0, 2), (21, 2), (300, 30), (601, 60), (7200, 60)])
def test_delivery_that_is_put_off_waits_a_tenth_of_its_age(
    people: Cast, age_s: int, wait_s: int
) -> None:
    """Between two seconds and a minute."""
    waiting = delivery(endpoint=webhook(people))
    now = database_now()
    waiting.fact.created_at = now - dt.timedelta(seconds=age_s)
    deliveries.put_off(waiting)
    waiting.refresh_from_db()
    assert abs((waiting.due_at - now).total_seconds() - wait_s) < 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://chat.example.com/secret", "https://chat.example.com/…"),
        ("https://chat.example.com:8443/secret", "https://chat.example.com:8443/…"),
        ("http://chat.example.com/secret", "http://chat.example.com/…"),
        ("https://[2001:db8::1]/secret", "https://[2001:db8::1]/…"),
    ],
)
def test_beginning_of_a_chats_address_names_where_it_is(
    people: Cast, settings: Any, url: str, shown: str
) -> None:
    settings.WEBHOOK_EGRESS_ALLOW = ["0.0.0.0/0", "::/0"]
    chat, _ = endpoints.create_endpoint(
        actor(people.alice, people.acme), people.acme, url, service="slack"
    )
    assert chat.url == shown


def test_only_emails_given_up_count_as_unsent_and_the_last_says_why(people: Cast) -> None:
    now = clock.now()
    tries = [{"error": "first", "ms": 1}, {"error": "last", "ms": 1}]
    delivery(user=people.alice, state=DeliveryState.DEAD, tries=tries, ended_at=now)
    delivery(user=people.bob, state=DeliveryState.PENDING, tries=tries)
    delivery(endpoint=webhook(people), state=DeliveryState.DEAD, tries=[{"error": "hook"}])
    assert deliveries.unsent_letters() == (1, "last", now)


@pytest.mark.parametrize("kind", ["task.completed", "task.failed"])
def test_call_of_a_task_is_found_by_its_request(people: Cast, kind: str) -> None:
    request = new_id()
    body = {"request": id_text(request)}
    call = delivery(kind, organisation_id=people.acme.id, body=body)
    # The same event, for others.
    delivery(kind, organisation_id=people.acme.id, body=body, user=people.alice)
    now = clock.now()
    assert deliveries.hook_of(people.acme.id, request, now) == call
    assert deliveries.hook_of(people.stranger.id, request, now) is None
    assert deliveries.hook_of(people.acme.id, new_id(), now) is None
    assert deliveries.hook_of(people.acme.id, request, now + dt.timedelta(minutes=6)) is None


def test_old_event_that_nobody_was_told_of_is_kept(people: Cast) -> None:
    """A stopped worker loses none, however long it stood still."""
    old = clock.now() - dt.timedelta(days=deliveries.KEPT_DAYS + 1)
    kept = Fact.objects.create(kind="topup.paid", organisation_id=people.acme.id, created_at=old)
    Fact.objects.create(kind="topup.paid", created_at=old, taken_at=old)
    assert deliveries.drop_old() == 1
    assert Fact.objects.get() == kept


def test_event_tells_when_it_happened_not_when_it_was_sent() -> None:
    at = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)
    fact = Fact(id=new_id(), kind="topup.paid", body={"amount": "5.00"}, created_at=at)
    assert b'"timestamp":"2026-03-01T09:30:00+00:00"' in sending.event_body(fact)


def test_worker_takes_all_new_events_however_many(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_BATCH", 2)
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda *args, **options: None)
    with transaction.atomic():
        for _ in range(5):
            put("code.redeemed", people.acme.id)
    tasks.tell.run()
    assert not Fact.objects.filter(taken_at=None).exists()


def test_report_of_one_kind_is_no_report_of_another() -> None:
    at = clock.now() - dt.timedelta(minutes=1)
    Fact.objects.create(kind="jobs.stopped")
    assert was_reported_since("jobs.stopped", at)
    assert not was_reported_since("jobs.resumed", at)
    assert not was_reported_since("jobs.stopped", clock.now() + dt.timedelta(minutes=1))
