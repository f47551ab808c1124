"""Deliver facts: find their receivers, send them when they are due, and record the result.

Each of three steps may run in any process at any time, repeatedly or late: `spread_facts` creates
the deliveries of new facts, `lease_due` takes those that are due, `end_try` records the result of
one. The broker stores nothing: if it is emptied, leased deliveries become due again.
"""

import datetime as dt
import json
import secrets
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Membership, User
from accounts.secrets.sealing import open_sealed, seal
from lib import clock
from lib.database.database_time import database_now
from lib.ids import first_id_at, id_text
from notify.deliveries.retries import HOOK_TRIES_MAX, TRIES_MAX, wait_s
from notify.endpoints.endpoints import has_ended
from notify.events.kinds import KINDS
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from outbox.models import Fact

LEASE_S: Final = 30
_PUT_OFF_LEAST: Final = dt.timedelta(seconds=2)
_PUT_OFF_MOST: Final = dt.timedelta(minutes=1)
KEPT_DAYS: Final = 30
# Ids use the processes' clocks, times the database's clock.
_UNSENT_SHOWN: Final = dt.timedelta(days=7)
_SLACK: Final = dt.timedelta(minutes=5)


def spread_facts(limit: int, kinds: Collection[str] = KINDS) -> int:
    """Create the deliveries of up to `limit` new facts. Return how many facts."""
    with transaction.atomic():
        facts = list(
            Fact.objects.select_for_update(skip_locked=True)
            .filter(taken_at=None, kind__in=list(kinds))
            .order_by("id")[:limit]
        )
        for fact in facts:
            Delivery.objects.bulk_create(_deliveries(fact), ignore_conflicts=True)
        Fact.objects.filter(id__in=[fact.id for fact in facts]).update(taken_at=clock.now())
    return len(facts)


class HookCall(NamedTuple):
    """A call to an address that came with a request. `body` is JSON, `secret` signs it, and `key`
    is the id of the request's key."""

    url: str
    secret: str
    key: str
    body: str


def call_hook(fact_id: UUID, call: HookCall) -> None:
    """Create the delivery of a fact to a callback address, in the caller's transaction."""
    delivery = Delivery(fact_id=fact_id)
    delivery.hook = seal(json.dumps(call._asdict()), _seal_context(delivery))
    delivery.save()


def hook_of(organisation_id: UUID, request_id: UUID, ended_at: dt.datetime) -> Delivery | None:
    """Return the call to the callback address of a request's task. Return None if there was no
    address, or the call is older than the retention period."""
    return Delivery.objects.filter(
        fact__id__range=(first_id_at(ended_at - _SLACK), first_id_at(ended_at + _SLACK)),
        fact__organisation_id=organisation_id,
        fact__kind__in=("task.completed", "task.failed"),
        fact__body__request=id_text(request_id),
        endpoint=None,
        user=None,
    ).first()


def open_hook(delivery: Delivery) -> HookCall:
    """Return the callback of a delivery. Raises VaultError."""
    return HookCall(**json.loads(open_sealed(delivery.hook, _seal_context(delivery))))


def _seal_context(delivery: Delivery) -> str:
    return f"notify_delivery|{delivery.id}|hook"


def lease_due(limit: int, kinds: Collection[str] = KINDS) -> list[UUID]:
    """Return the ids of up to `limit` due deliveries. The caller has 30 seconds to send them."""
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, {"lease": LEASE_S, "limit": limit, "kinds": list(kinds)})
        return [row[0] for row in cursor.fetchall()]


def end_try(delivery_id: UUID, *, status: int | None, error: str, ms: int, final: bool) -> None:
    """Record the result of an attempt. `error` is "" if the delivery succeeded.

    With `final`, the failure is permanent and no further attempt is made.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().filter(id=delivery_id).first()
        if delivery is None or delivery.state == DeliveryState.DELIVERED:
            return
        now = clock.now()
        attempt = {"at": now.isoformat(), "status": status, "error": error, "ms": ms}
        delivery.tries = [*delivery.tries, attempt]
        tries_max = TRIES_MAX if delivery.hook is None else HOOK_TRIES_MAX
        tries = _tries_since_repeat(delivery)
        wait = None if final else wait_s(tries, secrets.randbelow(100), tries_max)
        if not error:
            delivery.state, delivery.ended_at = DeliveryState.DELIVERED, now
        elif wait is None:
            delivery.state, delivery.ended_at = DeliveryState.DEAD, now
        else:
            delivery.due_at = now + dt.timedelta(seconds=wait)
        if delivery.ended_at is not None:
            # A client's request and response are kept no longer than necessary.
            delivery.hook = None
        delivery.save(update_fields=["tries", "state", "ended_at", "due_at", "hook"])


def put_off(delivery: Delivery) -> None:
    """Let a leased delivery, which was not attempted, be leased again: soon, and later the longer
    it has waited, so that a long queue of one receiver is not leased again and again."""
    now = database_now()
    wait = min(max(_PUT_OFF_LEAST, (now - delivery.fact.created_at) / 10), _PUT_OFF_MOST)
    Delivery.objects.filter(id=delivery.id, state=DeliveryState.PENDING).update(due_at=now + wait)


def send_again(actor: Actor, delivery: Delivery) -> Delivery:
    """Make a delivery due now, whatever its state. Receivers recognise a repetition by the
    delivery's id."""
    with transaction.atomic():
        locked = (
            Delivery.objects.select_for_update(of=("self",))
            .select_related("fact", "endpoint__organisation")
            .get(id=delivery.id)
        )
        locked.state, locked.ended_at, locked.due_at = DeliveryState.PENDING, None, clock.now()
        locked.tries = [*locked.tries, {"at": clock.now().isoformat(), "asked": True}]
        locked.save(update_fields=["state", "ended_at", "due_at", "tries"])
        organisation = locked.endpoint.organisation if locked.endpoint else None
        audit.record(actor, organisation, "delivery.repeated", locked)
    return locked


