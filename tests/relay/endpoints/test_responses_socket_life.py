"""What ends a connection of the Responses API, and what its client hears of it: silence, the
process, the key, and a client that does not read. As for realtime connections."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosed

from lib.id_types import RequestId
from lib.ids import new_id
from lib.process.asgi import Message
from relay.endpoints.responses_socket.outbox import Outbox
from relay.realtime.sink import ClientLeft, RealtimeSink
from relay.requests.invocation import Invocation
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.endpoints.test_responses_socket import Client, connected, parked, records
from tests.relay.front.test_memory import CHEAP, KIB, PATIENT, is_idle, measured, memory
from tests.relay.speakers import UPSTREAMS
from tests.runner.databases import own_database
from tests.support.hub import RATES, Hub

RESPONSES = UPSTREAMS["responses"]
LATE = "websocket_connection_limit_reached"


@pytest.fixture
def agents() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a") as fake:
        yield fake


def end(client: Client) -> tuple[str, int, list[dict[str, Any]]]:
    """The code of the last error, that of the close, and every event up to it."""
    events = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            events.append(client.next())
    last = events[-1]
    assert last["type"] == "error", events
    assert "stream_id" not in last
    return last["error"]["code"], client.socket.close_code or 0, events


def opened(hub: Hub, client: Client, model: str) -> None:
    """Wait until the hub serves the connection."""
    client.create(model, "x", generate=False)
    client.response()


# ---- the process


def test_stopping_process_tells_every_client(own_hub: Hub, agents: FakeUpstream) -> None:
    """P10: what runs may end, what waits or comes is refused; then every client is told."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(agents, rates=RATES, **RESPONSES)
    with connected(own_hub, tenant.key) as idle, connected(own_hub, tenant.key) as client:
        opened(own_hub, idle, model)
        client.create(model, "#tokens=3 #hold=1 runs", stream_id="a")
        client.until("response.created")
        client.create(model, "#tokens=3 waits", stream_id="a")
        opened_beside(client, model)
        assert own_hub.process is not None
        own_hub.process.terminate()
        refused = client.error()
        assert (refused["stream_id"], refused["status"]) == ("a", 503)
        client.create(model, "#tokens=3 comes", stream_id="b")
        assert client.error()["stream_id"] == "b"
        code, closed, _ = end(idle)
        assert (code, closed) == ("server_shutting_down", 1012)
        agents.release()
        code, closed, events = end(client)
        assert (code, closed) == ("server_shutting_down", 1012)
        assert [event["type"] for event in events].count("response.completed") == 1
    own_hub.ended()
    (record,) = records(own_hub, tenant, 1)
    assert (record["status"], record["meters"]["out_text"]) == (200, 3)
    assert not any("waits" in line or "comes" in line for line in heard(agents))
    own_hub.assert_books_balance()


