"""What a preview tells is what the relay then does: for generated set-ups of routes, the channels
that are asked, in their order, where each fails in turn."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
import pytest_asyncio

from accounts.limits.data_policy import NO_POLICY, DataPolicy, policy_of
from dialects.errors.errors import RequestFault
from gateway.breaker.channel_state import BarReason, Sought
from gateway.channel_order.tie_breaking import MEASURED, PICKS, STICKY
from gateway.routing.model_rule_bounds import CAUSES
from lib.ids import new_id
from relay.asgi import Relay
from relay.health.channel_health import Health
from relay.health.channel_measures import ChannelMeasures
from relay.previews.route_preview import RoutePreview, _fit
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.pages.test_in_process import config, principal
from tests.support.hub import RATES, Hub, Tenant

PATH = "/v1/chat/completions"
SET_UPS = 40
_TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
_TROUBLES = {
    "key_refused": ("F5", 401, None),
    "cooling": ("F8", 429, 60_000),
    "misconfigured": ("F3", 0, None),
}


_OWN_LIMITS: Final = ("requests", "parallel")
_CONDITIONS: Final[tuple[dict[str, Any], ...]] = (
    {"requires": ["tools"]},
    {"excludes": ["tools"]},
    {"tags": ["beta"]},
    {"prompt_max": 1},
    {"plans": ["nobodys"]},
)
_POLICIES: Final = (
    DataPolicy(zero_retention=True),
    policy_of(zero_retention=False, regions=["eu"]),
)


class SetUp(NamedTuple):
    """A model and who serves it, and those that may answer in its place; the troubles of some
    channels, by their ids. `asked` is its own name or an alias, `policy` and `tags` are the key's,
    `running` how many requests each channel is answering elsewhere."""

    model: str
    asked: str
    fallbacks: list[str] | None
    seed: int
    tools: bool
    policy: DataPolicy
    tags: tuple[str, ...]
    troubles: dict[UUID, str]
    running: dict[str, int]


@pytest.fixture
def set_ups(hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream) -> list[SetUp]:
    chance = random.Random(1818)
    items: list[SetUp] = []
    for n in range(SET_UPS):
        earlier = [one.model for one in items[-3:]]
        items.append(_set_up(hub, (fake, other_fake), chance, n, earlier))
    return items


@pytest_asyncio.fixture
async def relay(
    hub: Hub, set_ups: list[SetUp], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Relay]:
    relay = Relay(config(hub))
    await relay.start()
    # What is read anew each second is not to change between the two.
    monkeypatch.setattr(ChannelMeasures, "refresh", AsyncMock())
    yield relay
    await relay.stop()


def _set_up(
    hub: Hub,
    fakes: tuple[FakeUpstream, FakeUpstream],
    chance: random.Random,
    n: int,
    earlier: list[str],
) -> SetUp:
    model, troubles, running = f"route-{n}-{new_id().hex[-6:]}", {}, {}
    hub.price(model, RATES)
    for number in range(chance.randint(1, 5)):
        fake = chance.choice(fakes)
        channel_id = hub.channel(
            model if chance.random() < 0.8 else f"{model[:-2]}*",
            fake.url,
            fake.key,
            priority=number,
            retries=chance.choice((0, 1, 2, 2, 2)),
        )
        hub.connection.execute(
            "UPDATE gateway_channel SET name = %s, priority = %s, weight = %s, uncapped = %s, "
            "enabled = %s, conditions = %s, zero_retention = %s, region = %s WHERE id = %s",
            [f"{model}/{number}", chance.choice((0, 0, 1)), chance.choice((0, 1, 5)),
             chance.random() < 0.15, chance.random() < 0.9,
             json.dumps(chance.choice(_CONDITIONS) if chance.random() < 0.3 else {}),
             chance.random() < 0.6, chance.choice(("", "eu", "eu-west-1")), channel_id],
        )  # fmt: skip
        if chance.random() < 0.7:
            _did_lately(hub, chance, channel_id, model)
            rates = {"in_text": chance.randint(1, 9) * 10**6, "out_text": 3 * 10**6}
            hub.price(model, rates, kind="cost", channel=f"{model}/{number}")
        running[str(channel_id)] = chance.randrange(5)
        can = {"tools": False} if chance.random() < 0.25 else {}
        hub.connection.execute(
            "UPDATE gateway_route SET can = %s WHERE channel_id = %s", [json.dumps(can), channel_id]
        )
        if chance.random() < 0.25:
            troubles[channel_id] = chance.choice([*sorted(_TROUBLES), *_OWN_LIMITS])
    if chance.random() < 0.6:
        causes = chance.sample(sorted(CAUSES), 2)
        fallbacks = earlier if chance.random() < 0.6 else []
        hub.connection.execute(
            "INSERT INTO gateway_modelrule (model, fallbacks, causes, pick) "
            "VALUES (%s, %s, %s, %s)",
            [model, fallbacks, causes, chance.choice(sorted(PICKS))],
        )
    asked = model
    if chance.random() < 0.3:
        asked = f"{model}-alias"
        hub.connection.execute(
            "INSERT INTO gateway_modelalias (name, target) VALUES (%s, %s), (%s, %s)",
            [asked, f"{model}-step", f"{model}-step", model],
        )
    return SetUp(
        model,
        asked,
        chance.choice((earlier, [], None, None)),
        chance.getrandbits(64),
        chance.random() < 0.5,
        chance.choice(_POLICIES) if chance.random() < 0.3 else NO_POLICY,
        ("beta",) if chance.random() < 0.5 else (),
        troubles,
        running,
    )


def _did_lately(hub: Hub, chance: random.Random, channel_id: UUID, model: str) -> None:
    """What is counted of a channel."""
    hub.connection.execute(
        "INSERT INTO gateway_trafficbucket (bucket_at, channel_id, model, attempts, failed, "
        "requests, failed_requests, output_tokens, writing_ms, first_tokens, answers, "
        "first_token_ms, answer_ms, input_tokens, cached_tokens) "
        "VALUES (now(), %s, %s, 9, 0, 9, 0, %s, 5000, '{}', 9, %s, %s, 900, %s)",
        [channel_id, model, *(chance.randint(1, 900) for _ in range(4))],
    )


async def test_previewed_order_is_the_order_taken(
    relay: Relay, set_ups: list[SetUp], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = hub.tenant()
    assert relay._life is not None
    health = relay._life.parts.health
    # Of what only fails, a few go out nevertheless, by chance.
    monkeypatch.setattr("relay.health.channel_health.PANIC_PERCENT", 0)
    lengths, whys, reasons = list[int](), set[str](), set[str]()
    for one_created in set_ups:
        monkeypatch.setattr("relay.routing.routing.draw_seed", lambda seed=one_created.seed: seed)
        # A rest of a channel that ends between the two would be a difference.
        moment = time.monotonic()
        monkeypatch.setattr(health, "now", lambda moment=moment: moment)
        _trouble(relay, health, one_created, tenant)
        health.measures._elsewhere = one_created.running
        message, taken = await _preview_and_attempts(relay, hub, tenant, one_created)
        assert [item.channel for item in message.attempts] == [name for name, _ in taken], (
            one_created
        )
        assert [item.why for item in message.attempts] == [why for _, why in taken], one_created
        lengths.append(len(taken))
        whys |= {why for _, why in taken}
        reasons |= {item.reason for item in message.skipped}
    # The set-ups are worth their name.
    assert {0, 1, 2, 3} <= set(lengths)
    assert {"fallback_rule", "model_fallback", "failover", "retry"} <= whys
    assert whys & MEASURED
    assert whys & STICKY
    assert {"retention", "region", "content", "label", "prompt_length", "requests"} <= reasons
    await asyncio.to_thread(hub.settled, tenant)
    await asyncio.to_thread(hub.assert_books_balance)


async def _preview_and_attempts(
    relay: Relay, hub: Hub, tenant: Tenant, set_up: SetUp
) -> tuple[RoutePreview, list[tuple[str, str]]]:
    over: dict[str, Any] = {"tools": _TOOLS} if set_up.tools else {}
    if set_up.fallbacks is not None:
        over["models"] = set_up.fallbacks
    raw = json.dumps(ask(set_up.asked, "#fault=F10 #tokens=1", **over)).encode()
    who = await principal(relay, hub, tenant)
    who = replace(who, data_policy=set_up.policy, tags=set_up.tags)
    route = await relay.in_process.preview_route(who, PATH, raw)
    request_id = new_id()
    chat = relay.in_process.chat(who, raw, source="api", request_id=request_id)
    (outcome,) = [item async for item in chat if isinstance(item, Outcome)]
    if route.refusal is not None:
        assert (outcome.status, outcome.kind) == (route.refusal.status, route.refusal.kind), set_up
    attempts = await asyncio.to_thread(
        hub.rows,
        "SELECT channel_name, why FROM usage_attempt WHERE request_id = %s ORDER BY n",
        request_id,
    )
    return route, [(row["channel_name"], row["why"]) for row in attempts]


def _trouble(relay: Relay, health: Health, set_up: SetUp, tenant: Tenant) -> None:
    assert relay._life is not None
    for channel_id, trouble in set_up.troubles.items():
        channel = relay._life.refresher.snapshot.channels.get(str(channel_id))
        if channel is None:
            continue
        if trouble in _OWN_LIMITS:
            health.bar(channel, cast(BarReason, trouble), 600.0)
            continue
        fault, status, retry_after_ms = _TROUBLES[trouble]
        failure = UpstreamFailed(
            fault, "upstream_error", "x", retry_after_ms=retry_after_ms, upstream_status=status
        )
        sought = Sought("fake", UUID(str(tenant.organisation_id)))
        health.blame(health.state_of(channel), 0, sought, health.now(), failure)


async def test_preview_explains_skips_and_sends_nothing(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    model = hub.model(fake, other_fake)
    tenant, relay = hub.tenant(), Relay(config(hub))
    await relay.start()
    try:
        assert relay._life is not None
        first = relay._life.refresher.snapshot.routes_of(model)[0].channel_id
        health, channels = relay._life.parts.health, relay._life.refresher.snapshot.channels
        failure = UpstreamFailed("F5", "upstream_auth", "x", upstream_status=401)
        sought = Sought("fake", UUID(str(tenant.organisation_id)))
        # The first 401 is tried once more.
        for _ in range(2):
            health.blame(health.state_of(channels[first]), 0, sought, health.now(), failure)
        who = await principal(relay, hub, tenant)
        asked_before = len(fake.books()) + len(other_fake.books())
        route = await relay.in_process.preview_route(who, PATH, json.dumps(ask(model)).encode())
        unknown = await relay.in_process.preview_route(
            who, PATH, json.dumps(ask("nobody")).encode()
        )
    finally:
        await relay.stop()
    skipped = [(item.channel, item.reason) for item in route.skipped]
    assert skipped == [(channels[first].name, "key_refused")]
    assert route.bound is not None
    assert route.bound.fits
    assert unknown.refusal is not None
    assert (unknown.refusal.kind, unknown.attempts) == ("model_not_found", ())
    assert len(fake.books()) + len(other_fake.books()) == asked_before
    await asyncio.to_thread(hub.settled, tenant)
    assert not hub.rows(
        "SELECT 1 FROM usage_attempt WHERE organisation_id = %s", tenant.organisation_id
    )


@pytest.mark.parametrize(
    ("healthy", "resting", "ready", "unfit", "fitting"),
    [
        ("ab", "cd", "cd", "", "ab"),
        ("ab", "cd", "cd", "a", "b"),
        # One that rests is asked only where no other can serve the request.
        ("ab", "cd", "c", "ab", "c"),
        ("ab", "cd", "cd", "abc", "d"),
        ("", "cd", "d", "", "d"),
        ("ab", "cd", "", "ab", ""),
        ("a", "b", "b", "ab", ""),
    ],
)
async def test_resting_channel_is_previewed_where_no_healthy_one_fits(
    healthy: str, resting: str, ready: str, unfit: str, fitting: str
) -> None:
    class Translator:
        continuation: Any = None

        async def prepare(self, candidate: Any) -> Any:
            if candidate.channel_id in unfit:
                raise RequestFault("unsupported_capability", None, candidate.channel_id)

    def find_ready(candidates: list[Any], organisation_id: object) -> list[Any]:
        return [one for one in candidates if one.channel_id in ready]

    context: Any = SimpleNamespace(
        parts=SimpleNamespace(health=SimpleNamespace(ready=find_ready)),
        principal=SimpleNamespace(organisation_id=new_id()),
    )
    routed: Any = SimpleNamespace(
        candidates=[SimpleNamespace(channel_id=name) for name in healthy],
        resting=[SimpleNamespace(channel_id=name) for name in resting],
    )
    found, skipped, fault = await _fit(context, Translator(), routed)
    assert "".join(one.channel_id for one in found) == fitting
    assert {(one.channel_id, one.reason) for one in skipped} == {
        (name, "unsupported") for name in unfit
    }
    assert (fault is None) == bool(fitting)
