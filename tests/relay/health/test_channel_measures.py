"""The measurements by which an operator's rule picks among channels: whose, of which model, and how
recent."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.channel_order.channel_order import Route
from relay.database.database import Row, Statement
from relay.health.channel_measures import RECENT_S, ChannelMeasures

A, B = "channel-a", "channel-b"
ENDED: list[Row] = [
    # answers, ms to the first content, ms to the end, output tokens, ms of writing, input, cached
    (A, "m", "10", "1000", "9000", "500", "5000", "0", "0"),
    (B, "m-*", "10", "3000", "6000", "900", "3000", "0", "0"),
    (B, "m-long-*", "10", "7000", "8000", "100", "4000", "0", "0"),
    (B, "other", "10", "1", "1", "1", "1", "0", "0"),
]


class Database:
    def __init__(self, running: Sequence[Row] = ()) -> None:
        self.asked: list[str] = []
        self.running = list(running)

    async def ask(self, statement: Statement) -> list[Row]:
        text, parameters = statement
        ended = "trafficbucket" in text
        self.asked.append("ended" if ended else "running")
        assert not ended or dict(parameters) == {"recent": RECENT_S}
        return ENDED if ended else self.running


def snapshot(*picks: str) -> Any:
    return SimpleNamespace(
        rules=[SimpleNamespace(pick=pick) for pick in picks],
        routes_of=lambda _: [Route(A, "m"), Route(B, "m")],
    )


async def measured(pick: str, model: str, **more: Any) -> dict[str, float]:
    measures = ChannelMeasures(lambda: 100.0, lambda: more.get("here", {}))
    await measures.refresh(snapshot(pick), Database(more.get("running", ())).ask)
    return dict(measures.figures(pick, snapshot(pick), model))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pick", "model", "wanted"),
    [
        ("ttft", "m", {A: 100.0}),
        ("latency", "m", {A: 900.0}),
        ("throughput", "m", {A: -100.0}),
        # A channel that serves a pattern is measured by the closest one.
        ("ttft", "m-1", {B: 300.0}),
        ("ttft", "m-long-1", {B: 700.0}),
        ("latency", "m-long-1", {B: 800.0}),
        ("throughput", "m-1", {B: -300.0}),
        ("latency", "unknown", {}),
    ],
)
async def test_channel_is_measured_by_the_model_that_is_asked_for(
    pick: str, model: str, wanted: dict[str, float]
) -> None:
    assert await measured(pick, model) == wanted


async def test_running_requests_are_those_of_all_processes_and_begun_here_since() -> None:
    here = {A: 2, B: 1}
    running: list[Row] = [(A, "5"), (B, "1")]
    measures = ChannelMeasures(lambda: 100.0, lambda: here)
    await measures.refresh(snapshot("in_flight"), Database(running).ask)
    assert measures.figures("in_flight", snapshot(), "m") == {A: 5, B: 1}
    # Those of this process are known at once, without another look.
    here |= {A: 4, B: 0}
    assert measures.figures("in_flight", snapshot(), "m") == {A: 7, B: 0}
    here |= {A: 0}
    assert measures.figures("in_flight", snapshot(), "m") == {A: 3, B: 0}


async def test_channel_runs_no_fewer_than_no_requests() -> None:
    # Two have begun here of which the database knows one yet; then both end.
    here = {A: 2}
    measures = ChannelMeasures(lambda: 100.0, lambda: here)
    await measures.refresh(snapshot("in_flight"), Database([(A, "1")]).ask)
    here.clear()
    assert measures.figures("in_flight", snapshot(), "m") == {A: 0, B: 0}


async def test_nothing_is_read_that_no_rule_needs_and_finished_ones_not_each_time() -> None:
    now = [100.0]
    measures, database = ChannelMeasures(lambda: now[0], dict), Database()
    await measures.refresh(snapshot("weight"), database.ask)
    assert database.asked == []
    for now[0] in (100.0, 109.0, 110.0):
        await measures.refresh(snapshot("latency", "in_flight"), database.ask)
    assert database.asked == ["running", "ended", "running", "running", "ended"]
