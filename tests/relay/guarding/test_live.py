"""P40: a key with guards opens no Live session, whatever the guards do, because they cannot check
what is said in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.fakes.live import FakeLive
from tests.relay.guarding.conftest import GuardedHub, rule
from tests.relay.realtime.live.test_live import RATES, live, records
from tests.support.hub import Hub

pytestmark = [
    pytest.mark.usefixtures("balanced_books"),
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),
]
PATH = "/v1/live/sessions"
UNCHECKED = "WebSockets of live_sessions: its guards cannot check them"
RULES: dict[str, dict[str, Any]] = {
    "masks requests": rule("mask", "request"),
    "masks answers": rule("mask", "answer"),
    "refuses": rule("refuse", "request", "answer"),
    "flags": rule("flag", "answer"),
}


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeLive]:
    with FakeLive() as provider:
        yield provider


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeLive) -> str:
    return hub.model(provider, rates=RATES, upstream_model="gpt-live-1", retries=0)


@pytest.mark.parametrize("case", RULES)
def test_key_with_guards_opens_no_session(
    guarded_hub: GuardedHub, provider: FakeLive, model: str, case: str
) -> None:
    hub, before = guarded_hub.hub, len(provider.sessions)
    tenant = guarded_hub.tenant(RULES[case])
    with pytest.raises(InvalidStatus) as refused, live(hub, tenant.key):
        pass
    assert refused.value.response.status_code == 403
    assert UNCHECKED in (refused.value.response.body or b"").decode()
    answer = hub.post(tenant, {"session": {"model": model}}, path=PATH)
    assert (answer.status, answer.error["code"]) == (403, "permission_denied")
    assert "its guards cannot check them" in answer.error["message"]
    assert len(provider.sessions) == before


@pytest.mark.parametrize("case", RULES)
def test_guards_that_are_assigned_before_the_session_starts_apply(
    guarded_hub: GuardedHub, provider: FakeLive, model: str, case: str
) -> None:
    """The client's first message may come long after the handshake."""
    hub, before = guarded_hub.hub, len(provider.sessions)
    tenant, other = hub.tenant(), hub.tenant()
    with live(hub, tenant.key) as talk, live(hub, other.key) as unguarded:
        guarded_hub.guard(tenant, RULES[case])
        hub.bump()
        hub.wait(lambda: hub.post(tenant, {}, path=PATH).status == 403, "it does not hear of them")
        talk.say(type="session.start", session={"model": model})
        last, _ = talk.end()
        assert last.type == "error"
        assert UNCHECKED in last.error.message
        unguarded.start(model)
        unguarded.close()
    assert len(provider.sessions) == before + 1
    records(hub, other, 1)
