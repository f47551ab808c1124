"""Write facts to the outbox, in the transaction of the change that they report. A change that rolls
back is never reported; a committed one is reported at least once, even after a crash."""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from outbox.models import Fact


def put(
    kind: str,
    organisation_id: UUID | None,
    team_id: UUID | None = None,
    /,
    *,
    people: Iterable[int] = (),
    **body: object,
) -> UUID:
    """Write a fact in the caller's transaction. Return its id, which all deliveries of it carry.

    `team_id` is the team of what the fact is about; members who are limited to other teams do not
    learn of it. `people` are ids of members whom it concerns, whatever their role. `kind` is a noun
    and a past participle (`topup.paid`); notify/events/kinds.py lists the kinds that are delivered.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"{kind} is told outside of the transaction that makes it true")
    fact = Fact.objects.create(
        kind=kind,
        organisation_id=organisation_id,
        team_id=team_id,
        body=body,
        people=sorted(set(people)),
    )
    return fact.id


def was_reported_since(kind: str, at: dt.datetime) -> bool:
    """Return whether a fact of the kind was put after an instant."""
    return Fact.objects.filter(kind=kind, created_at__gt=at).exists()
