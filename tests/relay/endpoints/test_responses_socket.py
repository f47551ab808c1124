"""The Responses API over a WebSocket, through the official client and by hand: what clients hear,
what the provider heard, and what the books say."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import UPSTREAMS
from tests.relay.test_matrix import RATES
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

TOOL = {
    "type": "function",
    "name": "read_file",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


# The official client opens its connection as its library no longer wants it.
LEGACY = "ignore:connect\\(\\) must be used as a context manager:DeprecationWarning"


@pytest.fixture(params=["over HTTP", "over WebSocket"])
def agents(request: pytest.FixtureRequest) -> Iterator[FakeUpstream]:
    """A provider that serves the turns of its own dialect one way or the other."""
    with FakeUpstream(name="a", sockets=request.param == "over WebSocket") as fake:
        yield fake


@pytest.fixture(params=UPSTREAMS)
def model(request: pytest.FixtureRequest, hub: Hub, agents: FakeUpstream) -> str:
    return hub.model(agents, rates=RATES, **UPSTREAMS[request.param])


@pytest.fixture
def plain(hub: Hub, agents: FakeUpstream) -> str:
    """A model that is served in the dialect of the connection."""
    return hub.model(agents, rates=RATES, **UPSTREAMS["responses"])


class Client:
    """A client by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        # The call whose result is waited for.
        self.call_id = ""

    def send(self, **event: Any) -> None:
        self.socket.send(json.dumps(event))

    def create(self, model: str, text: str, **more: Any) -> None:
        self.send(type="response.create", model=model, input=text, store=False, **more)

    def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.socket.recv(timeout=30))
        return event

    def until(self, *kinds: str) -> dict[str, Any]:
        """The next event of these kinds; what comes before it is passed over."""
        while True:
            event = self.next()
            if event["type"] in kinds:
                return event

    def response(self) -> dict[str, Any]:
        event = self.until("response.completed", "error")
        assert event["type"] == "response.completed", event
        response: dict[str, Any] = event["response"]
        return response

    def error(self) -> dict[str, Any]:
        return self.until("error")