def test_steering_begins_nothing_while_the_process_stops(
    own_hub: Hub, agents: FakeUpstream
) -> None:
    """P10: what was accepted before comes back, what comes after is refused, and no response
    begins."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(agents, rates=RATES, **RESPONSES)
    with connected(own_hub, tenant.key) as client:
        client.create(model, "#tokens=3 #hold=1 runs", stream_id="a")
        steer = {"type": "response.steer", "input": "shorter"}
        steer["previous_response_id"] = client.until("response.created")["response"]["id"]
        client.send(**steer)
        accepted = client.until("response.steer.accepted")["steer"]["id"]
        client.create(model, "#tokens=3 waits", stream_id="a")
        opened_beside(client, model)
        assert own_hub.process is not None
        own_hub.process.terminate()
        client.error()
        client.send(**steer)
        failed = client.until("response.steer.failed")
        assert "id" not in failed["steer"]
        assert failed["error"]["code"] == "response_not_active"
        agents.release()
        code, closed, events = end(client)
        assert (code, closed) == ("server_shutting_down", 1012)
        (failed,) = [event for event in events if event["type"] == "response.steer.failed"]
        assert (failed["steer"]["id"], failed["steer"]["input"]) == (accepted, "shorter")
        assert failed["error"]["code"] == "successor_creation_failed"
    own_hub.ended()
    (record,) = records(own_hub, tenant, 1)
    assert record["meters"]["out_text"] == 3
    assert not any("shorter" in line for line in heard(agents))


def test_queued_successor_does_not_start(own_hub: Hub, agents: FakeUpstream) -> None:
    """P10: it is refused like every request that waits, and its messages come back."""
    own_hub.start()
    with FakeUpstream(name="b") as others, FakeUpstream(name="c") as later:
        tenant = own_hub.tenant("100.00")
        model, other, last = (
            own_hub.model(fake, rates=RATES, **RESPONSES) for fake in (agents, others, later)
        )
        with connected(own_hub, tenant.key) as client:
            client.create(model, "#tokens=3 #hold=1 runs", stream_id="a")
            id = client.until("response.created")["response"]["id"]
            client.send(type="response.steer", input="shorter", previous_response_id=id)
            accepted = client.until("response.steer.accepted")["steer"]["id"]
            for number in range(15):
                client.create(other, "#tokens=3 #hold=1", stream_id=f"b{number}")
                client.until("response.created")
            # At most 16 run at once.
            client.create(last, "#tokens=3 #hold=1", stream_id="c")
            client.create(last, "never", stream_id="c")
            client.send(type="response.steer", input="x", previous_response_id="resp_none")
            client.until("response.steer.failed")  # The hub has read all that was sent before.
            agents.release()
            client.until("response.completed")
            client.until("response.created")
            assert own_hub.process is not None
            own_hub.process.terminate()
            assert client.error()["stream_id"] in ("a", "c")
            others.release()
            later.release()
            code, closed, events = end(client)
            assert (code, closed) == ("server_shutting_down", 1012)
            (failed,) = [event for event in events if event["type"] == "response.steer.failed"]
            assert failed["steer"]["id"] == accepted
            assert failed["error"]["code"] == "successor_creation_failed"
    own_hub.ended()
    assert {row["meters"]["out_text"] for row in records(own_hub, tenant, 17)} == {3}
    assert not any("shorter" in line for line in heard(agents))


def opened_beside(client: Client, model: str) -> None:
    """Wait until the hub has read all that was sent before."""
    client.create(model, "x", generate=False, stream_id="beside")
    while client.until("response.completed")["stream_id"] != "beside":
        pass


def heard(agents: FakeUpstream) -> list[str]:
    return [line for row in agents.books() for line in row["heard"]]


def test_client_continues_at_the_other_process(own_hub: Hub, agents: FakeUpstream) -> None:
    """P10: both processes stop one after the other, and a conversation loses nothing."""
    own_hub.start()
    other = Hub(own_hub.dsn)
    other.start()
    try:
        tenant, model = own_hub.tenant(), own_hub.model(agents, rates=RATES, **RESPONSES)
        other.know(model)
        previous = None
        for hub, again in ((own_hub, True), (other, True), (own_hub, False)):
            with connected(hub, tenant.key) as client:
                client.send(
                    type="response.create", model=model, input="#tokens=2",
                    previous_response_id=previous,
                )  # fmt: skip
                previous = client.response()["id"]
                if again:
                    assert hub.process is not None
                    hub.process.terminate()
                    assert end(client)[:2] == ("server_shutting_down", 1012)
            if again:
                hub.ended()
                hub.start()
        rows = records(own_hub, tenant, 3)
        assert len({row["session_id"] for row in rows}) == 1
        own_hub.assert_books_balance()
    finally:
        other.kill()
        other.close()


def test_client_leaving_while_the_process_stops(own_hub: Hub, agents: FakeUpstream) -> None:
    """P6: its request ends as at any other time; nobody waits for the end of its answer."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(agents, rates=RATES, **RESPONSES)
    with connected(own_hub, tenant.key) as client:
        client.create(model, "#tokens=3 #hold=1 runs", stream_id="a")
        client.until("response.created")
        client.create(model, "#tokens=3 waits", stream_id="a")
        opened_beside(client, model)
        assert own_hub.process is not None
        own_hub.process.terminate()
        client.error()
    own_hub.ended()
    (record,) = records(own_hub, tenant, 1)
    assert (record["status"], record["kind"]) == (499, "client_closed")
    own_hub.assert_books_balance()


# ---- the key


@pytest.mark.parametrize("change", ["revoked_at = now()", "disabled = true"])
def test_ended_key_closes_its_connections(hub: Hub, agents: FakeUpstream, change: str) -> None:
    """P11: within a second, whether a turn runs or not; another key's connection stays."""
    tenant, other = hub.tenant(), hub.tenant()
    model = hub.model(agents, rates=RATES, **RESPONSES)
    with (
        connected(hub, tenant.key) as idle,
        connected(hub, tenant.key) as busy,
        connected(hub, other.key) as stays,
    ):
        opened(hub, idle, model)
        opened(hub, stays, model)
        busy.create(model, "#tokens=500 #delay_ms=20", stream_id="a")
        busy.create(model, "#tokens=3 waits", stream_id="a")
        busy.until("response.output_text.delta")
        hub.rows(f"UPDATE accounts_key SET {change} WHERE id = %s RETURNING id", tenant.key_id)
        began = time.monotonic()
        hub.bump()
        assert end(idle)[:2] == ("invalid_api_key", 1008)
        code, closed, events = end(busy)
        assert time.monotonic() - began < 3
        assert (code, closed) == ("invalid_api_key", 1008)
        kinds = [event["type"] for event in events]
        assert "response.failed" in kinds
        assert "response.completed" not in kinds
        (refused,) = [event for event in events if event["type"] == "error"][:-1]
        assert (refused["status"], refused["stream_id"]) == (401, "a")
        stays.create(model, "#tokens=2")
        stays.response()
    (record,) = records(hub, tenant, 1)
    assert record["status"] == 401
    assert not any("waits" in line for line in heard(agents))


