from collections import Counter

from gateway.channel_order.channel_order import Candidate, Route, plan
from lib.id_types import UpstreamModelName


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.channel_id for candidate in candidates]


def test_exact_name_before_longer_pattern_before_shorter() -> None:
    routes = [
        Route("short", "gpt-*", priority=-1),
        Route("long", "gpt-5*", upstream_model="up"),
        Route("exact", "gpt-5", priority=9, retries=1),
        Route("other", "claude"),
    ]
    assert plan("gpt-5", routes, seed=1) == [
        Candidate("exact", UpstreamModelName("gpt-5"), 1),
        Candidate("long", UpstreamModelName("up"), 2),
        Candidate("short", UpstreamModelName("gpt-5"), 2),
    ]


def test_a_channel_stands_once_with_its_closest_route() -> None:
    routes = [Route("a", "m*", "far"), Route("a", "m", "near"), Route("a", "*", "off")]
    assert plan("m", routes, seed=1) == [Candidate("a", UpstreamModelName("near"), 2)]


def test_priority_and_skip() -> None:
    routes = [Route("b", "m", priority=1), Route("a", "m", priority=2), Route("c", "m")]
    assert ids(plan("m", routes, seed=5)) == ["c", "b", "a"]
    assert ids(plan("m", routes, seed=5, skip={"c"})) == ["b", "a"]
    assert plan("x", routes, seed=5) == []


def test_each_candidate_explains_its_position() -> None:
    alone = plan("m", [Route("a", "m")], seed=1)
    ranked = plan("m", [Route("a", "m"), Route("b", "m", priority=1)], seed=1)
    drawn = plan("m", [Route("a", "m"), Route("b", "m"), Route("c", "m", priority=1)], seed=1)
    assert [item.why for item in alone] == ["only"]
    assert [item.why for item in ranked] == ["priority", "priority"]
    assert [item.why for item in drawn] == ["weight", "weight", "priority"]


def test_weights_share_the_first_place() -> None:
    routes = [Route("a", "m", weight=3), Route("b", "m", weight=1), Route("z", "m", weight=0)]
    drawn = [ids(plan("m", routes, seed=seed)) for seed in range(4_000)]
    first = Counter(order[0] for order in drawn)
    assert 2_850 < first["a"] < 3_150
    assert first["b"] == 4_000 - first["a"]
    assert all(order[2] == "z" for order in drawn)


def test_the_order_of_the_routes_does_not_matter() -> None:
    routes = [Route(name, "m", weight=weight) for weight, name in enumerate("abcd")]
    for seed in (0, -1, 2**70):
        assert plan("m", routes, seed=seed) == plan("m", routes[::-1], seed=seed)
