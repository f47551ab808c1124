"""What is told before a request covers what is charged for it."""

import asyncio
import json
import random

import pytest

from relay.asgi import Relay
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.pages.test_in_process import knows, principal, relay
from tests.support.hub import Hub

__all__ = ["relay"]


async def compare(relay: Relay, hub: Hub, fake: FakeUpstream, requests: int) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    chance = random.Random(20261120)
    for _ in range(requests):
        words = ["weir", "水", "🌊", ""]
        text = " ".join(chance.choices(words, k=chance.randrange(1, 200)))
        text += f" #tokens={chance.randrange(1, 400)} #reasoning={chance.randrange(0, 60)}"
        text += chance.choice(["", " #usage=none", " #cached=3", " #fault=F14:eof@2"])
        over = {"max_tokens": chance.randrange(1, 300)} if chance.random() < 0.5 else {}
        body = json.dumps(ask(model, text, stream=True, **over)).encode()
        bound = await relay.in_process.bound(who, body)
        assert bound.fits
        *_, outcome = [item async for item in relay.in_process.chat(who, body, source="playground")]
        assert isinstance(outcome, Outcome)
        assert outcome.charge_nano <= outcome.hold_nano <= bound.hold_nano, text
    await asyncio.to_thread(hub.settled, tenant)
    hub.assert_books_balance()


async def test_bound_covers_the_charge(relay: Relay, hub: Hub, fake: FakeUpstream) -> None:
    await compare(relay, hub, fake, 20)


@pytest.mark.slow
async def test_bound_covers_the_charge_of_500(relay: Relay, hub: Hub, fake: FakeUpstream) -> None:
    await compare(relay, hub, fake, 500)
