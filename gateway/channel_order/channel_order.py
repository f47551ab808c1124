"""Which channels may answer for a model, and in which order.

A route that names the model comes before a route whose pattern matches it, a longer pattern before
a shorter one. Among equals a lower priority comes first. Among those, the order is drawn by weight
from the caller's seed, so that the same seed always gives the same order, or it follows an
operator's rule for the model (`tie_breaking.py`), such as their speed.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from billing.prices.name_patterns import match_order, matches
from gateway.channel_order.retries import RETRIES
from gateway.channel_order.tie_breaking import STICKY, Pick, closeness
from lib.id_types import UpstreamModelName
from usage.requests.choices import SkipReason, Why

_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Route:
    """A channel's offer to answer for a model name or a pattern with `*`.

    `upstream_model` is the name there, "" for the requested one. `weight` 0 comes after every other
    weight of the same priority. `retries` is how many further attempts may follow a failure here.
    `overrides` are an operator's corrections of the model's capabilities there.
    """

    channel_id: str
    model: str
    upstream_model: str = ""
    priority: int = 0
    weight: int = 1
    retries: int = RETRIES
    overrides: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A channel that may be tried, the model's name there, and the reason for its position."""

    channel_id: str
    upstream_model: UpstreamModelName
    retries: int
    overrides: frozenset[tuple[str, int]] = frozenset()
    why: Why = field(default="only", compare=False)


class Skipped(NamedTuple):
    """A channel of the model that is passed over. `wait_s` is the time until a request without an
    alternative may use it, 0 if it is not worth waiting for."""

    channel_id: str
    reason: SkipReason
    wait_s: float = 0.0


class Ordering(NamedTuple):
    """How to order channels of equal rank: by `figures` (lower is better), or by `key`. A channel
    without a figure counts as the best known one, so that it gets requests until it has a
    figure."""

    pick: Pick
    figures: Mapping[str, float] = {}
    key: bytes = b""


def plan(
    model: str,
    routes: Iterable[Route],
    *,
    seed: int,
    skip: Collection[str] = (),
    ordering: Ordering | None = None,
) -> list[Candidate]:
    """Return every channel that may answer for `model`, best first, each once. `ordering` decides
    among equals; None means by weight.

    `skip` are the ids of channels that are unavailable (open breaker, resting). The result is empty
    if none is left.
    """
    ranked = _closest(model, routes, skip)
    by_pick: Why = "weight" if ordering is None else ordering.pick
    candidates = []
    for _, group in groupby(ranked, key=_rank):
        equals = list(group)
        why: Why = by_pick if len(equals) > 1 else "priority" if len(ranked) > 1 else "only"
        if ordering is None or len(equals) == 1:
            in_order = _draw(equals, seed)
        else:
            in_order = _order_by_rule(equals, ordering, seed)
        for route in in_order:
            upstream_model = UpstreamModelName(route.upstream_model or model)
            candidates.append(
                Candidate(route.channel_id, upstream_model, route.retries, route.overrides, why)
            )
    return candidates


def first_place_percent(
    model: str, routes: Iterable[Route], channel_ids: Collection[str]
) -> dict[str, int]:
    """Return the percentage with which each of these channels is drawn first among those of equal
    rank, if there are several."""
    ranked = [route for route in _closest(model, routes) if route.channel_id in channel_ids]
    shares: dict[str, int] = {}
    for _, group in groupby(ranked, key=_rank):
        equals = list(group)
        total = sum(route.weight for route in equals)
        if len(equals) > 1 and total:
            shares |= {route.channel_id: round(100 * route.weight / total) for route in equals}
    return shares


def _closest(model: str, routes: Iterable[Route], skip: Collection[str] = ()) -> list[Route]:
    """Return the best-matching route of each channel, those of equal rank next to each other."""
    best: dict[str, Route] = {}
    for route in routes:
        if route.channel_id in skip or not matches(route.model, model):
            continue
        known = best.get(route.channel_id)
        if known is None or _rank(route) < _rank(known):
            best[route.channel_id] = route
    return sorted(best.values(), key=lambda route: (*_rank(route), route.channel_id))


def _rank(route: Route) -> tuple[bool, int, int]:
    return *match_order(route.model), route.priority


def _order_by_rule(equals: list[Route], ordering: Ordering, seed: int) -> list[Route]:
    """Return routes of equal rank in the order of the rule. Those with equal figures are drawn by
    weight."""
    if ordering.pick in STICKY:
        return sorted(
            equals,
            key=lambda route: closeness(route.channel_id, route.weight, ordering.key),
            reverse=True,
        )
    known = [
        ordering.figures[route.channel_id]
        for route in equals
        if route.channel_id in ordering.figures
    ]
    best = min(known, default=0.0)
    figure = {route.channel_id: ordering.figures.get(route.channel_id, best) for route in equals}
    drawn = _draw(equals, seed)
    return sorted(drawn, key=lambda route: (not route.weight, figure[route.channel_id]))


def _draw(routes: list[Route], seed: int) -> list[Route]:
    """Draw routes one after the other, each with a probability in proportion to its weight."""
    order = []
    state = seed & _MASK
    while routes:
        edges = list(accumulate(route.weight for route in routes))
        state, drawn = _scramble(state)
        at = bisect_right(edges, drawn % edges[-1]) if edges[-1] else 0
        order.append(routes.pop(at))
    return order


def _scramble(state: int) -> tuple[int, int]:
    """Do one step of SplitMix64 (Steele, Lea, Flood 2014). Return the next state and 64 mixed
    bits."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return state, mixed ^ (mixed >> 31)
