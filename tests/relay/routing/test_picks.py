"""Which of a model's channels answers where an operator's rule picks: by figures that all processes
share, or the same one for a conversation and for a user."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from lib.ids import new_id
from relay.asgi import Relay
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.pages.test_in_process import config, principal
from tests.support.hub import RATES, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


def equals(hub: Hub, fakes: tuple[FakeUpstream, FakeUpstream], pick: str) -> str:
    """A model with two channels of equal rank, east and west, and the rule; no process knows it."""
    model = f"pick-{new_id().hex[-8:]}"
    hub.price(model, RATES)
    for name, fake in zip(("east", "west"), fakes, strict=True):
        channel_id = hub.channel(model, fake.url, fake.key)
        hub.connection.execute(
            "UPDATE gateway_channel SET name = %s WHERE id = %s", [f"{model} {name}", channel_id]
        )
    hub.connection.execute(
        "INSERT INTO gateway_modelrule (model, fallbacks, causes, pick) VALUES (%s,'{}','{}',%s)",
        [model, pick],
    )
    return model


def did(hub: Hub, model: str, name: str, **measured: int) -> None:
    """What is counted of one of them."""
    counts = {"attempts": 9, "failed": 0, "requests": 9, "failed_requests": 0, "output_tokens": 0}
    counts |= {"writing_ms": 0} | measured
    hub.connection.execute(
        f"INSERT INTO gateway_trafficbucket (bucket_at, channel_id, model, first_tokens, "
        f"{', '.join(counts)}) SELECT now(), id, %s, '{{}}', {', '.join(['%s'] * len(counts))} "
        "FROM gateway_channel WHERE name = %s",
        [model, *counts.values(), f"{model} {name}"],
    )


async def channels(hub: Hub, tenant: Tenant, bodies: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(channel, why) of the first attempt for each."""
    relay = Relay(config(hub))
    await relay.start()
    ids = [new_id() for _ in bodies]
    try:
        who = await principal(relay, hub, tenant)
        for body, request_id in zip(bodies, ids, strict=True):
            raw = json.dumps(body).encode()
            chat = relay.in_process.chat(who, raw, source="api", request_id=request_id)
            assert [item.status async for item in chat if isinstance(item, Outcome)] == [200]
    finally:
        await relay.stop()
    rows = await asyncio.to_thread(
        hub.rows,
        "SELECT request_id, right(channel_name, 4) AS name, why FROM usage_attempt "
        "WHERE request_id = ANY (%s) AND n = 1",
        ids,
    )
    results = {row["request_id"]: (row["name"], row["why"]) for row in rows}
    return [results[request_id] for request_id in ids]


@pytest.mark.parametrize(
    ("pick", "east", "west", "first"),
    [
        ("ttft", {"first_token_ms": 90}, {"first_token_ms": 91}, "east"),
        ("latency", {"answer_ms": 91}, {"answer_ms": 90}, "west"),
        (
            "throughput",
            {"output_tokens": 10, "writing_ms": 10},
            {"output_tokens": 11, "writing_ms": 10},
            "west",
        ),
    ],
)
async def test_best_channel_by_the_measure_is_asked(
    hub: Hub,
    fake: FakeUpstream,
    other_fake: FakeUpstream,
    pick: str,
    east: dict[str, int],
    west: dict[str, int],
    first: str,
) -> None:
    tenant, model = hub.tenant(), equals(hub, (fake, other_fake), pick)
    did(hub, model, "east", answers=9, **east)
    did(hub, model, "west", answers=9, **west)
    assert await channels(hub, tenant, [ask(model, "#tokens=1")] * 4) == [(first, pick)] * 4


async def test_the_cheapest_is_asked_with_its_cache_hits(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), equals(hub, (fake, other_fake), "price")
    dear = {"in_text": 3_000_000, "in_cache_read": 300_000, "out_text": 3_000_000}
    hub.price(model, RATES, kind="cost", channel=f"{model} east")
    hub.price(model, dear, kind="cost", channel=f"{model} west")
    body = ask(model, "#tokens=1")
    assert await channels(hub, tenant, [body]) == [("east", "price")]
    did(hub, model, "west", input_tokens=100, cached_tokens=90)
    assert await channels(hub, tenant, [body]) == [("west", "price")]


async def test_channel_with_the_fewest_running_answers_is_asked(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """Also of what another process has begun."""
    tenant, model = hub.tenant(), equals(hub, (fake, other_fake), "in_flight")
    relay = Relay(config(hub))
    await relay.start()
    try:
        who = await principal(relay, hub, tenant)
        raw = json.dumps(ask(model, "#hold=1 #tokens=1")).encode()

        async def answered() -> None:
            async for _ in relay.in_process.chat(who, raw, source="api"):
                pass

        asks = [asyncio.create_task(answered()) for _ in range(6)]
        wanted = {"east": 3, "west": 3}

        def running() -> dict[str, int]:
            rows = hub.rows(
                "SELECT right(channel_name, 4) AS name, count(*) FROM usage_attempt "
                "WHERE organisation_id = %s GROUP BY 1",
                tenant.organisation_id,
            )
            return {row["name"]: row["count"] for row in rows}

        await asyncio.to_thread(hub.wait, lambda: running() == wanted, "they do not share")
        # A process that begins knows of them by the holds that are open.
        other = Relay(config(hub))
        await other.start()
        try:
            assert other._life is not None
            snapshot, measures = other._life.refresher.snapshot, other._life.parts.health.measures
            figures = measures.figures("in_flight", snapshot, model)
            assert sorted(figures.values()) == [3, 3]
        finally:
            await other.stop()
        for one in (fake, other_fake):
            await asyncio.to_thread(one.release)
        await asyncio.gather(*asks)
    finally:
        await relay.stop()


async def test_a_conversation_and_a_user_stay_with_their_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant = hub.tenant()
    model = equals(hub, (fake, other_fake), "conversation")
    bodies = []
    # Of twenty all come to the same channel once in half a million times.
    for n in range(20):
        first = [
            {"role": "system", "content": "#tokens=1"},
            {"role": "user", "content": f"question {n}"},
        ]
        further = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "more"}]
        bodies += [{"model": model, "messages": first}]
        bodies += [{"model": model, "messages": first + further}]
    asked = await channels(hub, tenant, bodies)
    assert {why for _, why in asked} == {"conversation"}
    assert asked[::2] == asked[1::2]
    assert len(Counter(asked)) == 2
    by_user = equals(hub, (fake, other_fake), "user")
    bodies = [ask(by_user, f"#tokens=1 {n}", user=f"u-{n % 20}") for n in range(40)]
    asked = await channels(hub, tenant, bodies)
    assert asked[:20] == asked[20:]
    assert len(Counter(asked)) == 2