def test_waiting_steering_returns_at_the_end(hub: Hub, agents: FakeUpstream) -> None:
    """No request can bring the result that it waits for any more."""
    tenant, model = hub.tenant(), hub.model(agents, rates=RATES, **RESPONSES)
    with connected(hub, tenant.key) as client:
        _, waiting = parked(client, agents, model)
        hub.rows(
            "UPDATE accounts_key SET disabled = true WHERE id = %s RETURNING id", tenant.key_id
        )
        hub.bump()
        code, closed, events = end(client)
        assert (code, closed) == ("invalid_api_key", 1008)
        (failed,) = [event for event in events if event["type"] == "response.steer.failed"]
        assert failed["steer"] == {**waiting, "input": "shorter"}
        assert failed["error"]["code"] == "successor_creation_failed"


# ---- silence


@pytest.mark.slow
def test_connection_lifetimes_are_limited(agents: FakeUpstream) -> None:
    """Silence of both ends has a limit, counted from the end of a response however long it took;
    and so has the whole connection, whoever speaks."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.short_connections")
        try:
            hub.settings()
            hub.start()
            tenant, model = hub.tenant(), hub.model(agents, rates=RATES, **RESPONSES)
            with connected(hub, tenant.key) as client:
                client.create(model, "#tokens=19 #delay_ms=100")
                client.response()
                ended = time.monotonic()
                code, closed, events = end(client)
                assert time.monotonic() - ended > 0.5
                assert (code, closed) == (LATE, 1000)
                assert "nothing was sent" in events[-1]["error"]["message"]
            with connected(hub, tenant.key) as client:
                client.create(model, "#tokens=600 #delay_ms=20", stream_id="a")
                client.create(model, "#tokens=2 waits", stream_id="a")
                code, closed, events = end(client)
                assert (code, closed) == (LATE, 1000)
                assert "has lasted" in events[-1]["error"]["message"]
                ends = [(one["type"], one.get("stream_id")) for one in events]
                assert ("error", "a") in ends
                assert ("response.completed", "a") in ends
            rows = records(hub, tenant, 2)
            assert [row["meters"]["out_text"] for row in rows] == [19, 600]
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()


# ---- a client that does not read


async def test_client_that_accepts_no_message_is_dropped() -> None:
    """P9: nobody waits for ever for a client that does not read."""

    async def send(message: Message) -> None:
        await asyncio.get_running_loop().create_future()

    sink = RealtimeSink({"headers": []}, send, RequestId(new_id()), cast(Invocation, None))
    outbox = Outbox(sink, 0.01)
    outbox.put("{}")
    with pytest.raises(ClientLeft):
        await outbox.send_each()


@pytest.mark.slow
def test_slow_readers_keep_memory_flat(own_hub: Hub, agents: FakeUpstream) -> None:
    """P9: what a client does not read stays at its provider; the books say what was answered."""
    own_hub.start()
    directives = "#fault=F18 #uncapped"
    with FakeUpstream(name="endless", directives=directives, process=True) as fake:
        tenant = own_hub.tenant("100.00")
        model = own_hub.model(fake, rates=CHEAP, timeouts=PATIENT, **RESPONSES)
        warm = own_hub.model(agents, rates=CHEAP, **RESPONSES)
        with connected(own_hub, tenant.key) as client:
            client.create(warm, "#tokens=500")
            client.response()
        before = measured(own_hub)
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                slow = connected(own_hub, tenant.key, max_queue=1, ping_interval=None)
                stack.enter_context(slow).create(model, "go on", max_output_tokens=10_000_000)
            own_hub.wait(lambda: is_idle(own_hub, fake, 5), "they go on", seconds=60)
            assert memory(own_hub) - before < 10 * 1024 * KIB
    ends = [row["kind"] for row in records(own_hub, tenant, 6)]
    assert ends == [None, *["client_closed"] * 5]
    own_hub.assert_books_balance()


# ---- sizes


def test_size_limits_match_realtime(hub: Hub, agents: FakeUpstream) -> None:
    """An event just below the limit is answered; the connection that sends a larger one is closed,
    and no other."""
    tenant, model = hub.tenant(usd="100.00"), hub.model(agents, rates=RATES, **RESPONSES)
    event: dict[str, Any] = {
        "type": "response.create",
        "model": model,
        "store": False,
        "input": "#tokens=2 ",
    }
    room = 15 * 1024 * KIB - len(json.dumps(event))
    with connected(hub, tenant.key) as client, connected(hub, tenant.key) as other:
        client.socket.send(json.dumps({**event, "input": event["input"] + "x" * room}))
        client.response()
        client.socket.send(json.dumps({**event, "input": event["input"] + "x" * (room + 1)}))
        code, closed, _ = end(client)
        assert (code, closed) == ("request_too_large", 1009)
        other.create(model, "#tokens=2")
        other.response()
    records(hub, tenant, 2)
    assert hub.post(tenant, ask(model, "#tokens=2")).status == 200