@contextmanager
def connected(
    hub: Hub,
    key: str,
    path: str = "/v1/responses",
    headers: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> Iterator[Client]:
    url = hub.url.replace("http", "ws") + path
    sent = {"Authorization": f"Bearer {key}", **headers}
    with connect(
        url, additional_headers=sent, max_size=None, compression=None, **options
    ) as socket:
        yield Client(socket)


def records(hub: Hub, tenant: Tenant, count: int) -> list[dict[str, Any]]:
    """The final records of an organisation when there are so many, in their order."""
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final ORDER BY id"
    hub.wait(
        lambda: len(hub.rows(query, tenant.organisation_id)) >= count, "no such number of records"
    )
    rows = hub.rows(query, tenant.organisation_id)
    assert len(rows) == count
    return rows


def text_of(response: dict[str, Any]) -> str:
    parts = [item["content"] for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for content in parts for part in content)


# ---- turns


@pytest.mark.filterwarnings(LEGACY)
def test_a_tool_loop_of_the_official_client(hub: Hub, agents: FakeUpstream, model: str) -> None:
    """P3, I10: three turns that send only what is new; the provider hears all of it, in whatever
    dialect, and each turn is booked."""
    tenant = hub.tenant()
    agents.script("#reasoning=2 #tokens=2 #tools=1", times=1)
    agents.script("#tokens=4", times=2)
    client = OpenAI(base_url=f"{hub.url}/v1", api_key=tenant.key, max_retries=0)
    with client.responses.connect() as connection:

        def turn(**settings: Any) -> Any:
            connection.response.create(
                model=model,
                tools=[TOOL],  # type: ignore[list-item]
                store=False,
                include=["reasoning.encrypted_content"],
                **settings,
            )
            for event in connection:
                if event.type in ("response.completed", "error"):
                    assert event.type == "response.completed", event
                    return event.response
            raise AssertionError

        first = turn(input="look into it")
        (call,) = [item for item in first.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "file 1"}
        second = turn(input=[result], previous_response_id=first.id)
        third = turn(input="thanks", previous_response_id=second.id)
    rows = records(hub, tenant, 3)
    assert [row["operation"] for row in rows] == ["responses"] * 3
    heard = agents.books()[-1]["heard"]
    assert heard[0] == "user: look into it"
    assert "result: file 1" in heard
    assert heard[-1] == "user: thanks"
    assert f"assistant: {second.output_text}" in heard
    assert third.usage.input_tokens > second.usage.input_tokens
    assert sum(row["charge_nano"] for row in rows) > 0


def test_socket_events_match_the_http_stream(hub: Hub, plain: str) -> None:
    """The same events as over HTTP, each a message, in their order, and nothing of SSE."""
    tenant = hub.tenant()
    body = {"model": plain, "input": "#tokens=5", "store": False, "stream": True}
    answer = hub.post(tenant, body, path="/v1/responses")
    over_http = [
        json.loads(line.removeprefix("data: "))
        for line in answer.body.decode().splitlines()
        if line.startswith("data: ")
    ]
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=5")
        events = [client.next() for _ in over_http]
    assert [event["type"] for event in events] == [event["type"] for event in over_http]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert not any("stream_id" in event for event in events)


def test_stored_responses_are_continued_over_either(hub: Hub, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.send(type="response.create", model=plain, input="#tokens=3", store=True)
        first = client.response()
        client.send(
            type="response.create", model=plain, input="more", previous_response_id=first["id"]
        )
        second = client.response()
    body = {"model": plain, "input": "again", "previous_response_id": second["id"]}
    assert hub.post(tenant, body, path="/v1/responses").status == 200


def test_input_can_be_prepared(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    """`generate: false` sends nothing and costs nothing; the next turn has its input."""
    tenant = hub.tenant()
    asked = agents.totals()["requests"]
    with connected(hub, tenant.key) as client:
        client.create(plain, "the task", generate=False)
        prepared = client.response()
        assert prepared["output"] == []
        assert prepared["usage"]["total_tokens"] == 0
        assert agents.totals()["requests"] == asked
        client.create(plain, "begin", previous_response_id=prepared["id"])
        client.response()
    assert agents.books()[-1]["heard"] == ["user: the task", "user: begin"]
    records(hub, tenant, 1)


def test_a_chain_of_turns_is_one_session(hub: Hub, plain: str) -> None:
    """Stored or not; another chain of the connection is another session."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        for store in (False, True):
            previous = None
            for _ in range(2):
                client.send(
                    type="response.create", model=plain, input="#tokens=2", store=store,
                    previous_response_id=previous,
                )  # fmt: skip
                previous = client.response()["id"]
    first, second, third, fourth = (row["session_id"] for row in records(hub, tenant, 4))
    assert first == second
    assert third == fourth
    assert len({first, third, None}) == 3


# ---- lanes


def test_lanes_run_in_parallel_and_each_in_order(
    hub: Hub, agents: FakeUpstream, plain: str
) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=3 #hold=1 slow", stream_id="a")
        created = client.until("response.created")
        assert created["stream_id"] == "a"
        client.create(plain, "#tokens=3 second", stream_id="a")
        client.create(plain, "#tokens=3 quick", stream_id="b")
        while (event := client.until("response.completed", "error"))["type"] == "error":
            raise AssertionError(event)
        assert event["stream_id"] == "b"
        agents.release()
        ends = [client.until("response.completed")["stream_id"] for _ in range(2)]
        assert ends == ["a", "a"]
        # A conversation is continued in another lane.
        forked = event["response"]["id"]
        client.create(plain, "fork", stream_id="c", previous_response_id=forked)
        assert client.until("response.completed", "error")["stream_id"] == "c"
    assert agents.books()[-1]["heard"][0].endswith("quick")


def test_too_many_lanes(hub: Hub, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        for number in range(32):
            client.create(plain, "x", stream_id=str(number), generate=False)
            client.response()
        client.create(plain, "x", stream_id="one-more", generate=False)
        event = client.error()
        assert event["error"]["code"] == "websocket_stream_limit_reached"
        assert event["stream_id"] == "one-more"
        client.create(plain, "x", stream_id="0", generate=False)
        client.response()


# ---- refusals


@pytest.mark.parametrize(
    ("event", "status", "code", "param"),
    [
        ("{", 400, "invalid_request_error", None),
        ('{"type":"response.cancel"}', 422, "invalid_value", "type"),
        ('{"type":"response.create","stream_id":"a b"}', 422, "invalid_value", "stream_id"),
        ('{"type":"response.create","generate":1}', 400, "invalid_type", "generate"),
        ('{"type":"response.create","input":"x"}', 400, "missing_required_parameter", "model"),
    ],
)
def test_rejected_events_end_nothing(
    hub: Hub, plain: str, event: str, status: int, code: str, param: str | None
) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.socket.send(event)
        refused = client.error()
        assert (refused["status"], refused["error"]["code"]) == (status, code)
        assert refused["error"]["param"] == param
        client.create(plain, "#tokens=2")
        client.response()


def test_unknown_or_foreign_response_is_not_continued(hub: Hub, plain: str) -> None:
    """P12: neither a made-up one nor another key's, whose connection is open beside."""
    mine, other = hub.tenant(), hub.tenant()
    with connected(hub, other.key) as theirs, connected(hub, mine.key) as client:
        theirs.create(plain, "secret #tokens=2")
        for id in (theirs.response()["id"], "resp_1"):
            client.create(plain, "go on", previous_response_id=id)
            refused = client.error()
            assert refused["status"] == 400
            assert refused["error"]["code"] == "previous_response_not_found"
            assert refused["error"]["param"] == "previous_response_id"


def test_failed_continuation_is_forgotten(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=2")
        first = client.response()["id"]
        agents.script("#fault=F6:400", times=1)
        client.create(plain, "fails", previous_response_id=first)
        assert client.error()["status"] == 400
        client.create(plain, "again", previous_response_id=first)
        assert client.error()["error"]["code"] == "previous_response_not_found"


def test_every_turn_is_limited_like_a_request(hub: Hub, plain: str) -> None:
    tenant = hub.tenant()
    hub.limit(tenant, rpm=2)
    with connected(hub, tenant.key) as client:
        for _ in range(2):
            client.create(plain, "#tokens=2")
            client.response()
        client.create(plain, "#tokens=2")
        refused = client.error()
        assert refused["status"] == 429
        assert "retry-after" in refused["headers"]
    assert [row["kind"] for row in records(hub, tenant, 3)][2] == "rate_limited"


def test_a_turn_without_money(hub: Hub, plain: str) -> None:
    tenant = hub.tenant(usd="0")
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=2")
        assert client.error()["status"] == 402


def test_ended_key_ends_the_connection(hub: Hub, plain: str) -> None:
    """P11: between two turns, and in the middle of one."""
    tenant = hub.tenant()
    revoke = "UPDATE accounts_key SET revoked_at = now() WHERE id = %s"
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=2")
        client.response()
        client.create(plain, "#tokens=500 #delay_ms=20")
        client.until("response.output_text.delta")
        hub.rows(revoke + " RETURNING id", tenant.key_id)
        hub.bump()
        client.until("response.failed")
        # The connection ends with its key.
        assert client.error()["status"] == 401
    with pytest.raises(InvalidStatus), connected(hub, tenant.key):
        pass


def test_a_connection_without_a_key(hub: Hub) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(hub, "sk-none"):
        pass
    assert refused.value.response.status_code == 401


# ---- steering


def test_successor_reads_steering(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=3 #hold=1 task")
        id = client.until("response.created")["response"]["id"]
        client.send(type="response.steer", previous_response_id=id, input="shorter")
        accepted = client.until("response.steer.accepted")
        assert accepted["steer"]["previous_response_id"] == id
        agents.release()
        assert client.response()["id"] == id
        successor = client.response()
        assert successor["id"] != id
    heard = agents.books()[-1]["heard"]
    assert heard[-1] == "user: shorter"
    assert heard[0].endswith("task")
    records(hub, tenant, 2)


def test_steering_waits_for_the_tool_result(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=2 #tools=1 #hold=1 task", tools=[TOOL])
        id = client.until("response.created")["response"]["id"]
        client.send(type="response.steer", previous_response_id=id, input="shorter")
        client.until("response.steer.accepted")
        agents.release()
        response = client.response()
        pending = client.until("response.steer.pending")
        (call,) = [item for item in response["output"] if item["type"] == "function_call"]
        assert pending["required_input"] == [
            {"type": "function_call_output", "call_id": call["call_id"], "name": "read_file"}
        ]
        result = {**pending["required_input"][0], "output": "file 1"}
        del result["name"]
        client.send(
            type="response.create",
            model=plain,
            input=[result],
            tools=[TOOL],
            store=False,
            previous_response_id=id,
        )
        client.response()
        heard = agents.books()[-1]["heard"]
        assert heard[-2:] == ["user: shorter", "result: file 1"]
        # It was read: it does not come back with the next one, which continues nothing.
        client.create(plain, "#tokens=2")
        assert "response.steer.failed" not in kinds_until_end(client)


@pytest.mark.parametrize("stored", [False, True])
def test_unused_steering_is_returned(
    hub: Hub, agents: FakeUpstream, plain: str, stored: bool
) -> None:
    """It waits for the result of a tool, and its lane goes on with another conversation."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        _, waiting = parked(client, agents, plain, store=stored)
        client.create(plain, "#tokens=2 another", stream_id="b")
        assert "response.steer.failed" not in kinds_until_end(client)
        client.create(plain, "#tokens=2 another", stream_id="a")
        failed = client.until("response.steer.failed")
        assert failed["error"]["code"] == "successor_creation_failed"
        assert failed["steer"] == {**waiting, "input": "shorter"}
        assert failed["stream_id"] == "a"
    assert not any("shorter" in line for row in agents.books() for line in row["heard"])


def test_steering_of_a_rejected_successor_returns_once(
    hub: Hub, agents: FakeUpstream, plain: str
) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        id, waiting = parked(client, agents, plain)
        client.create("no-such-model", "x", stream_id="a", previous_response_id=id)
        assert client.error()["stream_id"] == "a"
        assert client.until("response.steer.failed")["steer"] == {**waiting, "input": "shorter"}
        client.create(plain, "#tokens=2", stream_id="a")
        assert "response.steer.failed" not in kinds_until_end(client)


def test_prepared_request_reads_steering(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    """What a request with `generate: false` has read does not come back: it would be said twice."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        id, _ = parked(client, agents, plain)
        result = {"type": "function_call_output", "call_id": client.call_id, "output": "file 1"}
        client.send(
            type="response.create",
            model=plain,
            input=[result],
            store=False,
            stream_id="a",
            previous_response_id=id,
            generate=False,
        )
        prepared = client.response()["id"]
        client.create(plain, "#tokens=2", stream_id="a", previous_response_id=prepared)
        assert "response.steer.failed" not in kinds_until_end(client)
    heard = agents.books()[-1]["heard"]
    assert [line for line in heard if "shorter" in line] == ["user: shorter"]


def parked(
    client: Client, agents: FakeUpstream, model: str, *, store: bool = False
) -> tuple[str, dict[str, Any]]:
    """The id of a response of the lane "a" that waits for the result of a tool, and the steering
    that waits for it."""
    client.send(
        type="response.create",
        model=model,
        input="#tokens=2 #tools=1 #hold=1 task",
        tools=[TOOL],
        store=store,
        stream_id="a",
    )
    id = client.until("response.created")["response"]["id"]
    client.send(type="response.steer", previous_response_id=id, input="shorter")
    client.until("response.steer.accepted")
    agents.release()
    pending = client.until("response.steer.pending")
    waiting, (required,) = pending["steer"], pending["required_input"]
    assert waiting["previous_response_id"] == id
    client.call_id = required["call_id"]
    return id, waiting


def kinds_until_end(client: Client) -> set[str]:
    """The kinds of the events up to the end of a response, and of what follows at once."""
    kinds = set()
    while "response.completed" not in kinds:
        kinds.add(client.next()["type"])
    # It answers this after whatever the end of the response has caused.
    client.send(type="response.steer", previous_response_id="resp_none", input="x")
    while (event := client.next())["type"] != "response.steer.failed" or "id" in event["steer"]:
        kinds.add(event["type"])
    return kinds


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"previous_response_id": "resp_none"}, "response_not_found"),
        ({"input": []}, "invalid_input"),
        ({"input": [{"role": "developer", "content": "x"}]}, "invalid_input"),
        ({"input": [{"role": "user", "content": [{"type": "output_text"}]}]}, "invalid_input"),
        ({"model": "other"}, "invalid_input"),
    ],
)
def test_rejected_steering_is_returned(
    hub: Hub, agents: FakeUpstream, plain: str, over: dict[str, Any], code: str
) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=3 #hold=1 task")
        id = client.until("response.created")["response"]["id"]
        steer = {"previous_response_id": id, "input": "shorter"} | over
        client.send(type="response.steer", **steer)
        failed = client.until("response.steer.failed")
        assert failed["error"]["code"] == code
        assert failed["steer"]["input"] == steer["input"]
        agents.release()
        client.response()


def test_steering_of_an_ended_response(hub: Hub, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=2")
        id = client.response()["id"]
        client.send(type="response.steer", previous_response_id=id, input="shorter")
        failed = client.until("response.steer.failed")
        assert failed["error"]["code"] == "response_already_completed"


# ---- ends


def test_leaving_client_ends_its_requests(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    """P6: its request ends as over HTTP; what waited is not sent."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "#tokens=500 #delay_ms=20")
        client.create(plain, "never")
        client.until("response.output_text.delta")
    (row,) = records(hub, tenant, 1)
    assert row["kind"] == "client_closed"
    assert not any("never" in line for row in agents.books() for line in row["heard"])


def test_no_response_runs_in_the_background(hub: Hub, agents: FakeUpstream, plain: str) -> None:
    """As OpenAI documents it: `background` is not offered here, so that there is nothing to cancel
    by its id. A running response ends with its connection."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        create = {"type": "response.create", "model": plain, "background": True}
        client.send(**create, input="hi #tokens=2")
        response = client.response()
        assert response["background"] is False
        cancel = f"/v1/responses/{response['id']}/cancel"
        refused = hub.post(tenant, {}, path=cancel)
        assert (refused.status, "background" in refused.error["message"]) == (400, True)
        client.send(**create, input="hi #tokens=9 #hold=2")
        running = client.until("response.created")["response"]["id"]
        client.until("response.output_text.delta")
        assert hub.post(tenant, {}, path=f"/v1/responses/{running}/cancel").status == 404
        at = time.monotonic_ns()
    assert records(hub, tenant, 2)[-1]["kind"] == "client_closed"
    agents.wait_for(lambda totals: totals["cut"] == 1)
    (row,) = [row for row in agents.books() if row["outcome"] == "cut"]
    assert row["left_at"] - at < 1_000_000_000


def test_unread_connection_delays_no_other(hub: Hub, plain: str) -> None:
    """P7: its answer waits; another connection's does not."""
    tenant = hub.tenant()
    with connected(hub, tenant.key, max_queue=1) as slow, connected(hub, tenant.key) as quick:
        slow.create(plain, "#tokens=20000 #batch=50")
        ends: list[str] = []

        def ask() -> None:
            quick.create(plain, "#tokens=3")
            ends.append(quick.response()["status"])

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(30)
        assert ends == ["completed"]
        assert slow.response()["status"] == "completed"


def test_lane_turns_are_booked_once_each(hub: Hub, plain: str) -> None:
    """I10, P20: sixteen lanes of one connection."""
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        for number in range(64):
            client.create(plain, "#tokens=3", stream_id=str(number % 16))
        for _ in range(64):
            client.response()
    assert len({row["id"] for row in records(hub, tenant, 64)}) == 64


def test_oversized_event_is_named(hub: Hub, plain: str) -> None:
    tenant = hub.tenant()
    with connected(hub, tenant.key) as client:
        client.create(plain, "x" * (16 * 1024 * 1024))
        assert client.next()["error"]["code"] == "request_too_large"
        with pytest.raises(ConnectionClosed):
            client.next()
        assert client.socket.close_code == 1009
