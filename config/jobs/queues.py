"""The amount of waiting work, and the age of the oldest."""

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple

from django.db import connection

from content.sinks.sinks import used_content_sinks
from lib import clock
from usage.sinks.sinks import used_sinks


class Queue(NamedTuple):
    """One kind of work. `nano` is the money that it holds."""

    name: str
    length: int
    oldest_s: float
    nano: int


def read_queues() -> list[Queue]:
    """Return all queues as of now."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES)
        queues = [
            Queue(name, length, float(seconds or 0), int(nano or 0))
            for name, length, seconds, nano in cursor
        ]
    return [*queues, *_sinks()]


def _sinks() -> Iterator[Queue]:
    """Yield what waits for each sink of usage and of the content log, counted from its mark on."""
    for sink in used_sinks():
        waiting, complete_to, _ = sink.backlog()
        yield _queue_of(sink.name, waiting, complete_to)
    for content_sink in used_content_sinks():
        waiting, complete_to, *_ = content_sink.backlog()
        yield _queue_of(content_sink.name, waiting, complete_to)


def _queue_of(name: str, waiting: int, complete_to: dt.datetime | None) -> Queue:
    since = complete_to if waiting else None
    age_s = (clock.now() - since).total_seconds() if since else 0.0
    return Queue(name, waiting, age_s, 0)


# A delivery or an email that waits for its time is not late; only due ones count.
_QUEUES: Final = """
    SELECT 'holds', count(*), extract(epoch FROM now() - min(opened_at)), sum(amount_nano)
    FROM billing_hold WHERE state = 'open'
    UNION ALL
    SELECT 'holds_to_decide', count(*), extract(epoch FROM now() - min(opened_at)), NULL
    FROM billing_hold WHERE state = 'kept'
    UNION ALL
    SELECT 'events', count(*), extract(epoch FROM now() - min(created_at)), NULL
    FROM outbox_fact WHERE taken_at IS NULL
    UNION ALL
    SELECT 'deliveries', count(*), extract(epoch FROM now() - min(due_at)), NULL
    FROM notify_delivery WHERE state = 'pending' AND due_at <= now()
    UNION ALL
    SELECT 'price_previews', count(*), extract(epoch FROM now() - min(created_at)), NULL
    FROM gateway_pricepreview WHERE state IN ('queued', 'running')
    UNION ALL
    SELECT 'late_usage', count(*), extract(epoch FROM now() - min(learnt_at)), NULL
    FROM usage_latetruth WHERE posted_at IS NULL AND meters IS NOT NULL"""
