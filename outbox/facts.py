"""The one way to tell something: a row in the transaction of the fact itself.

What rolls back was never told; what is committed is told at least once, whatever dies meanwhile.
"""

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from outbox.models import Fact


def put(
    kind: str, organisation_id: UUID | None, *, people: Iterable[int] = (), **body: object
) -> UUID:
    """Write a fact in the caller's transaction; its id, which every telling of it carries.

    `people` are ids of members whom it concerns, whatever their role is.

    `kind` is a noun and a past verb (`topup.paid`); the kinds that are told stand in
    `notify/deliveries/kinds.py`.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"{kind} is told outside of the transaction that makes it true")
    fact = Fact.objects.create(
        kind=kind, organisation_id=organisation_id, body=body, people=sorted(set(people))
    )
    return fact.id


def told_since(kind: str, at: dt.datetime) -> bool:
    """Whether a fact of the kind was put after an instant."""
    return Fact.objects.filter(kind=kind, created_at__gt=at).exists()
