"""What a provider sealed is content: it is kept for the next turn only where something may be."""

from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import SPEAKERS, Wish
from tests.relay.test_matrix import open_model, send
from tests.support.hub import Hub

_KEPT = "SELECT 1 FROM gateway_keptstate WHERE organisation_id = %s"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["anthropic", "gemini"])
def test_store_false_keeps_no_seals(
    hub: Hub, fake: FakeUpstream, upstream: str, stream: bool
) -> None:
    speaker, model = SPEAKERS["openai"], open_model(hub, fake, upstream)
    wish = Wish("#reasoning=4 #tokens=0 #tools=1 #seals think", stream, tools=True, think=True)
    asked: tuple[tuple[dict[str, Any], bool], ...] = (({}, True), ({"store": False}, False))
    for over, kept in asked:
        tenant = hub.tenant()
        answer = send(hub, tenant, speaker, model, speaker.body(model, wish) | over, stream)
        assert answer.status == 200, answer.body
        assert len(speaker.read(answer).calls) == 1
        assert bool(hub.rows(_KEPT, tenant.organisation_id)) is kept
