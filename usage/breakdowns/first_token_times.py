"""Recent times to the first token."""

from typing import Final, NamedTuple

from accounts.access.actors import Actor
from lib import clock
from usage.breakdowns.explorer import explore
from usage.filters.filters import from_query
from usage.rollups.levels import read_freshness

_LATELY: Final = {"range": ["24h"]}


class Latency(NamedTuple):
    """The time to the first token of some answers, in milliseconds; `model` None for all models."""

    model: str | None
    p50_ms: int
    p95_ms: int


def first_token_times(actor: Actor) -> list[Latency]:
    """Return the times of the answers of the last 24 hours: of all, then of each model."""
    lately = from_query(_LATELY, clock.now(), channels=actor.operator)
    at = read_freshness()
    models = [
        (cell.groups[0].value if cell.groups else None, cell.times.ttft)
        for by in ([], ["model"])
        for cell in explore(actor, lately, by, at, timed=True).cells
        if cell.times is not None
    ]
    return [Latency(model, ttft[0], ttft[1]) for model, ttft in models if ttft]
