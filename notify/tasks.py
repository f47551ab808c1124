"""Deliver the outbox. Each task may run twice, late, or in several processes concurrently."""

import datetime as dt
from uuid import UUID

from celery import Task, shared_task

from lib import clock
from notify.deliveries import deliveries, sending

_BATCH = 200


@shared_task  # type: ignore[untyped-decorator]
def tell() -> None:
    """Find receivers for new facts, and wake a worker for each due delivery."""
    while deliveries.spread_facts(_BATCH) == _BATCH:
        continue
    for delivery_id in deliveries.lease_due(_BATCH):
        # After the lease another task gets the delivery, so a message that is not fetched by then
        # must expire.
        deliver.apply_async([str(delivery_id)], expires=deliveries.LEASE_S)


@shared_task(bind=True)  # type: ignore[untyped-decorator]
def deliver(self: Task, delivery_id: str) -> None:
    # Celery lets a message expire only until a thread is to run it, and that may take a while.
    expires = self.request.expires
    if expires is not None and dt.datetime.fromisoformat(expires) <= clock.now():
        return
    sending.send(UUID(delivery_id))


@shared_task  # type: ignore[untyped-decorator]
def drop_old() -> int:
    return deliveries.drop_old()
