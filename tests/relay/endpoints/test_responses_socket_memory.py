"""What one connection of the Responses API remembers, and what becomes of steering that waits for a
response that it has to forget."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from dialects.responses.websocket import SteerEvent
from relay.endpoints.responses_socket.lane import Steer
from relay.endpoints.responses_socket.memory import MIB_MAX, Memory, Remembered, Waiting
from tests.fakes.upstream import FakeUpstream
from tests.relay.endpoints.test_responses_socket import connected, kinds_until_end, parked
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import RATES, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

MIB = 1024 * 1024


@pytest.fixture
def agents() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a") as fake:
        yield fake


def raw(size: int) -> msgspec.Raw:
    """A JSON text of so many bytes."""
    return msgspec.Raw(json.dumps("x" * (size - 2)).encode())


def waiting(name: str, size: int = 2) -> Steer:
    return Steer(name, SteerEvent(name, raw(size)))


def remembered(name: str, size: int | None, steers: Sequence[Steer] = ()) -> Remembered:
    """A response with a conversation of so many bytes; None if it is stored."""
    return Remembered(name, None if size is None else [raw(size)], steers)


def kept(memory: Memory, *names: str) -> set[str]:
    return {name for name in names if memory.find(name) is not None}


def test_the_oldest_responses_are_forgotten_with_their_steering() -> None:
    memory, first = Memory(100), waiting("first")
    assert memory.remember("a", remembered("first", 40, [first])) == []
    assert memory.remember("b", remembered("second", 40)) == []
    assert memory.remember("c", remembered("third", 40)) == [Waiting("a", first)]
    assert kept(memory, "first", "second", "third") == {"second", "third"}
    # Its steering went once.
    assert memory.forget_all() == []


def test_single_oversized_response_is_forgotten_immediately() -> None:
    memory, steer = Memory(100), waiting("large")
    memory.remember("a", remembered("small", 40))
    assert memory.remember("b", remembered("large", 101, [steer])) == [Waiting("b", steer)]
    assert kept(memory, "small", "large") == set()


def test_steering_takes_room_until_it_is_read() -> None:
    memory, large = Memory(100), waiting("large", 60)
    first = remembered("first", 20, [large])
    memory.remember("a", first)
    assert memory.remember("b", remembered("second", 40)) == [Waiting("a", large)]
    memory = Memory(100)
    memory.remember("a", first)
    assert memory.take_steers(first) == [large]
    assert memory.remember("b", remembered("second", 40)) == []
    assert kept(memory, "first", "second") == {"first", "second"}


def test_stored_responses_take_no_room() -> None:
    """To forget one would lose its session and gain nothing."""
    memory = Memory(100)
    memory.remember("a", remembered("stored", None))
    memory.remember("b", remembered("first", 60))
    memory.remember("c", remembered("second", 60))
    assert kept(memory, "stored", "first", "second") == {"stored", "second"}


@pytest.mark.parametrize("stored", [False, True])
def test_steering_of_a_forgotten_response_is_returned(
    hub: Hub, agents: FakeUpstream, stored: bool
) -> None:
    """It comes back once, with its reason, and further steering is refused. The client sends the
    whole conversation: a response that is not stored cannot be continued by its id."""
    tenant, model = hub.tenant(), hub.model(agents, rates=RATES, **UPSTREAMS["responses"])
    with connected(hub, tenant.key) as client:
        id, steer = parked(client, agents, model, store=stored)
        prepare: dict[str, Any] = {"type": "response.create", "model": model, "generate": False}
        size = 14 * MIB
        lanes = MIB_MAX * MIB // size + 1
        for number in range(lanes):
            client.send(**prepare, store=False, input="x" * size, stream_id=f"lane-{number}")
            if number < lanes - 1:
                assert "response.steer.failed" not in kinds_until_end(client)
        failed = client.until("response.steer.failed")
        assert failed["steer"] == {**steer, "input": "shorter"}
        assert (failed["stream_id"], failed["error"]["code"]) == ("a", "successor_creation_failed")
        assert f"remembers {MIB_MAX} MiB" in failed["error"]["message"]
        client.send(type="response.steer", previous_response_id=id, input="again")
        refused = client.until("response.steer.failed")
        assert (refused["steer"], refused["error"]["code"]) == (
            {"previous_response_id": id, "input": "again"},
            "response_not_found",
        )
        result = {"type": "function_call_output", "call_id": client.call_id, "output": "file 1"}
        goes_on = {"input": [result], "store": stored, "stream_id": "a", "generate": not stored}
        client.send(**prepare | goes_on, previous_response_id=id)
        if stored:
            assert "response.steer.failed" not in kinds_until_end(client)
        else:
            assert client.error()["error"]["code"] == "previous_response_not_found"
    assert not any("shorter" in line for row in agents.books() for line in row["heard"])


def test_waiting_messages_are_bounded(hub: Hub, agents: FakeUpstream) -> None:
    """P9: requests and steering behind a running response, together; the client may send them when
    it has ended, and the connection goes on."""
    tenant, model = hub.tenant(), hub.model(agents, rates=RATES, **UPSTREAMS["responses"])
    large = "x" * (MIB_MAX * MIB // 5 + MIB)
    with connected(hub, tenant.key) as client:
        client.create(model, "#tokens=2 #hold=1", stream_id="a")
        id = client.until("response.created")["response"]["id"]
        steer = {"type": "response.steer", "previous_response_id": id, "input": large}
        for _ in range(2):
            client.send(**steer)
            client.until("response.steer.accepted")
        for _ in range(2):
            client.create(model, large, stream_id="a")
        client.create(model, large, stream_id="b")
        refused = client.error()
        assert (refused["error"]["code"], refused["stream_id"]) == (
            "websocket_stream_limit_reached",
            "b",
        )
        assert f"{MIB_MAX} MiB" in refused["error"]["message"]
        client.send(**steer)
        failed = client.until("response.steer.failed")
        assert failed["error"]["code"] == "too_many_pending_steers"
        client.create(model, "#tokens=2", stream_id="b")
        assert client.response()["status"] == "completed"