def deliveries_of(fact_ids: Iterable[UUID]) -> list[Delivery]:
    """Return the deliveries of some facts, the oldest first, each with whom it is for."""
    rows = Delivery.objects.filter(fact__in=fact_ids).select_related("user", "endpoint")
    return list(rows.order_by("id"))


def unsent_letters() -> tuple[int, str, dt.datetime | None]:
    """Return how many emails to people failed for good in the last days, with the last error and
    its time."""
    since = first_id_at(clock.now() - _UNSENT_SHOWN)
    unsent = Delivery.objects.filter(id__gte=since, state=DeliveryState.DEAD).exclude(user=None)
    last = unsent.order_by("-id").first()
    if last is None:
        return 0, "", None
    return unsent.count(), str(last.tries[-1]["error"]) if last.tries else "", last.ended_at


def drop_old() -> int:
    """Delete facts whose deliveries all ended more than a month ago. Return how many rows were
    deleted."""
    edge = clock.now() - dt.timedelta(days=KEPT_DAYS)
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING).values("fact")
    old = Fact.objects.filter(created_at__lt=edge).exclude(taken_at=None).exclude(id__in=waiting)
    return old.delete()[0]


def _deliveries(fact: Fact) -> list[Delivery]:
    kind = KINDS[fact.kind]
    deliveries = []
    if kind.operators or fact.organisation_id is not None:
        endpoints = WebhookEndpoint.objects.select_related("key").filter(
            Q(kinds=[]) | Q(kinds__contains=[fact.kind]),
            organisation=None if kind.operators else fact.organisation_id,
            removed_at=None,
        )
        deliveries = [
            Delivery(fact=fact, endpoint=endpoint)
            for endpoint in endpoints
            if not has_ended(endpoint)
        ]
    return deliveries + [Delivery(fact=fact, user=user) for user in _readers(fact)]


def _readers(fact: Fact) -> list[User]:
    kind = KINDS[fact.kind]
    if kind.operators:
        return list(User.objects.filter(operator=True, is_active=True))
    if kind.personal:
        return list(User.objects.filter(id__in=fact.people, is_active=True))
    members = Membership.objects.select_related("user").filter(
        Q(_reached(fact), role__in=kind.roles) | Q(user__in=fact.people),
        organisation=fact.organisation_id,
        user__is_active=True,
    )
    readers = [member.user for member in members]
    if kind.to_visitors:
        visitors = User.objects.filter(id__in=fact.people, operator=True, is_active=True)
        readers += visitors.exclude(id__in=[user.pk for user in readers])
    return readers


def _reached(fact: Fact) -> Q:
    """Select the members whose role reaches what the fact is about. A member who is limited to
    teams sees only what is of these, so nothing of the organisation as a whole either."""
    reached = Q(all_teams=True)
    if fact.team_id is not None:
        reached |= Q(id__in=Membership.objects.filter(teams=fact.team_id).values("id"))
    return reached


def _tries_since_repeat(delivery: Delivery) -> int:
    tries = 0
    for attempt in delivery.tries:
        tries = 0 if attempt.get("asked") else tries + 1
    return tries


_LEASE = """
    UPDATE notify_delivery SET due_at = statement_timestamp() + %(lease)s * interval '1 second'
    WHERE id = ANY (ARRAY(
        SELECT d.id FROM notify_delivery d JOIN outbox_fact f ON f.id = d.fact_id
        WHERE d.state = 'pending' AND d.due_at <= statement_timestamp()
        AND f.kind = ANY(%(kinds)s)
        ORDER BY d.due_at LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED
    ))
    RETURNING id"""
