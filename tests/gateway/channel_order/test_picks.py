"""How channels of equal rank are ordered where a rule says more than their weights."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from gateway.channel_order.channel_order import Ordering, Route, plan
from gateway.channel_order.tie_breaking import Measured, Pick, figures_of, order_keys

SLOW = Measured(10, 9_000, 20_000, 1_000, 10_000, 8_000, 0)
FAST = Measured(10, 1_000, 30_000, 4_000, 10_000, 8_000, 7_200)
RATES = {
    "slow": {"in_text": 100, "in_cache_read": 100, "out_text": 400},
    "fast": {"in_text": 120, "in_cache_read": 12, "out_text": 480},
}


def ids(routes: Sequence[Route], ordering: Ordering | None, seed: int = 1) -> list[str]:
    return [item.channel_id for item in plan("m", routes, seed=seed, ordering=ordering)]


@pytest.mark.parametrize(
    ("pick", "first"),
    [("latency", "slow"), ("ttft", "fast"), ("throughput", "fast"), ("price", "fast")],
)
def test_each_figure_has_its_best(pick: Pick, first: str) -> None:
    """Of the price: the dearer list is the cheaper one where 9 of 10 tokens come from a cache."""
    figures = figures_of(pick, {"slow": SLOW, "fast": FAST}, RATES)
    routes = [Route("slow", "m", weight=9), Route("fast", "m")]
    order = ids(routes, Ordering(pick, figures))
    assert (order[0], len(order)) == (first, 2)
    assert plan("m", routes, seed=1, ordering=Ordering(pick, figures))[0].why == pick


def test_measures_match_their_names() -> None:
    """Milliseconds; tokens a second, of which more is better; what a token of input costs with its
    share of the output, of which the model usually writes 5 for 16."""
    both = {"slow": SLOW, "fast": FAST}
    assert figures_of("latency", both, {}) == {"slow": 2_000.0, "fast": 3_000.0}
    assert figures_of("ttft", both, {}) == {"slow": 900.0, "fast": 100.0}
    assert figures_of("throughput", both, {}) == {"slow": -100.0, "fast": -400.0}
    prices = {**RATES, "free": {}, "read": {"in_text": 80}}
    assert figures_of("price", both, prices) == pytest.approx(
        {
            "slow": 100 + 400 * 5 / 16,
            "fast": 120 / 10 + 12 * 9 / 10 + 480 * 5 / 16,
            "free": 0,
            "read": 80,
        }
    )


IN, CACHED, OUT = {"in_text": 120}, {"in_cache_read": 12}, {"out_text": 480}


@pytest.mark.parametrize(
    ("rates", "cost"),
    [
        (IN | CACHED | OUT, 120 / 10 + 12 * 9 / 10 + 480 / 2),
        (IN | OUT, 120 + 480 / 2),
        (IN | CACHED, 120 / 10 + 12 * 9 / 10),
        (IN, 120),
        (CACHED | OUT, 12 * 9 / 10 + 480 / 2),
        (CACHED, 12 * 9 / 10),
        (OUT, 480 / 2),
        ({}, 0),
        # A rate of 0 is a rate.
        (IN | {"in_cache_read": 0}, 120 / 10),
    ],
    ids=lambda one: "+".join(one) or "free" if isinstance(one, dict) else None,
)
def test_a_missing_rate_is_free_but_cache_reads_then_cost_what_other_input_does(
    rates: dict[str, int], cost: float
) -> None:
    """Of 10 tokens of input, 9 come from a cache and 5 of output follow."""
    measured = Measured(input_tokens=1_000, cached_tokens=900, output_tokens=500)
    assert figures_of("price", {"a": measured}, {"a": rates}) == pytest.approx({"a": cost})


def test_a_channel_without_a_rate_of_cache_reads_does_not_win_by_it() -> None:
    figures = figures_of(
        "price", {"plain": FAST, "cached": FAST}, {"plain": IN | OUT, "cached": IN | CACHED | OUT}
    )
    routes = [Route("plain", "m", weight=9), Route("cached", "m")]
    assert ids(routes, Ordering("price", figures)) == ["cached", "plain"]


@pytest.mark.parametrize("some", [Measured(output_tokens=5), Measured(writing_ms=5)])
def test_tokens_and_time_are_no_measure_without_each_other(some: Measured) -> None:
    assert figures_of("throughput", {"a": some}, {}) == {}


def test_processes_of_two_releases_agree_on_the_order() -> None:
    assert order_keys([UUID(int=n) for n in range(5)], b"x") == [1, 3, 0, 2, 4]
    routes = [Route(name, "m") for name in "abcd"]
    assert ids(routes, Ordering("user", key=b"x")) == ["c", "d", "b", "a"]


def test_without_cache_hits_the_lower_price_is_lower() -> None:
    cold = FAST._replace(cached_tokens=0)
    figures = figures_of("price", {"slow": SLOW, "fast": cold}, RATES)
    assert figures["slow"] < figures["fast"]
    # Of a new channel nothing is known but what it costs.
    assert figures_of("price", {}, RATES).keys() == {"slow", "fast"}


def test_unknown_channel_shares_with_the_best_by_weight() -> None:
    routes = [Route("best", "m", weight=3), Route("new", "m"), Route("worse", "m", weight=50)]
    ordering = Ordering("ttft", {"best": 100.0, "worse": 101.0})
    orders = [ids(routes, ordering, seed) for seed in range(4_000)]
    first = Counter(order[0] for order in orders)
    assert 2_850 < first["best"] < 3_150
    assert {order[2] for order in orders} == {"worse"}
    assert first["worse"] == 0


def test_zero_weights_and_lower_ranks_come_last() -> None:
    routes = [
        Route("a", "m"),
        Route("b", "m"),
        Route("idle", "m", weight=0),
        Route("far", "m", priority=1),
    ]
    figures = {"a": 3.0, "b": 2.0, "idle": 0.0, "far": 0.0}
    assert ids(routes, Ordering("in_flight", figures)) == ["b", "a", "idle", "far"]
    sticky = [ids(routes, Ordering("user", key=bytes([n]))) for n in range(200)]
    assert {tuple(order[2:]) for order in sticky} == {("idle", "far")}
    whys = [c.why for c in plan("m", routes, seed=1, ordering=Ordering("user", key=b"x"))]
    assert whys == ["user", "user", "user", "priority"]


def test_conversations_move_only_from_a_removed_channel() -> None:
    routes = [
        Route(name, "m", weight=weight) for name, weight in zip("abcd", (1, 1, 2, 4), strict=True)
    ]
    keys = [str(n).encode() for n in range(4_000)]
    orders: dict[bytes, list[str]] = {
        key: ids(routes, Ordering("conversation", key=key), seed=n) for n, key in enumerate(keys)
    }
    shares = Counter(order[0] for order in orders.values())
    assert 1_850 < shares["d"] < 2_150
    assert 400 < shares["a"] < 600
    for key, order in orders.items():
        assert ids(routes, Ordering("conversation", key=key), seed=0) == order
        left = [route for route in routes if route.channel_id != "d"]
        moved = ids(left, Ordering("conversation", key=key))
        assert moved == [name for name in order if name != "d"]


def test_affinity_moves_only_from_a_removed_key() -> None:
    key_ids = [UUID(int=n) for n in range(5)]
    first = {}
    for n in range(2_000):
        order = order_keys(key_ids, bytes([n % 256, n // 256]))
        assert sorted(order) == [0, 1, 2, 3, 4]
        first[n] = order[0]
        # The third key is removed: the others stay where they are, whatever their positions.
        left = order_keys(key_ids[:2] + key_ids[3:], bytes([n % 256, n // 256]))
        assert [at + (at > 1) for at in left] == [at for at in order if at != 2]
    assert {350 < count < 450 for count in Counter(first.values()).values()} == {True}
    assert order_keys([], b"x") == []


@pytest.mark.parametrize("pick", ["latency", "ttft", "throughput"])
def test_unknown_measure_is_none(pick: Any) -> None:
    assert figures_of(pick, {"a": Measured()}, {}) == {}
