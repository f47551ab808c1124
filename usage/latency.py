"""How long the newest answers took to begin."""

import datetime as dt
from typing import Final, NamedTuple

from accounts.actors import Actor
from lib import clock
from usage.filters import EVERYTHING
from usage.visibility import Period, run, sees_requests, where_of

SINCE: Final = dt.timedelta(hours=24)
ANSWERS_MAX: Final = 1000


class Latency(NamedTuple):
    """Time to first token of some answers, in milliseconds; `model` None for all of them."""

    model: str | None
    answers: int
    p50_ms: int
    p95_ms: int


def first_token_times(actor: Actor) -> list[Latency]:
    """Of the newest 1,000 answers of the last 24 hours: all, then each model, the most used first;
    none for who may see no request.

    So many tell as well as all of them do, and are read from the end of an index.
    """
    if not sees_requests(actor):
        return []
    period = Period(start_at=clock.now() - SINCE)
    where = where_of(actor, "requests.read", EVERYTHING, period)
    rows = run(_TIMES.format(where=where.text), {**where.parameters, "most": ANSWERS_MAX})
    return [Latency(*row) for row in rows if row[1]]


_TIMES: Final = """
    WITH latest AS (
        SELECT r.model, r.ttft_ms FROM usage_usagerecord r
        WHERE {where} AND r.final AND r.ttft_ms IS NOT NULL
        ORDER BY r.id DESC LIMIT %(most)s
    )
    SELECT CASE WHEN grouping(model) = 0 THEN model END, count(*),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY ttft_ms),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY ttft_ms)
    FROM latest GROUP BY GROUPING SETS ((), (model))
    ORDER BY grouping(model) DESC, 2 DESC, 1"""
