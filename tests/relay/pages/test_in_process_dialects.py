"""The playground's way in reaches channels of any dialect, with the same books."""

import asyncio
import json

import pytest

from dialects.chat.events import End, ReasoningDelta, TextDelta
from lib.ids import id_text
from relay.asgi import Relay
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.pages.test_in_process import knows, principal, read_events, relay
from tests.relay.speakers import UPSTREAMS
from tests.relay.test_matrix import OUT, open_model
from tests.support.hub import Hub

__all__ = ["relay"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_events_of_every_upstream(
    relay: Relay, hub: Hub, fake: FakeUpstream, upstream: str
) -> None:
    tenant, model = hub.tenant(), open_model(hub, fake, upstream)
    await knows(relay, hub, model)
    asked = ask(model, "#reasoning=3 #tokens=8", stream=True, reasoning_effort="low")
    who = await principal(relay, hub, tenant)
    items = [
        item
        async for item in read_events(
            relay.in_process.chat(who, json.dumps(asked).encode(), source="playground")
        )
    ]
    *events, outcome = items
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.basis) == (200, "measured")
    assert isinstance(events[-1], End)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert len(text.split()) == 8
    assert any(isinstance(event, ReasoningDelta) for event in events)
    record = await asyncio.to_thread(hub.record, id_text(outcome.request_id))
    row = await asyncio.to_thread(fake.wait_for_row, id_text(record["id"]))
    assert row is not None
    assert record["charge_nano"] == row["usage"]["prompt_tokens"] + 11 * OUT
    assert (record["dialect"], record["source"]) == ("openai", "playground")
