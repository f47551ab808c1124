"""What a Live session delegates to other models, by OpenAI's own client over the real hub."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.live import FakeLive
from tests.relay.realtime.live.test_live import (
    BACKEND_RATES,
    MINUTE_NANO,
    RATES,
    live,
    records,
    spent,
)
from tests.support.hub import Hub

pytestmark = [
    pytest.mark.usefixtures("balanced_books"),
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeLive]:
    with FakeLive() as provider:
        yield provider


@pytest.fixture
def model(hub: Hub, provider: FakeLive) -> str:
    return hub.model(provider, rates=RATES, upstream_model="gpt-live-1", retries=0)


def backend_of(
    hub: Hub, model: str, rates: dict[str, int] = BACKEND_RATES, *, listed: bool = False
) -> str:
    """Another model of the same channel, under another name there."""
    name = f"b-{model}"
    version = hub.price(name, rates)
    if listed:
        query = "UPDATE billing_priceversion SET source = 'genai-prices' WHERE id = %s"
        hub.connection.execute(query, [version])
    hub.rows(
        "INSERT INTO gateway_route (channel_id, model, upstream_model) "
        "SELECT channel_id, %s, 'gpt-backend' FROM gateway_route WHERE model = %s RETURNING id",
        name, model,
    )  # fmt: skip
    hub.know(name)
    return name


def delegating(backend: str, **config: Any) -> dict[str, Any]:
    return {"type": "responses", "responses": {"model": backend, **config}}


def test_a_delegated_response_is_charged_to_its_model(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    """P1: by its own usage, with its searches, and under the name that the client uses."""
    backend, tenant = backend_of(hub, model), hub.tenant()
    with live(hub, tenant.key) as talk:
        started = talk.start(model, delegation=delegating(backend, tools=[{"type": "web_search"}]))
        assert started.session.delegation.responses.model == backend
        talk.ask("#delegate #tokens=7 #searches=2")
        assert talk.hear("session.delegation.created").delegation.target == "responses"
        nested = talk.hear("response.event").event
        assert nested["type"] == "response.created"
        while nested["type"] != "response.completed":
            nested = talk.hear("response.event").event
        talk.speak(6_000)
        talk.close()
    assert provider.sessions[-1].start["delegation"]["responses"]["model"] == "gpt-backend"
    rows = {row["operation"]: row for row in records(hub, tenant, 2)}
    time, response = rows["live_sessions"], rows["responses"]
    assert time["charge_nano"] == MINUTE_NANO // 10
    assert (response["model"], response["basis"], response["status"]) == (backend, "measured", 200)
    assert response["meters"] == {
        "in_text": 30, "in_cache_read": 10, "out_text": 7, "searches": 2,
    }  # fmt: skip
    owed = 30 * 1_000 + 10 * 100 + 7 * 10_000 + 2 * 10**7
    assert response["charge_nano"] == owed
    assert response["upstream_request_id"].startswith("resp_")
    assert response["session_id"] == time["session_id"]
    assert spent(hub, tenant) == owed + MINUTE_NANO // 10


def test_a_function_of_the_client(hub: Hub, provider: FakeLive, model: str) -> None:
    """The response that asks for it and the one that goes on are two requests."""
    backend, tenant = backend_of(hub, model), hub.tenant()
    tool = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend, tools=[tool]))
        talk.ask("#delegate #call #tokens=3")
        nested = talk.hear("response.event").event
        while nested.get("item", {}).get("type") != "function_call":
            nested = talk.hear("response.event").event
        while nested["type"] != "response.completed":
            nested = talk.hear("response.event").event
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        talk.say(type="response.item.create", item=output)
        talk.say(type="response.create")
        nested = talk.hear("response.event").event
        while nested["type"] != "response.completed":
            nested = talk.hear("response.event").event
        talk.close()
    rows = [row for row in records(hub, tenant, 3) if row["operation"] == "responses"]
    assert [row["meters"]["out_text"] for row in rows] == [3, 3]
    assert len(provider.sessions[-1].backend) == 2


def test_unending_response(hub: Hub, provider: FakeLive, model: str) -> None:
    """F25: it is charged by our own count when its session ends."""
    backend, tenant = backend_of(hub, model), hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        talk.ask("#delegate #tokens=30 #fault=half")
        talk.hear("session.delegation.created")
        for _ in range(31):
            talk.hear("response.event")
        talk.close()
    (response,) = (row for row in records(hub, tenant, 2) if row["operation"] == "responses")
    assert response["basis"] == "estimated"
    assert 20 <= response["meters"]["out_text"] <= 40


def test_unpriced_tools(hub: Hub, provider: FakeLive, model: str) -> None:
    """P28: what may be charged beside the tokens is refused before the session starts."""
    backend, tenant = backend_of(hub, model, listed=True), hub.tenant()
    sessions = len(provider.sessions)
    with live(hub, tenant.key) as talk:
        delegation = delegating(backend, tools=[{"type": "file_search"}])
        talk.connection.send(
            {"type": "session.start", "session": {"model": model, "delegation": delegation}}  # type: ignore[arg-type]
        )
        last, code = talk.end()
    assert (last.error.code, code) == ("model_unpriced", 1008)
    assert "file_search" in last.error.message
    assert all(not session.start for session in provider.sessions[sessions:])


def test_unpayable_backend(hub: Hub, provider: FakeLive, model: str) -> None:
    """Its next response is held before the session starts."""
    rates = {"in_text": 10**12, "out_text": 10**13}
    backend, tenant = backend_of(hub, model, rates), hub.tenant()
    with live(hub, tenant.key) as talk:
        session = {"model": model, "delegation": delegating(backend)}
        talk.connection.send({"type": "session.start", "session": session})  # type: ignore[arg-type]
        last, code = talk.end()
    assert (last.error.code, code) == ("insufficient_quota", 1008)
    hub.settled(tenant)
    assert spent(hub, tenant) == 0


def test_settings_that_change_in_the_middle(hub: Hub, provider: FakeLive, model: str) -> None:
    backend, tenant = backend_of(hub, model), hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        update = {"delegation": delegating("none-such")}
        talk.say(type="session.update", session=update, event_id="c_1")
        error = talk.hear("error").error
        assert (error.param, error.client_event_id) == ("session.delegation.responses.model", "c_1")
        update = {"delegation": delegating(backend, instructions="Be brief.")}
        talk.say(type="session.update", session=update)
        assert talk.hear("session.updated").session.delegation.responses.model == backend
        talk.close()
    received = [event["type"] for event in provider.sessions[-1].received]
    assert received.count("session.update") == 1


def test_decisions_are_charged_by_their_usage(hub: Hub, provider: FakeLive, model: str) -> None:
    backend, tenant = backend_of(hub, model), hub.tenant()
    question = {"type": "predicate", "name": "angry", "instructions": "Is the caller angry?"}
    config = {"model": backend, "questions": [question]}
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation={"type": "decisions", "decisions": config})
        talk.ask("#decide")
        decided = talk.hear("decision.event").event.decision
        assert decided.answers[0].probability == 0.25
        talk.close()
    rows = {row["operation"]: row for row in records(hub, tenant, 2)}
    assert rows["responses"]["meters"] == {"in_text": 30, "out_text": 2}
    assert rows["responses"]["charge_nano"] == 30 * 1_000 + 2 * 10_000
